"""The sources of samples of a rule, and of files."""

import gzip
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ahx.data.files.read import read_pairs
from ahx.data.files.source import FileSource, open_files
from ahx.data.samples.sampler import Sampler
from ahx.data.samples.source import RuleSource, fit_rule
from ahx.data.split import hash_texts, held_out
from ahx.data.teacher import TransducerTeacher
from ahx.data.tokenizer import Tokenizer
from ahx.errors import StorageError
from ahx.rules import parse_rule
from ahx.rules.rule import Rule


def rule_samples(rule: Rule, sampler: Sampler, seed: int = 0) -> RuleSource:
    teacher = TransducerTeacher(rule)
    pairs = [(text, teacher.steps(text, rule.apply(text))) for text in Sampler(sampler.alphabet, 0, 4).every()]
    return RuleSource(rule, teacher, Tokenizer.fit(pairs, sampler.alphabet), sampler, seed)


def texts(samples: RuleSource | FileSource, rows: list) -> list[str]:
    tokenizer = samples.tokenizer
    inputs = [row.tolist()[1 : row.tolist().index(tokenizer.separator)] for row in rows]
    return ["".join(tokenizer.tokens[number].symbol for number in row) for row in inputs]


def lists(rows: list) -> list[list[int]]:
    return [row.tolist() for row in rows]


def test_rule_batches_depend_on_seed_and_step_alone(double_a) -> None:
    sampler = Sampler("AB", 1, 12)
    samples, again, other = (rule_samples(double_a, sampler, seed) for seed in (0, 0, 1))
    batches = [lists(samples.batch(step, 16)) for step in range(5)]
    assert [lists(again.batch(step, 16)) for step in reversed(range(5))] == batches[::-1]
    assert len({str(batch) for batch in batches}) == 5
    assert lists(other.batch(0, 16)) != batches[0]


@pytest.mark.parametrize("longest", [9, 10, 40])
def test_no_training_input_is_held_out_and_all_validation_inputs_are(double_a, longest: int) -> None:
    samples = rule_samples(double_a, Sampler("AB", 1, longest))
    trained = {text for step in range(50) for text in texts(samples, samples.batch(step, 64))}
    pairs = samples.validation(60)
    assert 60 >= len(pairs) == len({text for text, _ in pairs}) >= 40
    assert pairs == rule_samples(double_a, Sampler("AB", 1, longest)).validation(60)
    assert held_out(hash_texts([text for text, _ in pairs])).sum() >= len(pairs) - 1
    assert not trained & {text for text, _ in pairs}
    assert all(output == double_a.apply(text) for text, output in pairs)
    assert samples.note == ""


def test_few_strings_are_all_trained_and_validated(double_a) -> None:
    samples = rule_samples(double_a, Sampler("AB", 1, 4))
    every = set(samples.sampler.every())
    assert {text for step in range(50) for text in texts(samples, samples.batch(step, 32))} == every
    assert {text for text, _ in samples.validation(100)} == every
    assert samples.note.startswith("there are only 30 distinct strings of length 1 to 4: all are used for training")


def test_fresh_pairs_by_stream_and_length(double_a) -> None:
    samples = rule_samples(double_a, Sampler("AB", 1, 10))
    assert samples.fresh(20, 1) == samples.fresh(20, 1) != samples.fresh(20, 2)
    long = samples.fresh(20, 1, Sampler("AB", 100, 100))
    assert {len(text) for text, _ in long} == {100}
    assert all(output == double_a.apply(text) for text, output in long)


def test_sources_of_one_rule_ask_it_once_for_a_short_input(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, sampler, asked = parse_rule("A -> BBA"), Sampler("AB", 1, 8), Counter[str]()
    apply = type(rule).apply
    monkeypatch.setattr(type(rule), "apply", lambda self, text: asked.update([text]) or apply(self, text))
    sources = [fit_rule(rule, sampler, seed, use_cursor, None) for seed in (0, 1) for use_cursor in (True, False)]
    rows = [source.validation_rows(50)[0].tolist() for source in sources]
    assert max(asked.values()) == 2  # once for each teacher
    for source, row in zip(sources, rows, strict=True):
        end = row.index(source.tokenizer.separator)
        text = source.tokenizer.spell(row[:end])
        assert source.tokenizer.decode(row[end + 1 :]) == apply(rule, text)


@pytest.fixture
def infile(tmp_path: Path, samples: Path) -> Path:
    for part in ("train", "val"):
        shutil.copy(samples / f"da_{part}.txt", tmp_path)
    return tmp_path / "da"


def test_every_row_comes_once_per_epoch_in_another_order(infile: Path) -> None:
    data = open_files(infile, seed=3)
    rows = lists(data.train.rows(np.arange(200)))
    drawn = [row for step in range(50) for row in lists(data.batch(step, 8))]
    assert sorted(drawn[:200]) == sorted(drawn[200:]) == sorted(rows)
    assert drawn[:200] != drawn[200:] != rows
    assert data.steps_per_epoch(8) == 25
    assert data.steps_per_epoch(150) == 2


def test_file_batches_depend_on_seed_and_step_alone(infile: Path) -> None:
    data, again, other = (open_files(infile, seed=seed) for seed in (3, 3, 4))
    batches = [lists(data.batch(step, 150)) for step in range(4)]  # across epochs
    assert [lists(again.batch(step, 150)) for step in reversed(range(4))] == batches[::-1]
    assert lists(other.batch(0, 150)) != batches[0]
    whole = lists(data.batch(0, 600))  # larger than an epoch
    assert whole == batches[0] + batches[1] + batches[2] + batches[3]


def test_validation_pairs_are_those_of_the_file(infile: Path) -> None:
    data = open_files(infile)
    pairs = list(read_pairs(f"{infile}_val.txt"))
    assert data.validation(10_000) == pairs
    assert data.validation(50) == pairs[::4]
    assert data.teacher.to_json() == {"kind": "alignment", "start": "left", "lengths": {"A": 2, "B": 1}}
    assert not any("no validation file" in note for note in data.notes)


def test_without_a_validation_file_lines_are_held_out(infile: Path, tmp_path: Path) -> None:
    Path(f"{infile}_val.txt").unlink()
    data = open_files(infile)
    assert len(data.train) + len(data.val) == 200
    validated = {text for text, _ in data.validation(200)}
    assert validated
    assert not validated & set(texts(data, data.train.rows(np.arange(len(data.train)))))
    assert data.notes[1].startswith(f"there is no validation file for {infile}_train.txt: {len(data.val)} of its lines")
    lone = tmp_path / "lone.txt"
    lone.write_text("A,A\n")
    assert "holding out 10% of its 1 different input leaves none" in open_files(lone).notes[1]
    with pytest.raises(StorageError, match=r"there is no .*nothing_train.txt and no file .*nothing; make them with"):
        open_files(tmp_path / "nothing")


def test_validation_inputs_with_several_outputs_are_said(tmp_path: Path) -> None:
    words = ["tear", "read", "lead", "bow", "row", "wind"]
    (tmp_path / "a_train.txt").write_text("".join(f"{word}s,{word[::-1]}\n" for word in words))
    (tmp_path / "a_val.txt").write_text("".join(f"{word},{word[::-1]}\n" for word in words) + "bow,bo\n")
    said = "1 of the 7 validation lines have the input of another one"
    assert any(note.startswith(said) for note in open_files(tmp_path / "a").notes)
    (tmp_path / "a_val.txt").write_text("bow,bo\nrow,ro\n")
    assert not any("the input of another" in note for note in open_files(tmp_path / "a").notes)


def test_the_names_of_columns_hold_for_all_files(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}\n" for n in range(30))
    (tmp_path / "n_train.csv").write_text(f"number,same\n{rows}")
    (tmp_path / "n_val.csv").write_text("same,number\nX,7\n")  # too short to tell a header by its letters
    data = open_files(tmp_path / "n_train.csv")
    assert (data.validation(5), data.columns) == ([("7", "X")], ("number", "same"))
    for part, line in (("train", '{"a": "1", "b": "2"}'), ("val", '{"b": "X", "a": "7"}')):
        (tmp_path / f"j_{part}.jsonl").write_text(f"{line}\n")
    assert open_files(tmp_path / "j_train.jsonl").validation(5) == [("7", "X")]


def test_a_folder_may_hold_other_files(infile: Path) -> None:
    (infile.parent / "README.md").write_text("about, the data")
    (infile.parent / "_SUCCESS").touch()
    (infile.parent / "da_TEST.TXT").write_text("A,AA")
    (infile.parent / "da test.txt").write_text("A,AA")
    assert len(open_files(infile.parent).train) == 200


def test_a_symbol_of_the_validation_file_alone_is_in_the_vocabulary(infile: Path) -> None:
    Path(f"{infile}_val.txt").write_text("AZ,AAZ\nB,B\n", encoding="utf-8")
    data = open_files(infile)
    assert data.tokenizer.alphabet == "ABZ"
    assert data.validation(5) == [("AZ", "AAZ"), ("B", "B")]


def test_parts_give_the_rows_of_their_whole(infile: Path, tmp_path: Path) -> None:
    lines = Path(f"{infile}_train.txt").read_bytes().splitlines(keepends=True)
    (tmp_path / "parts").mkdir()
    for number in range(3):
        part = b"".join(lines[number * 50 : number * 50 + 50 if number < 2 else None])
        (tmp_path / "parts" / f"part-{number}.csv.gz").write_bytes(gzip.compress(part))
    shutil.copy(f"{infile}_val.txt", tmp_path / "parts" / "val.csv")
    whole, parts = open_files(infile), open_files(tmp_path / "parts" / "*")
    every = np.arange(len(whole.train))
    assert [row.tolist() for row in parts.train.rows(every)] == [row.tolist() for row in whole.train.rows(every)]
    assert [row.tolist() for row in parts.batch(3, 70)] == [row.tolist() for row in whole.batch(3, 70)]
