"""Odd and bad data files, and the sentence for each. docs/data.md has the same table:

python tests/data/test_bad_files.py   prints it.
"""

import gzip
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ahx.data.files.format import Reading
from ahx.data.files.reader import Reader
from ahx.data.files.source import open_files
from ahx.data.segmentation import Segmentation
from ahx.errors import AhxError

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
WORDS = [bytes(f"{n:05b}".replace("0", "A").replace("1", "B"), "ascii") for n in range(32)]
GOOD = b"".join(b"%s,%s\n" % (word, word.replace(b"A", b"AA")) for word in WORDS)
ROWS = GOOD.splitlines()
READ = "32 samples, comma-separated, no quotes, no header; the first is 'AAAAA' -> 'AAAAAAAAAA'"
EMPTY = "data.txt has no data lines; give a file with one input,output per line"
UTF16 = "data.txt is text in UTF-16; save it as UTF-8"
MALFORMED = "data.txt: 1 malformed line; each must read input,output; fix or delete it: "


def quoted(rows: list[bytes]) -> bytes:
    return b"".join(b'"' + row.replace(b",", b'","') + b'"\n' for row in rows)


# What is odd, the file, how it is read, and the sentence.
CASES: list[tuple[str, bytes, dict[str, Any], str]] = [
    (
        "a header", b"input,output\n" + GOOD, {},
        "data.txt: 32 samples, comma-separated, no quotes, a header (input, output); "
        "the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "a header of other names", b"word,sounds\n" + GOOD, {},
        "data.txt: 32 samples, comma-separated, no quotes, a header (word, sounds); "
        "the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "a header that shares letters with one column",
        b"year,name\n" + b"".join(b"%d,year %d\n" % (n, n) for n in range(32)), {},
        "data.txt: 32 samples, comma-separated, no quotes, a header (year, name); the first is '0' -> 'year 0'",
    ),
    (
        "a header with spaces and digits",
        b"Raw number,e164\n" + b"".join(b"0%d,+49%d\n" % (n, n) for n in range(30, 62)), {},
        "data.txt: 32 samples, comma-separated, no quotes, a header (Raw number, e164); the first is '030' -> '+4930'",
    ),
    (
        "a first line that may be a header",
        b"Wort,Plural\n" + b"".join(b"%s,%ss\n" % (w, w) for w in b"ortal plu war lurap Wal".split()), {},
        "data.txt: 6 samples, comma-separated, no quotes, no header; the first is 'Wort' -> 'Plural'; "
        "if these are names of columns, say --header yes",
    ),
    (
        "an index without a name, as pandas writes it", b",word,sounds\n" + b"".join(b"1,%s\n" % row for row in ROWS),
        {"columns": "2,3"},
        "data.txt: 32 samples, comma-separated, no quotes, a header (, word, sounds), columns word and sounds of 3; "
        "the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "missing values", GOOD + b"A,\nNaN,B\n", {},
        r"data.txt: 2 lines (first: line 33) with a field that is empty, NaN, None, NULL or \N, learnt as it is",
    ),
    (
        "a header that looks like data", b"AB,AB\n" + GOOD * 2, {"header": "yes"},
        "data.txt: 64 samples, comma-separated, no quotes, a header (AB, AB); the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "a line unlike all others", GOOD * 4 + b"AB,AAAB\n", {},
        "data.txt: 1 of 129 lines do not fit what all others do, and are left out (line 129: 'AB' -> 'AAAB'); "
        "correct them, or learn them too with --pos alibi",
    ),
    (
        "a space at the end of a line", GOOD + b"BB,BB \n", {},
        "data.txt: 1 line (first: line 33) with a space at an end of a field, learnt as a symbol; "
        "--normalize strip removes it",
    ),
    (
        "the same, stripped", GOOD + b"BB,BB \n", {"normalize": "strip"},
        "data.txt: 33 samples, comma-separated, no quotes, no header; the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "quotes around all fields", quoted(ROWS), {},
        "data.txt: 32 samples, comma-separated, quotes removed, no header; the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "the same, read as plain", quoted(ROWS), {"format": "plain"},
        "data.txt: 32 lines (first: line 1) with a field in quotes, learnt as symbols; --format csv removes them",
    ),
    (
        "columns of a plain file", GOOD, {"format": "plain", "columns": "2,1"},
        "data.txt: format plain has no columns to name and no header; take --format csv, or auto",
    ),
    (
        "a comma inside quotes", b'"A,B","AA,B"\n' + GOOD, {},
        "data.txt: 33 samples, comma-separated, quotes removed, no header; the first is 'A,B' -> 'AA,B'",
    ),
    (
        "a line end inside quotes", b'"A\nB","AA\nB"\n' + GOOD, {},
        "data.txt: 33 samples, comma-separated, quotes removed, no header; the first is 'A\\nB' -> 'AA\\nB'",
    ),
    (
        "a quote inside quotes", b'"A""B","AA""B"\n' + GOOD, {},
        "data.txt: 33 samples, comma-separated, quotes removed, no header; the first is 'A\"B' -> 'AA\"B'",
    ),
    (
        "a quote that is never closed", GOOD + b'"B,B\n' + GOOD, {"format": "csv"},
        MALFORMED + "line 33: a quote that is never closed",
    ),
    (
        "text after a closing quote", b'"A"x,AA\n' + GOOD, {"format": "csv"},
        MALFORMED + "line 1: text after a closing quote; a quote inside a field is written twice",
    ),
    (
        "quotes in a field that has quotes", b'"""A""",AA\n' + GOOD, {},
        "data.txt: 1 line (first: line 1) with a field in quotes, learnt as symbols",
    ),
    ("a comma inside a field without quotes", b"A,B,AA\n" + GOOD, {}, MALFORMED + "line 1: 2 commas in 'A,B,AA'"),
    ("a line without a comma", b"A AA\n" + GOOD, {}, MALFORMED + "line 1: no comma in 'A AA'"),
    (
        "spaces instead of commas", GOOD.replace(b",", b"  "), {},
        "data.txt: most lines have nothing between input and output that separates them, such as 'AAAAA  AAAAAAAAAA'; "
        "put a comma there",
    ),
    (
        "three columns", b"".join(b"1,%s\n" % row for row in ROWS), {},
        "data.txt has 3 columns (1 to 3); say which are input and output, such as --columns 1,2",
    ),
    (
        "three columns, two of them named", b"n,src,tgt\n" + b"".join(b"1,%s\n" % row for row in ROWS),
        {"columns": "src,tgt"},
        "data.txt: 32 samples, comma-separated, no quotes, a header (n, src, tgt), columns src and tgt of 3; "
        "the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "a row of too few fields", b"3,C\n" + b"".join(b"1,%s\n" % row for row in ROWS), {"columns": "2,3"},
        "data.txt: 1 malformed line; each must read 3 fields with a comma between them; fix or delete it: "
        "line 1: 2 instead of 3 fields in '3,C'",
    ),
    (
        "a column that is not there", b"word,sounds\n" + GOOD, {"columns": "word,sound"},
        "columns: data.txt has no column 'sound'; did you mean sounds?",
    ),
    (
        "tabs", GOOD.replace(b",", b"\t"), {},
        "data.txt: 32 samples, tab-separated, no quotes, no header; the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "tabs, and commas inside fields", b"a, b\tA, B\nc\tC\n", {},
        "data.txt: 2 samples, tab-separated, no quotes, no header; the first is 'a, b' -> 'A, B'",
    ),
    (
        "semicolons", GOOD.replace(b",", b";"), {},
        "data.txt: 32 samples, semicolon-separated, no quotes, no header; the first is 'AAAAA' -> 'AAAAAAAAAA'",
    ),
    (
        "JSON objects", b'{"src":"A","tgt":"AA"}\n{"src":"B","tgt":"B"}\n', {},
        "data.txt: 2 samples, JSONL, fields 'src' and 'tgt'; the first is 'A' -> 'AA'",
    ),
    (
        "JSON objects of three fields", b'{"id":"1","a":"A","b":"AA"}\n', {},
        "data.txt has the fields 'id', 'a', 'b'; name those of input and output: --columns A,B",
    ),
    (
        "a field of JSON that is not there", b'{"text":"A","upper":"AA"}\n', {"columns": "text,uper"},
        "columns: data.txt has no field 'uper'; did you mean upper?",
    ),
    (
        "a JSON object without a field", b'{"a":"A","b":"AA"}\n{"a":"B"}\n', {},
        "data.txt: 1 malformed line; each must read a JSON object with 'a' and 'b'; fix or delete it: "
        "line 2: no field 'b'",
    ),
    (
        "a field that is null", b'{"a":"A","b":"AA"}\n{"a":"B","b":null}\n', {},
        "data.txt: 1 malformed line; each must read a JSON object with 'a' and 'b'; fix or delete it: "
        "line 2: the field 'b' is no text but null",
    ),
    (
        "one JSON array", b'[{"a":"A","b":"AA"}]\n', {"format": "jsonl"},
        "data.txt: line 1 is not a JSON object, as each line of JSONL must be; "
        "write one object a line (jq -c '.[]' does it for an array)",
    ),
    ("UTF-16", GOOD.decode().encode("utf-16"), {}, UTF16),
    ("Latin-1", "ä,Ä\n".encode("latin-1") + GOOD, {}, MALFORMED + "line 1: byte 1 is not valid UTF-8"),
    ("a NUL", b"A\0,A\n" + GOOD, {}, MALFORMED + "line 1: a NUL byte; is this a text file?"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, {}, "data.txt: " + READ),
    ("CRLF line ends", GOOD.replace(b"\n", b"\r\n"), {}, "data.txt: " + READ),
    (
        "CR line ends", GOOD.replace(b"\n", b"\r"), {},
        "data.txt ends its lines with carriage returns alone; write line ends as LF or CRLF",
    ),
    ("a spreadsheet", b"PK\x03\x04", {}, "data.txt is a ZIP or Excel file; unpack it, or save the sheet as CSV"),
    ("Parquet", b"PAR1", {}, "data.txt is a Parquet file; write it as CSV or JSONL"),
    (
        "a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n", {},
        "data.txt is a pointer of Git LFS; fetch the file with `git lfs pull`",
    ),
    ("an HTML page", b"<!DOCTYPE html>\n", {}, "data.txt is an HTML page; give a text file"),
    ("zstd", b"\x28\xb5\x2f\xfd", {}, "data.txt is compressed with zstd; unpack it, or compress it with gzip"),
    ("gzip, whatever the name", gzip.compress(GOOD), {}, "data.txt: " + READ),
    (
        "gzip that is cut", gzip.compress(GOOD)[:-9], {},
        "data.txt is truncated or damaged: gzip cannot unpack it; copy it again",
    ),
    ("an empty file", b"", {}, EMPTY),
    ("a header and nothing else", b"input,output\n", {}, EMPTY),
    (
        "a comment among the data", GOOD + b"#,#\n" + GOOD, {},
        "data.txt: 1 line (first: line 33) among the data with # at its begin, left out as a comment; "
        "--format csv reads it as data",
    ),
    (
        "a comment before the data", b"#A,A\n" + GOOD, {},
        "data.txt: 1 line (first: line 1) before the data with # at its begin, left out as a comment; "
        "a header above it with --format csv reads it as data",
    ),
    (
        "comments and nothing else", b"#A,A\n#B,B\n", {},
        "data.txt has no data lines but 2 comments, a line that begins with #; "
        "give a file with one input,output per line",
    ),
    (
        "one input", b"A,AA\n" * 50, {},
        "there is no validation file for data.txt, and holding out 10% of its 1 different input leaves none to "
        "validate on: validation is on all lines, as training is",
    ),
    (
        "a line of a megabyte", b"A," + b"A" * (1 << 20) + b"\n" + GOOD, {},
        MALFORMED + "line 1: longer than 1,048,576 bytes",
    ),
    (
        "too many different words", b"".join(b"%d,%d\n" % (n, n) for n in range(100_000, 170_000)), {"tokens": "words"},
        "the tokens are too many or too long for a vocabulary (the newest is '165536'): at most 65,536 of 1,000 "
        "characters, and 2,000,000 bytes together; use --tokens characters",
    ),
]  # fmt: skip


def said(data: bytes, options: dict[str, Any], folder: Path) -> list[str]:
    """All sentences about a file."""
    path = folder / "data.txt"
    path.write_bytes(data)
    reading = {name: value for name, value in options.items() if name not in ("tokens", "normalize")}
    cut = Segmentation.of(options.get("tokens", "characters"), options.get("normalize", ""))
    try:
        notes = list(open_files(path, reader=Reader(Reading(**reading), cut)).notes)
    except AhxError as error:
        notes = [str(error).replace(":\n  ", ": ")]
    return [note.replace(f"{folder}/", "") for note in notes]


def row(what: str, sentence: str) -> str:
    return f"| {what} | {sentence.replace('|', chr(92) + '|')} |"


@pytest.mark.parametrize(("what", "data", "options", "sentence"), CASES, ids=[case[0] for case in CASES])
def test_a_bad_file_gets_its_sentence(
    tmp_path: Path, what: str, data: bytes, options: dict[str, Any], sentence: str
) -> None:
    assert sentence in said(data, options, tmp_path)
    assert row(what, sentence) in PAGE.read_text("utf-8").splitlines()


if __name__ == "__main__":
    for what, _, _, sentence in CASES:
        print(row(what, sentence))
    with tempfile.TemporaryDirectory() as folder:
        for what, data, options, sentence in CASES:
            if sentence not in (found := said(data, options, Path(folder))):
                print(f"{what}: {found}")
