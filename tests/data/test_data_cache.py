"""Token caches: their contents, and when they are rebuilt."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ahx.data.files import cache as cache_module
from ahx.data.files import cache_folder
from ahx.data.files.cache import TokenCache, open_cache
from ahx.data.files.fit import fit, fit_once
from ahx.data.files.reader import Reader
from ahx.data.files.source import open_files
from ahx.data.samples.sampler import Sampler
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError, StorageError
from ahx.rules import parse_rule
from ahx.rules.transducer import STOP, Step

WORDS = str.maketrans({"A": "", "B": "BAC", "C": "🐍ä"})


def write(path: Path, function: Callable[[str], str], alphabet: str = "ABC", n: int = 300) -> list[tuple[str, str]]:
    pairs = [(text, function(text)) for text in Sampler(alphabet, 0, 8).draw(np.random.default_rng(0), n)]
    path.write_text("# a comment\n" + "".join(f"{text},{output}\n" for text, output in pairs), encoding="utf-8")
    return pairs


def all_rows(cache: TokenCache) -> list[list[int]]:
    return [row.tolist() for row in cache.rows(np.arange(len(cache)))]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sources of which caches were really built."""
    built: list[Path] = []
    build = cache_module._build
    monkeypatch.setattr(cache_module, "_build", lambda source, *rest: built.append(source) or build(source, *rest))
    return built


@pytest.mark.parametrize("use_cursor", [True, False])
@pytest.mark.parametrize(
    ("function", "alphabet", "kind"),
    [
        (lambda text: text.replace("A", "AA"), "AB", "alignment"),
        (lambda text: text[::-1].translate(WORDS), "ABC", "alignment"),
        (lambda text: text.translate(WORDS), "ABC", "alignment"),
        (lambda text: text, "ä🐍", "alignment"),
        (lambda text: "", "AB", "alignment"),
        (lambda text: text + text[: len(text) // 2], "AB", "plain"),
    ],
)
def test_rows_and_vocabulary_are_those_of_teacher_and_tokenizer(
    tmp_path: Path, function: Callable[[str], str], alphabet: str, kind: str, use_cursor: bool
) -> None:
    path = tmp_path / "data.txt"
    pairs = write(path, function, alphabet)
    teacher, tokenizer = fit([path], None, use_cursor)
    steps = [(text, teacher.steps(text, output)) for text, output in pairs]
    assert teacher.kind == (kind if use_cursor else "plain")
    assert tokenizer.tokens == Tokenizer.fit(steps).tokens
    assert tokenizer.start == teacher.start
    cache = open_cache(path, teacher, tokenizer)
    rows = [tokenizer.encode_input(text) + tokenizer.encode_steps(taken) for text, taken in steps]
    assert all_rows(cache) == rows
    assert cache.longest == max(map(len, rows))
    assert cache.tokens == sum(map(len, rows))


def test_a_machine_gives_the_same_rows(tmp_path: Path, double_a) -> None:
    path = tmp_path / "data.txt"
    write(path, double_a.apply, "AB")
    fits = [fit([path], rule, True) for rule in (double_a, None)]
    assert [teacher.kind for teacher, _ in fits] == ["machine", "alignment"]
    assert fits[0][1].tokens == fits[1][1].tokens
    assert all_rows(open_cache(path, *fits[0])) == all_rows(open_cache(path, *fits[1]))


def test_a_late_line_corrects_the_guess(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    lines = ["A,A\n"] * 400_000 + ["AZ,Azz\n", "Z,zz\n"]
    path.write_text("".join(lines))
    teacher, _ = fit([path], None, True)
    assert teacher.to_json() == {"kind": "alignment", "start": "left", "lengths": {"A": 1, "Z": 2}}
    path.write_text("".join([*lines, "Z,z\n"]))
    assert fit([path], None, True, reader=(reader := Reader()))[0].kind == "alignment"
    assert (
        "1 of 400,003 lines do not fit what all others do, and are left out (line 400,003: 'Z' -> 'z');"
        in (reader.notes()[1])
    )
    path.write_text("A,A\nZ,z\nZ,zz\n" * 30)
    assert fit([path], None, True)[0].kind == "plain"


def test_lines_that_contradict_the_rule_are_all_reported(tmp_path: Path, double_a) -> None:
    path = tmp_path / "data.txt"
    path.write_text("A,AA\nA,A\nB,B\nno comma\nBA,BA\n")
    with pytest.raises(InputError) as error:
        fit([path], double_a, True)
    assert str(error.value).startswith(f"{path}: 3 malformed lines;")
    for line in (
        "line 2: the rule 'a test rule' turns 'A' into 'AA', not 'A'",
        "line 4: no comma in 'no comma'",
        "line 5: the rule 'a test rule' turns 'BA' into 'BAA', not 'BA'",
    ):
        assert f"\n  {line}" in str(error.value)


def test_symbols_that_the_tokenizer_lacks_are_reported_with_their_lines(tmp_path: Path) -> None:
    path, other = tmp_path / "data.txt", tmp_path / "other.txt"
    path.write_text("A,A\nB,B\n")
    other.write_text("A,A\nAX,AX\nB,B\nBA,B\n")
    with pytest.raises(InputError) as error:
        open_cache(other, *fit([path], None, True))
    assert str(error.value).startswith(f"{other}: 2 malformed lines;")
    assert "\n  line 2: " in str(error.value)
    assert "\n  line 4: 'B' is not what 'BA' should give by length" in str(error.value)
    assert not list(Path(f"{other}.ahxcache").iterdir())


def test_parts_share_no_line_and_leave_none_out(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    write(path, str, n=2_000)
    fitted = fit([path], None, True)
    whole = all_rows(open_cache(path, *fitted))
    parts = [all_rows(open_cache(path, *fitted, part)) for part in ("train", "validation")]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert not {tuple(row) for row in parts[0]} & {tuple(row) for row in parts[1]}
    assert 0.05 < len(parts[1]) / len(whole) < 0.15


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, builds: list[Path], monkeypatch) -> None:
    path = tmp_path / "data.txt"
    write(path, str)
    rows = all_rows(open_cache(path, *fit_once([path], None, True)))
    monkeypatch.setattr("ahx.data.files.fit.fit", None)
    monkeypatch.setattr("hashlib.file_digest", None)
    assert all_rows(open_cache(path, *fit_once([path], None, True))) == rows
    assert len(builds) == 1


def test_a_touched_file_is_hashed_and_a_changed_one_is_tokenised_again(tmp_path: Path, builds: list[Path]) -> None:
    path = tmp_path / "data.txt"
    pairs = write(path, str)
    fitted = fit([path], None, True)
    open_cache(path, *fitted)
    os.utime(path, ns=(1, 1))
    open_cache(path, *fitted)
    assert len(builds) == 1
    swapped = "".join(f"{text},{output}\n" for text, output in reversed(pairs))
    path.write_text("# a comment\n" + swapped)  # the same size
    rows = all_rows(open_cache(path, *fitted))
    assert len(builds) == 2
    assert rows[0] == fitted[1].encode_input(pairs[-1][0]) + fitted[1].encode_steps(fitted[0].steps(*pairs[-1]))
    assert len(list(Path(f"{path}.ahxcache").iterdir())) == 1  # the stale one is gone


def test_a_file_of_the_same_size_and_time_is_another_one(tmp_path: Path) -> None:
    path, other = tmp_path / "da_train.txt", tmp_path / "other.txt"
    path.write_text("A,A\nB,B\n" * 20)
    other.write_text("A,B\nB,A\n" * 20)
    before = path.stat()
    first = open_files(path)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, path)
    second = open_files(path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert first.content != second.content
    assert {pair for source in (first, second) for pair in source.validation(9)} == {
        ("A", "A"), ("B", "B"), ("A", "B"), ("B", "A")
    }  # fmt: skip
    path.write_text("A,A\nB,B\n" * 20)  # in place: the same inode
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert open_files(path).content == first.content


@pytest.mark.parametrize("name", ["tokens.u16", "offsets.i64", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "deleted", "overwritten"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, builds: list[Path], name: str, damage: str) -> None:
    path = tmp_path / "data.txt"
    write(path, str)
    fitted = fit([path], None, True)
    cache = open_cache(path, *fitted)
    rows, part = all_rows(cache), cache.folder / name
    data = part.read_bytes()
    part.unlink()
    if damage == "cut":
        part.write_bytes(data[: len(data) // 2])
    elif damage == "emptied":
        part.touch()
    elif damage == "overwritten":
        part.write_bytes(b"\xee" * (len(data) + 2))
    assert all_rows(open_cache(path, *fitted)) == rows
    assert len(builds) == 2
    assert [entry.name for entry in Path(f"{path}.ahxcache").iterdir()] == [cache.folder.name]


def test_builders_at_the_same_time_agree(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "data.txt"
    write(path, str)
    fitted = fit([path], None, True)
    monkeypatch.setattr(cache_module, "_found", lambda homes, recipe, content: None)  # nobody sees another's result
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: all_rows(open_cache(path, *fitted)), range(24)))
    assert all(other == rows[0] for other in rows)
    assert len(list(Path(f"{path}.ahxcache").iterdir())) == 1


def test_a_read_only_place_is_left_alone(tmp_path: Path, monkeypatch, builds: list[Path]) -> None:
    path = tmp_path / "data" / "data.txt"
    path.parent.mkdir()
    write(path, str)
    path.parent.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for _ in range(2):
        cache = open_cache(path, *fit_once([path], None, True))
        assert cache.folder.is_relative_to(tmp_path / "home" / "ahx")
    assert len(builds) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["data.txt"]
    (tmp_path / "home2").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home2"))
    with pytest.raises(StorageError, match=r"no place to write a cache: .*; set XDG_CACHE_HOME to a writable folder"):
        open_cache(path, *fit([path], None, True))


def test_a_cache_in_a_read_only_place_is_used(tmp_path: Path, monkeypatch, builds: list[Path]) -> None:
    path = tmp_path / "data" / "data.txt"
    path.parent.mkdir()
    write(path, str)
    fitted = fit([path], None, True)
    open_cache(path, *fitted)
    path.parent.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert open_cache(path, *fitted).folder.is_relative_to(path.parent)
    assert len(builds) == 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "data.txt"
    write(path, str)
    fitted = fit([path], None, True)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write the cache .*: no space left on device; free some space"):
        open_cache(path, *fitted)
    assert not list(Path(f"{path}.ahxcache").iterdir())


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    write(path, str)
    fitted = fit([path], None, True)

    def append(what: str, done: int, total: int) -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write("A,A\n")

    with pytest.raises(StorageError, match="changed while it was read; start again once it is complete"):
        open_cache(path, *fitted, on_progress=append)


def test_what_a_killed_builder_left_is_cleared_after_a_day(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    write(path, str)
    home = Path(f"{path}.ahxcache")
    for name, age_s in ((".building-old", 2 * 86_400), (".building-new", 60)):
        (home / name).mkdir(parents=True)
        then = (home / name).stat().st_mtime - age_s
        os.utime(home / name, (then, then))
    open_cache(path, *fit([path], None, True))
    assert {entry.name for entry in home.glob(".building-*")} == {".building-new"}


def test_caches_of_files_with_the_same_name_stay_apart(tmp_path: Path) -> None:
    homes = [cache_folder.cache_homes(tmp_path / folder / "data.txt", tmp_path / "caches") for folder in "ab"]
    assert homes[0] != homes[1]


def test_the_description_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    write(path, str, n=10)
    cache = open_cache(path, *fit([path], None, True))
    meta = json.loads((cache.folder / "meta.json").read_text())
    assert (meta["rows"], meta["source"]["size"]) == (10, path.stat().st_size)


@pytest.mark.parametrize(
    ("spec", "alphabet"),
    [("A -> AAB, B -> ", "ABä"), ("reverse", "ABC"), ("rule110", "01"), ("increment", "01"), ("sort", "ABC")],
)
def test_machines_give_the_rows_of_their_steps(tmp_path: Path, spec: str, alphabet: str) -> None:
    path, rule = tmp_path / "data.txt", parse_rule(spec)
    pairs = write(path, rule.apply, alphabet, n=60)
    teacher, tokenizer = fit([path], rule, True)
    assert teacher.kind == "machine"
    steps = [(text, rule.steps(text)) for text, _ in pairs]
    assert tokenizer.tokens == Tokenizer.fit(steps).tokens
    rows = [tokenizer.encode_input(text) + tokenizer.encode_steps(taken) for text, taken in steps]
    assert all_rows(open_cache(path, teacher, tokenizer)) == rows


class Roaming:
    """Reads what lies two cells to the right, and walks to and fro before it stops: longer than many tapes are run."""

    start = "left"
    reads = (-1, 2)

    def step(self, state: str, view: Sequence[str]) -> Step:
        turn = int(state or 0)
        if turn >= 12_000:
            return Step(STOP)
        if turn:
            return Step("", -1 if turn % 2 else 1, str(turn + 1))
        return Step(view[3] if len(view[3]) == 1 else "!", 0, "1")


def test_long_runs_are_run_one_by_one(tmp_path: Path, rule_of) -> None:
    path = tmp_path / "data.txt"
    path.write_text("ABC,C\nAB,!\n,!\n")
    rule = rule_of(lambda text: text[2:3] or "!", machine=Roaming())
    teacher, tokenizer = fit([path], rule, True)
    assert list(map(len, all_rows(open_cache(path, teacher, tokenizer)))) == [12_006, 12_005, 12_003]
