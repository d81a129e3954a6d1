"""A block of lines of a data file, and what is wrong with lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Codes, Ints, codes_of, inside, text_of
from ahx.data.split import Hashes, hash_strings
from ahx.errors import InputError
from ahx.text.plural import counted

_SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Block:
    """Some lines of a file. Line i is codes[start[i]:comma[i]], a separator, codes[comma[i]+1:end[i]]."""

    codes: Codes
    start: Ints
    comma: Ints
    end: Ints
    number: Ints  # of the line in its file, from 1
    text: "Block | None" = None  # the lines as text, where `codes` has one code point for each token

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

    @cached_property
    def hashes(self) -> Hashes:
        """A hash of the text of every input."""
        return self.text.hashes if self.text else hash_strings(self.inputs, self.input_lengths)

    def select(self, rows: npt.NDArray[np.bool_]) -> "Block":
        """The lines where `rows` is true."""
        text = self.text.select(rows) if self.text else None
        return Block(self.codes, self.start[rows], self.comma[rows], self.end[rows], self.number[rows], text)

    def pairs(self) -> list[tuple[str, str]]:
        """The lines as (input, output)."""
        text = self.codes.tobytes().decode("ascii") if self.codes.itemsize == 1 else text_of(self.codes.astype("<u4"))
        spans = zip(self.start.tolist(), self.comma.tolist(), self.end.tolist(), strict=True)
        return [(text[start:comma], text[comma + 1 : end]) for start, comma, end in spans]


def block_of(
    pairs: Sequence[tuple[str, str]], number: Ints | Sequence[int] | None = None, text: Block | None = None
) -> Block:
    """Pairs of input and output as a block of lines; any symbols are allowed."""
    whole = "".join([f"{text},{output}\n" for text, output in pairs])
    inputs, outputs = (np.fromiter((len(pair[at]) for pair in pairs), np.int64, len(pairs)) for at in (0, 1))
    end = np.cumsum(inputs + outputs + 2) - 1
    comma = end - outputs - 1
    codes = np.frombuffer(whole.encode("ascii"), dtype=np.uint8) if whole.isascii() else codes_of(whole)
    lines = np.arange(1, len(pairs) + 1) if number is None else np.asarray(number, np.int64)
    return Block(codes, comma - inputs, comma, end, lines, text)


@dataclass
class Problems:
    """Malformed lines of one file, collected so that all are reported together."""

    path: Path
    form: str = "input,output"  # what each line must read
    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)
    # Comments that may be data, before the data and among them: how many, and the first one's number.
    before: list[int] = field(default_factory=lambda: [0, 0])
    comments: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, line: int, what: str) -> None:
        """Note that line number `line` is malformed."""
        self.count += 1
        if len(self.first) < _SHOWN_PROBLEMS:
            self.first.append((line, what))

    def comment(self, line: int, among: bool) -> None:
        """Note that line number `line` is a comment, and whether it is among the data."""
        tally = self.comments if among else self.before
        tally[:] = tally[0] + 1, tally[1] or line

    def empty(self) -> InputError:
        """The error of a file without data."""
        count = self.before[0] + self.comments[0]
        comments = f" but {counted(count, 'comment')}, a line that begins with #" if count else ""
        return InputError(f"{self.path} has no data lines{comments}; give a file with one input,output per line")

    def raise_if_any(self) -> None:
        """Raises InputError that lists the first malformed lines and counts the others."""
        if not self.count:
            return
        lines = [f"\n  line {number:,}: {what}" for number, what in self.first]
        more = self.count - len(self.first)
        raise InputError(
            f"{self.path}: {counted(self.count, 'malformed line')}; each must read {self.form}; "
            f"fix or delete {'them' if self.count > 1 else 'it'}:{''.join(lines)}"
            + (f"\n  and {more:,} more" if more else "")
        )
