"""Reads data files of any format into blocks of tokens, and notes what is odd about them."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ahx.data.alignment import Alignment
from ahx.data.files.block import Block, Problems, block_of
from ahx.data.files.blocks import read_blocks
from ahx.data.files.format import Format, Reading, guess
from ahx.data.files.odd import fitting
from ahx.data.ragged import Codes
from ahx.data.seen import Seen
from ahx.data.segmentation import Segmentation
from ahx.data.split import VALIDATION_FRACTION, Hashes, held_out
from ahx.text.plural import counted

_SPACES = (9, 32, 0xA0, 0x3000)
_QUOTE = 34
_MISSING = ("", "NaN", "nan", "None", "NULL", r"\N")
_HASHES_AT_ONCE = 1 << 18
_EXAMPLES = 3
_NOTED = ("share", "lines", "first", "spaced", "quoted", "missing", "before", "comments", "odd", "examples")


class Reader:
    """Reads files as `reading` says, or as their beginnings look, and cuts strings into the tokens of `segmentation`.

    `share` of all inputs is held out for validation, by their hashes. `surveys` has what was found in the files that
    have been read to their ends.
    """

    def __init__(
        self, reading: Reading | None = None, segmentation: Segmentation | None = None,
        share: float = VALIDATION_FRACTION,
    ) -> None:  # fmt: skip
        self.reading, self.segmentation, self.share = reading or Reading(), segmentation or Segmentation(), share
        self.alignment: Alignment | None = None  # lines that do not fit it are left out
        self.surveys: dict[Path, Survey] = {}
        self._formats: dict[Path, Format] = {}

    def format_of(self, path: Path) -> Format:
        """The format of `path`. Raises InputError and StorageError."""
        if path not in self._formats:
            form = self._formats[path] = guess(path, self.reading)
            self.reading = replace(self.reading, names=self.reading.names or form.named)
        return self._formats[path]

    def recipe(self, path: Path) -> list[object]:
        """What the rows of `path` depend on besides its content and the tokenizer."""
        return [asdict(self.format_of(path)), self.alignment is not None]

    def texts(
        self, path: Path, problems: Problems, on_bytes: Callable[[bytes], None] = lambda data: None
    ) -> Iterator[Block]:
        """The lines of `path` as text, normalised. Raises InputError and StorageError."""
        cut = self.segmentation
        for block in read_blocks(path, problems, on_bytes, self.format_of(path)):
            yield block if cut.changes_nothing else block_of([cut.canonical(*p) for p in block.pairs()], block.number)

    def blocks(
        self,
        path: Path,
        problems: Problems,
        on_bytes: Callable[[bytes], None] = lambda data: None,
        survey: bool = False,
    ) -> Iterator[Block]:
        """The lines of `path` with one code point for each token. Raises InputError and StorageError."""
        cut = self.segmentation
        found = Survey(self.share)
        for block in self.texts(path, problems, on_bytes):
            if survey:
                found.add(block)
            if cut.has_words:
                pairs = [(cut.source_symbols(text), cut.target_symbols(output)) for text, output in block.pairs()]
                block = block_of(pairs, block.number, block)
            if self.alignment is not None:
                fits = fitting(block, self.alignment)
                if survey and not fits.all():
                    found.add_odd((block.text or block).select(~fits))
                block = block.select(fits)
            yield block
        if survey:
            self.surveys[path] = found.closed(problems)

    def notes(self) -> list[str]:
        """Sentences about the files that have been read."""
        return [
            sentence for path, found in self.surveys.items() for sentence in found.notes(path, self.format_of(path))
        ]


class Survey:
    """What is odd about the lines of one file, and sketches of its inputs: of `share` of them, and of the others.

    `spaced`, `quoted`, `missing`, `before` and `comments` are how many lines have that, and the number of the first.
    `odd` lines do not fit what all others do; `examples` are the first of these.
    """

    def __init__(self, share: float) -> None:
        self.share, self.lines, self.first, self.seen, self.held = share, 0, ["", ""], Seen(), Seen()
        self.spaced, self.quoted, self.missing, self.before, self.comments = ([0, 0] for _ in range(5))
        self.odd, self.examples = 0, list[str]()
        self._pending: list[Hashes] = []

    def add(self, block: Block) -> None:
        """Look at some lines."""
        if not len(block):
            return
        if not self.lines:
            self.first = list(block.select(block.number == block.number[0]).pairs()[0])
        self.lines += len(block)
        self._pending.append(block.hashes)
        if sum(map(len, self._pending)) > _HASHES_AT_ONCE:
            self._sketch()
        fields = [(block.start, block.comma, block.input_lengths), (block.comma + 1, block.end, block.output_lengths)]
        spaced, quoted, missing = np.zeros((3, len(block)), dtype=np.bool_)
        for start, end, length in fields:
            first, last = block.codes[np.minimum(start, len(block.codes) - 1)], block.codes[end - 1]
            spaced = spaced | ((_among(first, _SPACES) | _among(last, _SPACES)) & (length > 0))
            quoted = quoted | ((first == _QUOTE) & (last == _QUOTE) & (length > 1))
            for word in _MISSING:
                same = np.flatnonzero(length == len(word))
                for at, symbol in enumerate(word):
                    same = same[block.codes[start[same] + at] == ord(symbol)]
                missing[same] = True
        for rows, tally in ((spaced, self.spaced), (quoted, self.quoted), (missing, self.missing)):
            if rows.any():
                tally[:] = tally[0] + int(rows.sum()), tally[1] or int(block.number[rows.argmax()])

    def add_odd(self, block: Block) -> None:
        """Note lines that do not fit."""
        self.odd += len(block)
        for number, pair in zip(block.number.tolist(), block.pairs(), strict=True):
            if len(self.examples) == _EXAMPLES:
                break
            self.examples.append(f"line {number:,}: {_shown(pair)}")

    def closed(self, problems: Problems) -> Self:
        """This survey, once the file has been read."""
        self._sketch()
        self.before, self.comments = problems.before, problems.comments
        return self

    def _sketch(self) -> None:
        if self._pending:
            hashes, self._pending = np.concatenate(self._pending), []
            held = held_out(hashes, self.share)
            self.seen, self.held = self.seen.add(hashes[~held]), self.held.add(hashes[held])

    def notes(self, path: Path, form: Format) -> list[str]:
        """Sentences for the user."""
        doubt = "; if these are names of columns, say --header yes" if form.names and not form.header else ""
        notes = [f"{path}: {counted(self.lines, 'sample')}, {form}; the first is {_shown(self.first)}{doubt}"]
        if self.odd:
            more = ", ..." if self.odd > len(self.examples) else ""
            notes.append(
                f"{path}: {self.odd:,} of {counted(self.lines, 'line')} do not fit what all others do, and are left "
                f"out ({', '.join(self.examples)}{more}); correct them, or learn them too with --pos alibi"
            )
        removed = "" if form.quoted else "; --format csv removes them"
        below = "a header above it" + " with --format csv" * (form.kind == "plain")
        for (count, first), what in (
            (self.missing, r"with a field that is empty, NaN, None, NULL or \N, learnt as it is"),
            (self.spaced, "with a space at an end of a field, learnt as a symbol; --normalize strip removes it"),
            (self.quoted, f"with a field in quotes, learnt as symbols{removed}"),
            (self.before, f"before the data with # at its begin, left out as a comment; {below} reads it as data"),
            (self.comments, "among the data with # at its begin, left out as a comment; --format csv reads it as data"),
        ):
            if count:
                notes.append(f"{path}: {counted(count, 'line')} (first: line {first:,}) {what}")
        return notes

    def to_json(self) -> dict[str, object]:
        sketches = {name: base64.b64encode(getattr(self, name).to_bytes()).decode() for name in ("seen", "held")}
        return {name: getattr(self, name) for name in _NOTED} | sketches

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ValueError and LookupError for anything that `to_json` does not give."""
        found = cls(data["share"])
        for name in _NOTED:
            setattr(found, name, data[name])
        for name in ("seen", "held"):
            setattr(found, name, Seen.from_bytes(base64.b64decode(data[name])))
        return found


def _shown(pair: Sequence[str]) -> str:
    return " -> ".join(repr(text if len(text) <= 40 else text[:40] + "...") for text in pair)


def _among(codes: Codes, some: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(codes), dtype=np.bool_)
    for one in some:
        found |= codes == one
    return found
