"""Reads data files, a block of lines at a time: bounded memory for a file of any size, and every malformed line found.

A data file is text in UTF-8 (see format.py). CRLF line ends, a byte order mark, blank lines, comments, and a missing
last line end are all fine.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ahx.data.files.block import Block, Problems
from ahx.data.files.format import Format
from ahx.data.files.open import open_data
from ahx.data.files.rows import fault_of_bytes, parse_json, parse_rows
from ahx.data.ragged import Codes, codes_of

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20
Progress = Callable[[str, int, int], None]  # task and file; bytes done, bytes in total
PLAIN = Format()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE = 10


def read_blocks(
    path: str | os.PathLike[str],
    problems: Problems,
    on_bytes: Callable[[bytes], None] = lambda data: None,
    form: Format = PLAIN,
) -> Iterator[Block]:
    """The well-formed lines of `path`; the malformed ones go to `problems`.

    `on_bytes` gets every byte of the file in order. Raises StorageError when it cannot be read.
    """
    problems.form = form.form
    with open_data(Path(path), on_bytes) as handle:
        head, pending, first = form.kind != "plain" or form.header, b"", 1
        for number, lines in _whole_lines(handle, problems):
            if head:
                number, lines, head = _behind_head(number, lines, form, problems)
            first, data = (first if pending else number), pending + lines
            pending = b""
            if not data:
                continue
            if form.kind == "jsonl":
                yield parse_json(data, first, problems, form)
            elif form.simple or (form.quoted and form.two_columns and b'"' not in data):
                yield _parse(data, first, problems, form)
            else:
                block, used = parse_rows(data, first, problems, form, more=True)
                yield block
                pending, first = data[used:], first + data.count(b"\n", 0, used)
        if pending:
            yield parse_rows(pending, first, problems, form, more=False)[0]


def _whole_lines(handle: IO[bytes], problems: Problems) -> Iterator[tuple[int, bytes]]:
    """Whole lines, many at a time, each with its end, and the number of the first. None is too long."""
    line, rest, dropping = 1, b"", False
    while True:
        data = handle.read(BLOCK_BYTES)
        at_end = not data
        if line == 1 and not rest and not dropping:
            data = data.removeprefix(_BYTE_ORDER_MARK)
        if at_end and rest:
            data = b"\n"
        if dropping:  # inside a line that is too long
            newline = data.find(b"\n")
            if newline < 0:
                if at_end:
                    return
                continue
            data, line, dropping = data[newline + 1 :], line + 1, False
        data = rest + data
        cut = data.rfind(b"\n") + 1
        lines, rest = data[:cut], data[cut:]
        if lines.find(b"\n") > MAX_LINE_BYTES:  # only the first can be this long: the others began in this read
            problems.add(line, _too_long())
            lines, line = lines[lines.find(b"\n") + 1 :], line + 1
        if lines:
            yield line, lines
            line += lines.count(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            problems.add(line, _too_long())
            rest, dropping = b"", True
        if at_end:
            return


def _behind_head(number: int, lines: bytes, form: Format, problems: Problems) -> tuple[int, bytes, bool]:
    """`lines` without the comments, blank lines and header at their begin; whether more of these may follow."""
    while lines:
        line, _, rest = lines.partition(b"\n")
        comment = line.startswith(b"#") or not line.strip(b" \r")
        if not comment and not form.header:
            return number, lines, False
        if line.startswith(b"#") and line.count(form.separator.encode()) == form.fields - 1:
            problems.comment(number, among=False)
        number, lines = number + 1, rest
        if not comment:
            return number, lines, False
    return number, lines, True


def byte_progress(what: str, total: int, on_progress: Progress) -> Callable[[bytes], None]:
    """An `on_bytes` that reports to `on_progress`."""
    done = 0

    def on_bytes(data: bytes) -> None:
        nonlocal done
        done += len(data)
        on_progress(what, done, total)

    return on_bytes


def _too_long() -> str:
    return f"longer than {MAX_LINE_BYTES:,} bytes"


def _parse(data: bytes, first_line: int, problems: Problems, form: Format) -> Block:
    """The lines of `data`, which ends with a newline: at numpy's speed when all are plain, one by one otherwise."""
    data = data.replace(b"\r\n", b"\n")
    comments = form.kind == "plain"
    special = comments and (data.startswith(b"#") or b"\n#" in data)
    if not special and b"\r" not in data and b"\0" not in data:
        try:
            codes = _codes(data)
        except UnicodeDecodeError:
            pass
        else:
            block = _split(codes, first_line, form)
            if block is not None:
                return block
    good: list[str] = []
    numbers: list[int] = []
    blank = b" \r" if form.separator == "\t" else None
    for number, line in enumerate(data.split(b"\n")[:-1], first_line):
        if not line.strip(blank):
            continue
        if comments and line.startswith(b"#"):
            among = bool(good) or first_line > 1
            if line.count(b",") == 1 or (among and b"," in line):
                problems.comment(number, among)
            continue
        wrong = _fault(line, form)
        if wrong:
            problems.add(number, wrong)
        else:
            good.append(line.decode("utf-8") + "\n")
            numbers.append(number)
    block = _split(_codes("".join(good).encode("utf-8")), 0, form)
    assert block is not None, "lines that passed every check have one separator each"
    return Block(block.codes, block.start, block.comma, block.end, np.array(numbers, dtype=np.int64))


def _codes(data: bytes) -> Codes:
    return np.frombuffer(data, dtype=np.uint8) if data.isascii() else codes_of(data.decode("utf-8"))


def _split(codes: Codes, first_line: int, form: Format) -> Block | None:
    """Lines that have exactly one separator each, or None when some line has not."""
    end, comma = np.flatnonzero(codes == _NEWLINE), np.flatnonzero(codes == ord(form.separator))
    start = np.concatenate(([0], end[:-1] + 1)) if len(end) else end
    if len(comma) != len(end) or not ((start <= comma) & (comma < end)).all():
        return None
    return Block(codes, start, comma, end, np.arange(first_line, first_line + len(end)))


def _fault(line: bytes, form: Format) -> str | None:
    """The error of one line, if any."""
    if wrong := fault_of_bytes(line):
        return wrong
    text = line.decode("utf-8")
    if "\r" in text:
        return "a carriage return inside the line"
    found = text.count(form.separator)
    if found == 1:
        return None
    shown = text if len(text) <= 40 else text[:40] + "..."
    return f"{'no' if found == 0 else f'{found}'} {form.separator_name}{'s' * (found > 0)} in {shown!r}"
