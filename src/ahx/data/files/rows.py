"""Lines that are more than an input, a separator and an output: CSV with quotes or further columns, and JSON."""

import csv
import json
from collections.abc import Iterator, Sequence

from ahx.data.files.block import Block, Problems, block_of
from ahx.data.files.format import Format

_MOST_FIELD = 1 << 20
csv.field_size_limit(_MOST_FIELD)


def parse_rows(data: bytes, first_line: int, problems: Problems, form: Format, more: bool) -> tuple[Block, int]:
    """The rows of `data`, whole lines from number `first_line`, and how many bytes they are.

    With `more` to come, a row that is still open at the end, inside quotes, is left for later.
    """
    lines = _decoded(data, first_line, problems)
    pairs, numbers, at = list[tuple[str, str]](), list[int](), 0
    while at < len(lines):
        reader = csv.reader(
            lines[at:], delimiter=form.separator, strict=True, skipinitialspace=form.spaced,
            quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
        )  # fmt: skip
        start = at
        try:
            for row in reader:
                number, at = first_line + at, start + reader.line_num
                if row:
                    _take(row, number, form, problems, pairs, numbers)
        except csv.Error as error:
            open_at_end = "unexpected end" in str(error)
            if open_at_end and more and sum(map(len, lines[at:])) < _MOST_FIELD:
                break
            why = "a quote that is never closed" if open_at_end or "field limit" in str(error) else _why(error)
            problems.add(first_line + at, why)
            at = at + 1 if open_at_end else max(start + reader.line_num, at + 1)
    used = len(data) if at >= len(lines) else sum(len(line) + 1 for line in data.split(b"\n")[:at])
    return block_of(pairs, numbers), used


def _take(
    row: Sequence[str], number: int, form: Format, problems: Problems, pairs: list[tuple[str, str]], numbers: list[int]
) -> None:
    if len(row) != form.fields:
        shown = form.separator.join(row)
        problems.add(
            number, f"{len(row)} instead of {form.fields} fields in {shown[:40] + '...' * (len(shown) > 40)!r}"
        )
        return
    first, second = form.columns
    assert isinstance(first, int)
    assert isinstance(second, int)
    pairs.append((row[first], row[second]))
    numbers.append(number)


def _why(error: csv.Error) -> str:
    if "expected after" in str(error):
        return "text after a closing quote; a quote inside a field is written twice"
    return "a carriage return outside quotes" if "new-line" in str(error) else f"not CSV: {error}"


def parse_json(data: bytes, first_line: int, problems: Problems, form: Format) -> Block:
    """The objects of `data`, whole lines from number `first_line`."""
    pairs: list[tuple[str, str]] = []
    numbers: list[int] = []
    for number, line in enumerate(_decoded(data, first_line, problems), first_line):
        if not line.strip():
            continue
        found = _of_object(line, form)
        if isinstance(found, str):
            problems.add(number, found)
        else:
            pairs.append(found)
            numbers.append(number)
    return block_of(pairs, numbers)


def _of_object(line: str, form: Format) -> tuple[str, str] | str:
    """The two fields, or what is wrong. Numbers are taken as they are written."""
    try:
        data = json.loads(line, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {str(error).partition(': line')[0]}"
    if not isinstance(data, dict):
        return f"not a JSON object but {type(data).__name__}"
    fields = []
    for name in form.columns:
        value = data.get(name)
        if not isinstance(value, str):
            return (
                f"no field {name!r}"
                if name not in data
                else f"the field {name!r} is no text but {json.dumps(value)[:40]}"
            )
        if "\0" in value:
            return f"a NUL in the field {name!r}"
        if any("\ud800" <= symbol <= "\udfff" for symbol in value):
            return f"half a surrogate pair in the field {name!r}"
        fields.append(value)
    return fields[0], fields[1]


def _decoded(data: bytes, first_line: int, problems: Problems) -> list[str]:
    """The lines of `data` with their ends; empty ones in place of those that are not text."""
    data = data.replace(b"\r\n", b"\n")
    if b"\0" not in data:
        try:
            return list(_ended(data.decode("utf-8")))
        except UnicodeDecodeError:
            pass
    lines = []
    for number, line in enumerate(data.split(b"\n")[:-1], first_line):
        wrong = fault_of_bytes(line)
        if wrong:
            problems.add(number, wrong)
        lines.append("\n" if wrong else line.decode("utf-8") + "\n")
    return lines


def fault_of_bytes(line: bytes) -> str | None:
    """Why a line is not text, if so."""
    if b"\0" in line:
        return "a NUL byte; is this a text file?"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not valid UTF-8"
    return None


def _ended(text: str) -> Iterator[str]:
    return (line + "\n" for line in text.split("\n")[:-1])
