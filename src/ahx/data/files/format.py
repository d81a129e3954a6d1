"""The format of a data file, guessed from its beginning, and from what the user says of it.

    plain   input,output on each line, as `ahx gen-data` writes it; no quotes; lines that begin with # are comments
    csv     the same by RFC 4180: fields in quotes may hold separators, quotes and line ends; also with ; or |
    tsv     input TAB output
    jsonl   a JSON object on each line, with two fields that are named

Any of them may be compressed with gzip. Lines that begin with # are comments in the others only before the data.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from ahx.data.files.names import refuse_pipe
from ahx.data.files.open import compressed, open_data
from ahx.errors import InputError
from ahx.text.suggest import did_you_mean

FORMATS = ("auto", "plain", "csv", "tsv", "jsonl")
_SAMPLE_BYTES = 1 << 18
_SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}
_USUAL_NAMES = (
    ("input", "output"), ("source", "target"), ("src", "tgt"), ("prompt", "completion"), ("question", "answer"),
)  # fmt: skip
_ENOUGH_LINES = 20  # to see that the first is another kind of line
_NAME = re.compile(r"[^\W\d_][\w ./()-]+")  # of a column: "e164", "Year of birth"
_NOT_TEXT = {
    b"PK\x03\x04": "a ZIP or Excel file; unpack it, or save the sheet as CSV",
    b"PAR1": "a Parquet file; write it as CSV or JSONL",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it, or compress it with gzip",
    b"BZh": "compressed with bzip2; unpack it, or compress it with gzip",
    b"\xfd7zXZ\x00": "compressed with xz; unpack it, or compress it with gzip",
    b"SQLite format 3": "an SQLite database; write a table of it as CSV",
    b"%PDF": "a PDF file; give a text file",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file with `git lfs pull`",
    b"<!DOCTYPE html": "an HTML page; give a text file",
}


@dataclass(frozen=True)
class Reading:
    """What the user says of data files; "auto" and "" are guessed."""

    format: str = "auto"
    columns: str = ""  # two names, or two numbers from 1
    header: str = "auto"  # yes, no
    names: tuple[str, ...] = ()  # of the columns of input and output in a file that was read before


@dataclass(frozen=True)
class Format:
    """How the lines of one file are read."""

    kind: str = "plain"
    separator: str = ","
    quoted: bool = False
    spaced: bool = False  # spaces between a separator and a quote
    header: bool = False
    fields: int = 2
    columns: tuple[int, int] | tuple[str, str] = (0, 1)  # positions from 0, or the names of JSON fields
    names: tuple[str, ...] = ()  # of all columns: the header, or a first line that may be one

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the columns or fields of input and output; () if they have none."""
        if self.kind != "jsonl" and not self.header:
            return ()
        found = tuple(at if isinstance(at, str) else self.names[at] for at in self.columns)
        return found if found[0] != found[1] else ()

    @property
    def two_columns(self) -> bool:
        """Whether a line is an input, a separator and an output."""
        return self.fields == 2 and self.columns == (0, 1)

    @property
    def simple(self) -> bool:
        """Whether every line is an input, a separator and an output, without quotes."""
        return self.kind != "jsonl" and not self.quoted and self.two_columns

    @property
    def form(self) -> str:
        """What a line must read."""
        if self.kind == "jsonl":
            return f"a JSON object with {self.columns[0]!r} and {self.columns[1]!r}"
        if self.fields == 2:
            return f"input{' TAB ' if self.separator == chr(9) else self.separator}output"
        return f"{self.fields} fields with a {_SEPARATORS[self.separator]} between them"

    @property
    def separator_name(self) -> str:
        """comma, tab, semicolon or vertical bar."""
        return _SEPARATORS[self.separator]

    def __str__(self) -> str:
        if self.kind == "jsonl":
            return f"JSONL, fields {self.columns[0]!r} and {self.columns[1]!r}"
        shown = [self.names[at] if self.names else str(at + 1) for at in self.columns if isinstance(at, int)]
        columns = "" if self.two_columns else f", columns {' and '.join(shown)} of {self.fields}"
        return (
            f"{self.separator_name}-separated, {'quotes removed' if self.quoted else 'no quotes'}, "
            f"{'a header (' + ', '.join(self.names) + ')' if self.header else 'no header'}{columns}"
        )


def guess(path: Path, reading: Reading = Reading()) -> Format:
    """The format of `path`. Raises InputError where it cannot be read or two columns cannot be told; StorageError."""
    refuse_pipe(path)
    with open_data(path) as file:
        data = file.read(_SAMPLE_BYTES)
    for magic, what in _NOT_TEXT.items():
        if data.startswith(magic):
            raise InputError(f"{path} is {what}")
    if b"\n" not in data and data.count(b"\r") > 1:
        raise InputError(f"{path} ends its lines with carriage returns alone; write line ends as LF or CRLF")
    whole = len(data) < _SAMPLE_BYTES
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    lines = [line for line in text.split("\n")[: None if whole else -1] if line.strip()]
    head = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    lines, name = lines[head:], _name(path)
    if reading.format == "jsonl" or (reading.format == "auto" and (name == "jsonl" or _is_object(lines))):
        return _jsonl(path, lines, reading)
    if reading.format == "plain" and (reading.columns or reading.header == "yes"):
        raise InputError(f"{path}: format plain has no columns to name and no header; take --format csv, or auto")
    if reading.format == "plain" or not lines:
        return Format()
    return _separated(path, [line for line in lines if reading.format != "auto" or line[:1] != "#"], reading, name)


def _name(path: Path) -> str:
    """The ending of a file's name, without .gz: tsv, jsonl, ...; "txt" for an unknown one."""
    name = path.name.lower()
    ending = (name.removesuffix(".gz") if compressed(path) else name).rpartition(".")[2]
    return {"ndjson": "jsonl", "tab": "tsv", "json": "jsonl"}.get(
        ending, ending if ending in ("tsv", "csv", "jsonl") else "txt"
    )


def _is_object(lines: Sequence[str]) -> bool:
    try:
        return bool(lines) and lines[0][:1] == "{" and isinstance(json.loads(lines[0]), dict)
    except (ValueError, RecursionError):
        return False


def _jsonl(path: Path, lines: Sequence[str], reading: Reading) -> Format:
    try:
        first = json.loads(lines[0]) if lines else {}
    except (ValueError, RecursionError):
        first = None
    if not isinstance(first, dict):
        raise InputError(
            f"{path}: line 1 is not a JSON object, as each line of JSONL must be; "
            "write one object a line (jq -c '.[]' does it for an array)"
        )
    names = list(first)
    if reading.columns:
        for one in (wanted := _wanted(reading.columns)):
            if lines and one not in names:
                it_has = f"it has {', '.join(names[:10])}"
                raise InputError(f"columns: {path} has no field {one!r}{did_you_mean(one, names, it_has)}")
        return Format("jsonl", columns=wanted)
    text = [name for name in names if isinstance(first[name], str)]
    found = _usual(names, reading) or (tuple(text) if len(text) == 2 else tuple(names) if len(names) == 2 else ())
    if len(found) != 2 and lines:
        raise InputError(
            f"{path} has the fields {', '.join(map(repr, names[:10]))}; name those of input and output: --columns A,B"
        )
    return Format("jsonl", columns=(found[0], found[1]) if found else ("input", "output"))


def _separated(path: Path, lines: Sequence[str], reading: Reading, name: str) -> Format:
    order = {"csv": ",;|", "tsv": "\t"}.get(reading.format, "\t,;|" if name == "tsv" else ",\t;|")
    best, most, separated = None, 0.5, False
    for separator in order:
        quoted = reading.format != "tsv" and (name == "csv" or _quoted(lines, separator))
        spaced = quoted and any(f'{separator} "' in line for line in lines)
        rows = _rows(lines, separator, quoted, spaced)
        if rows is None:
            quoted = spaced = False
            rows = [line.split(separator) for line in lines]
        fields, times = Counter(map(len, rows)).most_common(1)[0]
        separated |= fields > 1 or len(rows[0]) == 2
        if fields > 1 and times / len(rows) > most:
            best, most = (separator, quoted, spaced, rows, fields), times / len(rows)
    if not separated:
        without = next(line for line in lines if not any(separator in line for separator in order))
        raise InputError(
            f"{path}: most lines have nothing between input and output that separates them, such as "
            f"{without[:40] + '...' * (len(without) > 40)!r}; put a {_SEPARATORS[order[0]]} there"
        )
    if best is None:
        return Format("tsv", "\t") if reading.format == "tsv" else Format()
    separator, quoted, spaced, rows, fields = best
    first = [field.strip() for field in rows[0]] if len(rows[0]) == fields else []
    header = _has_header(first, rows, reading)
    columns = _columns(path, first if header else [], fields, reading)
    names = first if header or (reading.header == "auto" and _may_be_header(first, rows)) else []
    kind = "tsv" if separator == "\t" else "csv" if quoted or separator != "," or fields != 2 else "plain"
    if reading.format == "csv":
        kind, quoted = "csv", True
    return Format(kind, separator, quoted, spaced, header, fields, columns, tuple(names))


def _quoted(lines: Sequence[str], separator: str) -> bool:
    """Whether fields stand in quotes."""
    return any(line.lstrip()[:1] == '"' or f'{separator}"' in line or f'{separator} "' in line for line in lines)


def _rows(lines: Sequence[str], separator: str, quoted: bool, spaced: bool) -> list[list[str]] | None:
    """The fields of the lines; None where quotes are not those of RFC 4180."""
    if not quoted:
        return [line.split(separator) for line in lines]
    rows: list[list[str]] = []
    try:
        source = StringIO("\n".join(lines), newline="")
        rows.extend(csv.reader(source, delimiter=separator, strict=True, skipinitialspace=spaced))
    except csv.Error as error:
        if "unexpected end" not in str(error):  # the sample may end inside a field
            return None
    return rows or None


def _has_header(first: Sequence[str], rows: Sequence[Sequence[str]], reading: Reading) -> bool:
    if reading.header != "auto" or not first:
        return reading.header == "yes" and bool(first)
    if any(not name.isdecimal() for name in _wanted(reading.columns)) and reading.columns:
        return True
    if _usual(first, reading):
        return True
    # Names, and in all columns, or in one and with ASCII letters, none of their letters comes up again.
    found = _new_letters(first, rows)
    new = [own == all_ for own, all_ in found]
    return len(rows) > _ENOUGH_LINES and bool(new) and (all(new) or (any(new) and all(map(str.isascii, first))))


def _may_be_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line has names, and some letter of them does not come up again in its column."""
    return len(rows) > 1 and any(new for new, _ in _new_letters(first, rows))


def _new_letters(first: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """How many letters of each name do not come up again in its column, of how many; [] if these are no names.

    A name may be missing, as pandas leaves that of its index.
    """
    others = [row for row in rows[1:] if len(row) == len(first)]
    named = [(set(filter(str.isalpha, name)), at) for at, name in enumerate(first) if name]
    if len(named) < 2 or not all(_NAME.fullmatch(name) for name in first if name):
        return []
    return [(len(own - set("".join([row[at] for row in others]))), len(own)) for own, at in named]


def _usual(names: Sequence[str], reading: Reading) -> tuple[str, str] | tuple[()]:
    """The names of input and output among `names`: those of a file that was read before, or usual ones."""
    lower = [name.lower() for name in names]
    if len(reading.names) == 2 and set(reading.names) <= set(names):
        return reading.names[0], reading.names[1]
    found = [pair for pair in _USUAL_NAMES if set(pair) <= set(lower)]
    return (names[lower.index(found[0][0])], names[lower.index(found[0][1])]) if len(found) == 1 else ()


def _wanted(columns: str) -> tuple[str, str]:
    """The two columns that the user names. Raises InputError."""
    first, _, second = (columns or "1,2").partition(",")
    if not first or not second or "," in second:
        raise InputError(
            f"columns: {columns!r} must be two names or numbers, such as --columns 1,3 or --columns src,tgt"
        )
    return first, second


def _columns(path: Path, names: Sequence[str], fields: int, reading: Reading) -> tuple[int, int]:
    """The positions of input and output."""
    shown = ", ".join(names[:10]) if names else f"1 to {fields}"
    if not reading.columns:
        if usual := _usual(names, reading):
            return list(names).index(usual[0]), list(names).index(usual[1])
        if fields == 2:
            return 0, 1
        raise InputError(
            f"{path} has {fields} columns ({shown}); say which are input and output, such as --columns "
            f"{','.join(list(filter(None, names))[:2]) if names else '1,2'}"
        )
    found = []
    for one in _wanted(reading.columns):
        if one in names:
            found.append(list(names).index(one))
        elif one.isdecimal() and 1 <= int(one) <= fields:
            found.append(int(one) - 1)
        else:
            raise InputError(f"columns: {path} has no column {one!r}{did_you_mean(one, names, f'it has {shown}')}")
    return found[0], found[1]
