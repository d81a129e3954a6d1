"""Generated data files: no leak, the same bytes, and a note when there are too few strings."""

import errno
import hashlib
import os
from collections import Counter
from pathlib import Path

import pytest

from ahx.data import generate as generate_module
from ahx.data.files.read import read_pairs
from ahx.data.generate import generate
from ahx.data.samples.sampler import Sampler
from ahx.errors import InputError, StorageError
from ahx.safe_files import atomic
from entrypoints.main import main

# Of files of 500 lines over AB by longest input. They may change only with a new format of data files.
DIGESTS = {
    2: ["ae88967d37ae", "3147371a9141"],
    10: ["21752d8626c7", "2fb4de430c20"],
    30: ["6ad43da2d60e", "402f9c13284b"],
}


def inputs(path: Path) -> list[str]:
    return [text for text, _ in read_pairs(path)]


def test_large_spaces_give_distinct_lines_and_the_numbers_asked_for(tmp_path: Path, double_a, rule_of) -> None:
    made = generate(double_a, Sampler("ABCD", 1, 12), tmp_path / "new" / "da", 3_000, val_fraction=0.2)
    train, val = inputs(made.train_path), inputs(made.val_path)
    assert (len(train), len(val)) == (made.train_lines, made.val_lines) == (2_400, 600)
    assert len(set(train) | set(val)) == 3_000
    assert made.note == ""
    assert all(output == text.replace("A", "AA") for text, output in read_pairs(made.train_path))
    lengths = Counter(map(len, train))
    assert lengths[12] > 150  # not starved, although short strings ran out
    assert lengths[1] <= 4


def test_a_small_space_is_split_and_said_to_be_small(tmp_path: Path, double_a) -> None:
    made = generate(double_a, Sampler("AB", 1, 5), tmp_path / "da", 1_000)
    train, val = inputs(made.train_path), inputs(made.val_path)
    assert len(train) == 900
    assert len(val) == len(set(val)) > 0
    assert len(set(train)) + len(val) == 62
    assert not set(inputs(made.train_path)) & set(inputs(made.val_path))
    assert made.note == (
        f"there are only 62 distinct strings of length 1 to 5 over 'AB': the validation file has the {len(val)} "
        f"held-out ones once each, and the 900 training lines repeat the other {62 - len(val)}"
    )
    assert all(count > 130 for length, count in Counter(map(len, train)).items() if length > 1)


def test_a_part_of_a_small_space_has_distinct_lines(tmp_path: Path, double_a) -> None:
    made = generate(double_a, Sampler("AB", 1, 10), tmp_path / "da", 1_000)
    train, val = inputs(made.train_path), inputs(made.val_path)
    assert (len(set(train)), len(set(val)), made.note) == (900, 100, "")
    lengths = Counter(map(len, train))
    assert lengths[10] - lengths[8] < 40  # all lengths that have enough strings get like numbers


@pytest.mark.parametrize("val_fraction", [0.001, 0.999])
def test_both_parts_of_the_smallest_space_have_a_line(tmp_path: Path, double_a, val_fraction: float) -> None:
    made = generate(double_a, Sampler("AB", 1, 1), tmp_path / "da", 10, val_fraction=val_fraction)
    assert len(set(inputs(made.train_path))) == len(set(inputs(made.val_path))) == 1
    assert not set(inputs(made.train_path)) & set(inputs(made.val_path))


def test_more_than_half_of_a_space_too_large_to_list(tmp_path: Path, double_a, monkeypatch) -> None:
    monkeypatch.setattr(generate_module, "listable", lambda sampler: False)
    made = generate(double_a, Sampler("AB", 1, 8), tmp_path / "da", 1_000)
    train, val = inputs(made.train_path), inputs(made.val_path)
    assert len(train) == 900
    assert len(val) == len(set(val)) == 25
    assert not set(train) & set(val)
    assert "510 distinct strings" in made.note
    assert "training lines may repeat" in made.note


@pytest.mark.parametrize("max_len", [2, 10, 30])
def test_the_same_seed_gives_the_same_bytes_for_ever(tmp_path: Path, double_a, max_len: int) -> None:
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = generate(double_a, Sampler("AB", 1, max_len), tmp_path / name, 500, seed=seed)
        digests.append(
            [hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in (made.train_path, made.val_path)]
        )
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert digests[0] == DIGESTS[max_len]


def test_the_header_says_where_the_file_comes_from(tmp_path: Path, double_a) -> None:
    made = generate(double_a, Sampler("AB", 1, 10), tmp_path / "da", 10, seed=7)
    for path in (made.train_path, made.val_path):
        assert path.read_text().startswith("# rule: a test rule, alphabet: AB, lengths: 1 to 10, samples: 10, ")
        assert path.read_text().splitlines()[0].endswith("seed: 7")


@pytest.mark.parametrize(
    ("alphabet", "longest", "settings", "sentence"),
    [
        ("A,", 5, {}, "has a comma, which ends a field or a line"),
        ("A\n", 5, {}, "has a line feed, which ends"),
        ("A\r", 5, {}, "has a carriage return, which ends"),
        ("A\0", 5, {}, "has a NUL, which ends"),
        ("#A", 5, {}, "has '#', with which a line of a data file cannot begin"),
        ("A\ud800", 5, {}, "has '\\\\ud800', with which a line"),
        ("A", 1, {}, "there is only one such string; raise --max-len"),
        ("AB", 5, {"num_samples": 1}, "num_samples is 1; give at least 2"),
        ("AB", 5, {"seed": -1}, "seed is -1; give 0 or more"),
        ("AB", 5, {"val_fraction": 0.0}, r"val_fraction is 0.0; give a share from 1e-05 to 0.99999, such as 0.1"),
        ("AB", 5, {"val_fraction": 1.0}, r"val_fraction is 1.0; give a share"),
        ("A", 3000, {"val_fraction": 1e-4}, r"next to none of the 3,000 distinct strings .* 'A' for validation; give"),
        ("A", 3000, {"val_fraction": 0.9999}, r"next to none of the 3,000 distinct strings .* 'A' for training; give"),
        ("AB", 5, {"val_fraction": float("nan")}, r"val_fraction is nan; give a share"),
    ],
)
def test_what_cannot_stand_in_a_file_is_refused(
    tmp_path: Path, double_a, alphabet: str, longest: int, settings: dict, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        generate(double_a, Sampler(alphabet, 1, longest), tmp_path / "da", **({"num_samples": 100} | settings))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("A,B", "'a test rule' writes a comma on"),
        ("\n", "writes a line feed on"),
        ("B" * 2_000_000, "longer than 1,048"),
    ],
)
def test_outputs_that_cannot_stand_in_a_file_are_refused(tmp_path: Path, rule_of, output: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        generate(rule_of(lambda text: output), Sampler("AB", 1, 5), tmp_path / "da", 100)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_files_alone(tmp_path: Path, double_a, monkeypatch) -> None:
    made = generate(double_a, Sampler("AB", 1, 5), tmp_path / "da", 10)
    before = [path.read_bytes() for path in (made.train_path, made.val_path)]
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:  # the first file still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    with pytest.raises(StorageError, match=r"cannot write .*da_train.txt: no space left on device; free some space"):
        generate(double_a, Sampler("AB", 1, 5), tmp_path / "da", 500)
    assert [path.read_bytes() for path in (made.train_path, made.val_path)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["da_train.txt", "da_val.txt"]


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path: Path, double_a) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*file/da_train.txt: .*; free some space or choose another"):
        generate(double_a, Sampler("AB", 1, 5), tmp_path / "file" / "da", 10)


@pytest.mark.parametrize(
    "spelling", ["--rule {} --num-samples 50 --max-len 4", "--problem {} --num_samples 50 --max_len 4"]
)
def test_the_command_in_both_spellings(tmp_path: Path, capsys, spelling: str) -> None:
    out = tmp_path / "da"
    assert main(["gen-data", *spelling.format("double_a").split(), "--alphabet", "AB", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Note: there are only 30 distinct strings of length 1 to 4 over 'AB': ")
    assert f"Wrote {out}_train.txt (45 lines) and {out}_val.txt (" in printed
    assert all(output == text.replace("A", "AA") for text, output in read_pairs(f"{out}_train.txt"))


def test_the_command_explains_bad_input(tmp_path: Path, capsys) -> None:
    assert main(["gen-data", "--rule", "copy", "--alphabet", "A,B", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == (
        "ahx: error: the alphabet 'A,B' has a comma, which ends a field or a line of a data file; leave it out\n"
    )


@pytest.mark.parametrize("out", ["", "data/"])
def test_a_folder_is_no_name_for_files(out: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gen-data", "--rule", "copy", "--num-samples", "10", out]) == 2
    assert capsys.readouterr().err.startswith(f"ahx: error: OUT: {out!r} names no file; add how the names begin")
    assert not list(tmp_path.iterdir())


def test_programs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gen-data", "--rule", "markov-interpreter", str(tmp_path / "x")]) == 2
    assert "markov-interpreter reads programs, which data files cannot hold" in capsys.readouterr().err


def test_files_of_others_are_kept(double_a, tmp_path: Path) -> None:
    (tmp_path / "da_val.txt").write_text("A,AA\n")
    with pytest.raises(InputError, match=r"da_val\.txt was not written by gen-data; choose another name"):
        generate(double_a, Sampler("AB", 1, 5), tmp_path / "da", 10)
    assert (tmp_path / "da_val.txt").read_text() == "A,AA\n"
    generate(double_a, Sampler("AB", 1, 5), tmp_path / "own", 10)
    generate(double_a, Sampler("AB", 1, 5), tmp_path / "own", 20)
