"""Reads data files, a block of lines at a time: bounded memory for a file of any size, and every malformed line found.

A data file has one `input,output` per line, in UTF-8. CRLF line ends, a byte order mark, blank lines, lines that begin
with `#`, and a missing last line end are all fine.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Codes, Ints, codes_of, inside
from ahx.errors import InputError, StorageError
from ahx.files.atomic import reason
from ahx.text.plural import counted

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20
Progress = Callable[[str, int, int], None]  # task and file; bytes done, bytes in total
_SHOWN_PROBLEMS = 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE, _COMMA = 10, 44


@dataclass(frozen=True)
class Block:
    """Some lines of a file. Line i is codes[start[i]:comma[i]], a comma, codes[comma[i]+1:end[i]]."""

    codes: Codes
    start: Ints
    comma: Ints
    end: Ints
    number: Ints  # of the line in its file, from 1

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def input_lengths(self) -> Ints:
        """Symbols in each input."""
        return self.comma - self.start

    @cached_property
    def output_lengths(self) -> Ints:
        """Symbols in each output."""
        return self.end - self.comma - 1

    @cached_property
    def inputs(self) -> Codes:
        """All inputs, end to end."""
        return self.codes[inside(self.start, self.comma, len(self.codes))]

    @cached_property
    def outputs(self) -> Codes:
        """All outputs, end to end."""
        return self.codes[inside(self.comma + 1, self.end, len(self.codes))]

    def select(self, rows: npt.NDArray[np.bool_]) -> "Block":
        """The lines where `rows` is true."""
        return Block(self.codes, self.start[rows], self.comma[rows], self.end[rows], self.number[rows])

    def pairs(self) -> list[tuple[str, str]]:
        """The lines as (input, output)."""
        text = self.codes.tobytes().decode("ascii" if self.codes.itemsize == 1 else "utf-32-le")
        spans = zip(self.start.tolist(), self.comma.tolist(), self.end.tolist(), strict=True)
        return [(text[start:comma], text[comma + 1 : end]) for start, comma, end in spans]


def block_of(pairs: Sequence[tuple[str, str]]) -> Block:
    """Pairs of input and output as a block of lines; any symbols are allowed."""
    text = "".join([f"{text},{output}\n" for text, output in pairs])
    inputs, outputs = (np.fromiter((len(pair[at]) for pair in pairs), np.int64, len(pairs)) for at in (0, 1))
    end = np.cumsum(inputs + outputs + 2) - 1
    comma = end - outputs - 1
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8) if text.isascii() else codes_of(text)
    return Block(codes, comma - inputs, comma, end, np.arange(1, len(pairs) + 1))


@dataclass
class Problems:
    """Malformed lines of one file, collected so that all are reported together."""

    path: Path
    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, what: str) -> None:
        """Note that line number `line` is malformed."""
        self.count += 1
        if len(self.first) < _SHOWN_PROBLEMS:
            self.first.append((line, what))

    def raise_if_any(self) -> None:
        """Raises InputError that lists the first malformed lines and counts the others."""
        if not self.count:
            return
        lines = [f"\n  line {number:,}: {what}" for number, what in self.first]
        more = self.count - len(self.first)
        raise InputError(
            f"{self.path}: {counted(self.count, 'malformed line')}; each must read input,output; "
            f"fix or delete {'them' if self.count > 1 else 'it'}:{''.join(lines)}"
            + (f"\n  and {more:,} more" if more else "")
        )


@contextmanager
def open_data(path: Path) -> Iterator[IO[bytes]]:
    """`path` opened for reading. Raises StorageError when it is missing, a folder, or cannot be read."""
    try:
        with open(path, "rb", buffering=0) as handle:
            yield handle
    except FileNotFoundError:
        raise StorageError(f"there is no file {path}; check the path, or make one with `ahx gen-data`") from None
    except IsADirectoryError:
        raise StorageError(f"{path} is a folder; give a data file in it") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}; check its permissions") from None


def read_blocks(
    path: str | os.PathLike[str], problems: Problems, on_bytes: Callable[[bytes], None] | None = None
) -> Iterator[Block]:
    """The well-formed lines of `path`; the malformed ones go to `problems`.

    `on_bytes` gets every byte of the file in order (for a content hash). Raises StorageError when it cannot be read.
    """
    line, rest, dropping = 1, b"", False
    with open_data(Path(path)) as handle:
        while True:
            data = handle.read(BLOCK_BYTES)
            at_end = not data
            if on_bytes is not None:
                on_bytes(data)
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
                yield _parse(lines, line, problems)
                line += lines.count(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                problems.add(line, _too_long())
                rest, dropping = b"", True
            if at_end:
                return


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


def _parse(data: bytes, first_line: int, problems: Problems) -> Block:
    """The lines of `data`, which ends with a newline: at numpy's speed when all are plain, one by one otherwise."""
    data = data.replace(b"\r\n", b"\n")
    special = data.startswith(b"#") or any(mark in data for mark in (b"\r", b"\0", b"\n#"))
    if not special:
        try:
            codes = _codes(data)
        except UnicodeDecodeError:
            pass
        else:
            block = _split(codes, first_line)
            if block is not None:
                return block
    good: list[str] = []
    numbers: list[int] = []
    for number, line in enumerate(data.split(b"\n")[:-1], first_line):
        if not line.strip() or line.startswith(b"#"):
            continue
        wrong = _fault(line)
        if wrong:
            problems.add(number, wrong)
        else:
            good.append(line.decode("utf-8") + "\n")
            numbers.append(number)
    block = _split(_codes("".join(good).encode("utf-8")), 0)
    assert block is not None, "lines that passed every check have one comma each"
    return Block(block.codes, block.start, block.comma, block.end, np.array(numbers, dtype=np.int64))


def _codes(data: bytes) -> Codes:
    return np.frombuffer(data, dtype=np.uint8) if data.isascii() else codes_of(data.decode("utf-8"))


def _split(codes: Codes, first_line: int) -> Block | None:
    """Lines that have exactly one comma each, or None when some line has not."""
    end, comma = np.flatnonzero(codes == _NEWLINE), np.flatnonzero(codes == _COMMA)
    start = np.concatenate(([0], end[:-1] + 1)) if len(end) else end
    if len(comma) != len(end) or not ((start <= comma) & (comma < end)).all():
        return None
    return Block(codes, start, comma, end, np.arange(first_line, first_line + len(end)))


def _fault(line: bytes) -> str | None:
    """The error of one line, if any."""
    if b"\0" in line:
        return "a NUL byte; is this a text file?"
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not valid UTF-8"
    if "\r" in text:
        return "a carriage return inside the line"
    commas = text.count(",")
    if commas == 1:
        return None
    shown = text if len(text) <= 40 else text[:40] + "..."
    return f"{'no comma' if commas == 0 else f'{commas} commas'} in {shown!r}"
