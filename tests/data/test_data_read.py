"""Reading data files: what is accepted, what is rejected, and the errors."""

from pathlib import Path

import numpy as np
import pytest

from ahx.data.alignment import plain_steps
from ahx.data.files.blocks import BLOCK_BYTES, MAX_LINE_BYTES
from ahx.data.files.encode import Encoder
from ahx.data.files.names import resolve_infile
from ahx.data.files.read import check, read_pairs
from ahx.data.source import DataFiles
from ahx.data.teacher import PlainTeacher
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError, StorageError

PAIRS = [("A", "AA"), ("BA", "BAA")]


@pytest.mark.parametrize(
    "data",
    [
        b"A,AA\nBA,BAA\n",
        b"A,AA\nBA,BAA",
        b"A,AA\r\nBA,BAA\r\n",
        b"\xef\xbb\xbfA,AA\nBA,BAA\n",
        b"\n# rule: double_a, seed: 0\n\nA,AA\n   \n# end\nBA,BAA\n\n",
        b"\xef\xbb\xbf# a comment\r\n\r\nA,AA\r\nBA,BAA",
    ],
    ids=["plain", "no last line end", "CRLF", "byte order mark", "blank lines and comments", "all at once"],
)
def test_what_is_tolerated(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(data)
    assert list(read_pairs(path)) == PAIRS
    assert check(path) == 2


def test_empty_inputs_spaces_and_other_scripts_are_symbols_like_any_other(tmp_path: Path) -> None:
    pairs = [("", "A"), ("A", ""), ("", ""), (" a", "b "), ("ä🐍", "🐍ä"), ("a#", "#")]
    path = tmp_path / "data.txt"
    path.write_text("".join(f"{text},{output}\n" for text, output in pairs), encoding="utf-8")
    assert list(read_pairs(path)) == pairs


def test_lines_are_put_together_across_blocks(tmp_path: Path) -> None:
    pairs = [(str(i) * (i % 40), "é" if i % 1_000 == 0 else "e") for i in range(30_000)]
    path = tmp_path / "data.txt"
    path.write_text("".join(f"{text},{output}\n" for text, output in pairs), encoding="utf-8")
    assert path.stat().st_size > 2 * BLOCK_BYTES
    assert list(read_pairs(path)) == pairs


def test_all_malformed_lines_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(
        b"A,AA\nno comma here\nB,B,B\r\n# fine\nA\0,A\n\xff\xfe,A\nA\rB,A\n" + b"A" * (10 << 20) + b",A\nB,B\nlast"
    )
    with pytest.raises(InputError) as error:
        list(read_pairs(path))
    assert str(error.value) == (
        f"{path}: 7 malformed lines; each must read input,output; fix or delete them:\n"
        "  line 2: no comma in 'no comma here'\n"
        "  line 3: 2 commas in 'B,B,B'\n"
        "  line 5: a NUL byte; is this a text file?\n"
        "  line 6: byte 1 is not valid UTF-8\n"
        "  line 7: a carriage return inside the line\n"
        "  line 8: longer than 1,048,576 bytes\n"
        "  line 10: no comma in 'last'"
    )


@pytest.mark.parametrize("surplus", [0, 1, BLOCK_BYTES - 10, BLOCK_BYTES, 10 * BLOCK_BYTES + 7])
@pytest.mark.parametrize("before", [b"", b"A,A\n" * 1_000])
@pytest.mark.parametrize("end", [b"\nB,B\n", b""])
def test_the_length_limit_is_exact_wherever_the_line_lies(
    tmp_path: Path, surplus: int, before: bytes, end: bytes
) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(before + b"A," + b"A" * (MAX_LINE_BYTES - 2 + surplus) + end)
    lines = len(before) // 4
    if surplus:
        with pytest.raises(
            InputError, match=rf": 1 malformed line;.*\n  line {lines + 1:,}: longer than [\d,]+ bytes$"
        ):
            check(path)
    else:
        assert check(path) == lines + 1 + bool(end)


def test_only_the_first_twenty_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("A,A\n" + "bad\n" * 1_234)
    with pytest.raises(InputError, match=r"1,234 malformed(.*\n){20}  line 21: no comma in 'bad'\n  and 1,214 more$"):
        check(path)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only\n# comments", b"\xef\xbb\xbf"])
def test_a_file_without_data_lines_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "data.txt"
    path.write_bytes(data)
    for read in (check, lambda path: list(read_pairs(path))):
        with pytest.raises(InputError, match=r"data.txt has no data lines; give a file with one input,output per line"):
            read(path)


def test_missing_files_and_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no file .*nowhere; check the path, or make one with"):
        check(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"is a folder; give a data file in it"):
        check(tmp_path)
    with pytest.raises(StorageError, match=r"cannot read .*name too long"):
        check(tmp_path / ("x" * 300))


def test_infile_stands_for_both_files(tmp_path: Path) -> None:
    train, val, lone = tmp_path / "da_train.txt", tmp_path / "da_val.txt", tmp_path / "lone.txt"
    train.touch()
    lone.touch()
    assert resolve_infile(tmp_path / "da") == DataFiles((train,))
    val.touch()
    assert resolve_infile(tmp_path / "da") == DataFiles((train,), (val,))
    assert resolve_infile(str(train)) == DataFiles((train,), (val,))
    assert resolve_infile(lone) == DataFiles((lone,))
    for wrong in ("db", ""):
        with pytest.raises(StorageError, match="there is no "):
            resolve_infile(tmp_path / wrong if wrong else "")


def test_names_of_other_formats_parts_and_folders(tmp_path: Path) -> None:
    def made(*names: str) -> list[Path]:
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        return [tmp_path / name for name in names]

    train, val, test = made("w_train.csv.gz", "w_dev.csv", "w_test.csv")
    for infile in (tmp_path / "w", train):
        assert resolve_infile(infile) == DataFiles((train,), (val,), (test,))
    parts = made("parts/train-00000-of-00002.jsonl", "parts/train-00001-of-00002.jsonl", "parts/validation-0.jsonl")
    assert resolve_infile(tmp_path / "parts") == DataFiles(tuple(parts[:2]), tuple(parts[2:]))
    assert resolve_infile(tmp_path / "parts" / "train-*") == DataFiles(tuple(parts[:2]))
    assert resolve_infile(*made("spellings.tsv")) == resolve_infile(tmp_path / "spellings")
    with pytest.raises(InputError, match=r"has the files of 2 data sets \(spellings, w\); name one of them"):
        resolve_infile(tmp_path)
    made("w_train.tsv")
    with pytest.raises(InputError, match=r"has w_train.csv.gz and w_train.tsv; name the one to train on"):
        resolve_infile(tmp_path / "w")


def test_pairs_in_memory_are_encoded_like_one_at_a_time() -> None:
    """Also symbols that no line of a file could hold, and beyond ASCII."""
    pairs = [("A", "AA"), ("", ""), ("B\n,", "B\n,"), ("äA", "äAA")]
    tokenizer = Tokenizer.fit([(text, plain_steps(output)) for text, output in pairs])
    encoder = Encoder(PlainTeacher(), tokenizer)
    rows = encoder.pairs(pairs)
    assert rows is not None
    assert [rows.pick(np.array([n])).tokens.tolist() for n in range(len(pairs))] == [encoder.row(*p) for p in pairs]
    assert encoder.pairs([*pairs, ("A", "Z")]) is None
