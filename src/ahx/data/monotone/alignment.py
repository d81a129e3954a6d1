"""Finds a monotone alignment in pairs of strings, if there is one, and turns pairs into steps by it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from ahx.data.alignment import Alignment, Side
from ahx.data.monotone.chunks import Chunks
from ahx.data.monotone.evidence import WIDEST, Evidence, Places, gather
from ahx.data.monotone.expectation import fit_chunks
from ahx.data.monotone.lattice import hash_chunks
from ahx.data.ragged import Codes, Ints, codes_of, offsets_of, positions_of
from ahx.data.split import hash_texts, mix
from ahx.rules.transducer import SILENT, STOP, Step
from ahx.text.plural import counted

A = TypeVar("A", Codes, Ints)

_LONGEST = 20  # symbols in a chunk
_LEAST_LONGEST = 3
_MOST_RATIO = 10  # of output symbols to input symbols
_CELLS = 1_000_000  # of the lattice that chunks are fitted to
_CELLS_TO_CHOOSE = 400_000  # of the one that chooses the side
_FEWEST_PAIRS = 50
_SYMBOLS = 100_000  # in the pairs that are evidence
_LEAST_SETTLED = 0.1  # share of held-out pairs that must follow from windows


@dataclass(frozen=True)
class MonotoneAlignment:
    """Each input symbol, read from the `start` end, writes a chunk; the end mark writes what is left."""

    start: Side
    chunks: Chunks
    evidence: Evidence

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return {"start": self.start, **asdict(self.chunks), **self.evidence._asdict()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "MonotoneAlignment":
        """Raises InputError, LookupError, TypeError or ValueError for what `to_json` does not write."""
        if data["start"] not in ("left", "right"):
            raise ValueError(data["start"])
        chunks = Chunks(*(data[name] for name in ("longest", "outputs", "alone", "after", "before")))
        (low, high), whole, settled = data["reads"], bool(data["whole"]), float(data["settled"])
        if not -WIDEST <= low <= high <= WIDEST:
            raise ValueError(data["reads"])
        chunks.check(_LONGEST)
        falling = float(data.get("falling", 1))
        return cls(data["start"], chunks, Evidence((low, high), whole, settled, falling))

    @property
    def move(self) -> int:
        """How the cursor moves after a symbol."""
        return 1 if self.start == "left" else -1

    def align(self, inputs: Codes, input_lengths: Ints, outputs: Codes, output_lengths: Ints) -> Ints:
        """How many symbols each input symbol writes, in the order of reading, and then the end mark.

        For pairs that lie end to end. Raises InputError for a pair that is too long.
        """
        return self.chunks.align(
            in_reading_order(inputs, input_lengths, self.start), input_lengths, outputs, output_lengths
        )

    def steps(self, text: str, output: str) -> list[Step]:
        """Write each chunk, counting in the state, and move on with its last symbol; then write the rest, and stop."""
        lengths = [np.array([len(side)]) for side in (text, output)]
        *written, _ = self.align(codes_of(text), lengths[0], codes_of(output), lengths[1]).tolist()
        steps: list[Step] = []
        at = 0
        for length in written:
            steps += [self._waiting(symbol, i) for i, symbol in enumerate(output[at : at + max(length, 1) - 1], 1)]
            at += length
            steps.append(Step(output[at - 1] if length else SILENT, self.move))
        return [*steps, *(self._waiting(symbol, i) for i, symbol in enumerate(output[at:], 1)), Step(STOP)]

    def _waiting(self, symbol: str, done: int) -> Step:
        return Step(symbol, 0, str(min(done, self.chunks.longest)))


def in_reading_order(inputs: A, lengths: Ints, start: Side) -> A:
    """Inputs, or values of their symbols, that lie end to end, each one reversed if it is read from the right."""
    if start == "left":
        return inputs
    ends = offsets_of(lengths)[1:]
    reordered: A = inputs[np.repeat(ends, lengths) - 1 - positions_of(lengths)]
    return reordered


def find_monotone(pairs: Sequence[tuple[str, str]]) -> MonotoneAlignment | str:
    """The alignment that explains `pairs`, or why there is none."""
    pairs = list({text: (text, output) for text, output in pairs if text}.values())
    if len(pairs) < _FEWEST_PAIRS:
        return f"there are only {counted(len(pairs), 'different input')}"
    ratio = sum(len(output) for _, output in pairs) / sum(len(text) for text, _ in pairs)
    if ratio > _MOST_RATIO:
        return f"outputs are {ratio:.0f} times as long as inputs"
    longest = min(max(_LEAST_LONGEST, int(np.ceil(2 * ratio)) + 1), _LONGEST)
    order = np.argsort(mix(hash_texts([text for text, _ in pairs])), kind="stable")  # a file may be sorted
    pairs = [pairs[n] for n in order.tolist()]
    found: dict[Side, float] = {}
    sizes = [len(text) * (len(output) + 1) * (longest + 1) for text, output in pairs]
    few, many = (_up_to(pairs, sizes, cells) for cells in (_CELLS_TO_CHOOSE, _CELLS))
    if len(few) < _FEWEST_PAIRS:
        return "the lines are too long"
    sides: tuple[Side, Side] = ("left", "right")
    for side in sides:
        fitted = fit_chunks(_read_from(few, side), longest)
        if fitted is None:
            return "there are too many different symbols"
        found[side] = fitted[1]
    start: Side = "left" if found["left"] <= found["right"] else "right"
    fitted = fit_chunks(_read_from(many, start), longest)
    if fitted is None:
        return "there are too many different symbols"
    pairs = _read_from(_up_to(pairs, [len(text) + 1 for text, _ in pairs], _SYMBOLS), start)
    evidence = _evidence(pairs, *fitted[0].places(pairs))
    if evidence.settled < _LEAST_SETTLED:
        return f"steps from the {start} settle only {evidence.settled:.1%} of held-out lines"
    return MonotoneAlignment(start, fitted[0], evidence)


def _up_to(pairs: Sequence[tuple[str, str]], sizes: Sequence[int], most: int) -> Sequence[tuple[str, str]]:
    """The first pairs, as many as have together that size."""
    return pairs[: int(np.searchsorted(np.cumsum(sizes), most))]


def _read_from(pairs: Sequence[tuple[str, str]], start: Side) -> list[tuple[str, str]]:
    return [(text if start == "left" else text[::-1], output) for text, output in pairs]


def windows(alignment: Alignment, pairs: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """The first and last offset from the cursor on which the steps of `alignment` depend, by the `pairs`."""
    pairs = list({text: (text, output) for text, output in pairs if text and alignment.fits(text, output)}.values())
    if len(pairs) < _FEWEST_PAIRS:
        return 0, 0
    pairs = _read_from(_up_to(pairs, [len(text) + 1 for text, _ in pairs], _SYMBOLS), alignment.start)
    numbers = {symbol: n for n, symbol in enumerate(alignment.lengths, 1)}
    written = [[*(alignment.lengths[symbol] for symbol in text), 0] for text, _ in pairs]
    return _evidence(
        pairs,
        np.array([number for text, _ in pairs for number in (*map(numbers.__getitem__, text), 0)], np.int64),
        np.array([length for lengths in written for length in lengths], np.int64),
    ).reads


def _evidence(pairs: Sequence[tuple[str, str]], symbols: Ints, written: Ints) -> Evidence:
    """The evidence of `pairs`, from the number of each symbol, and of the end mark, and how much it writes."""
    outputs = codes_of("".join(output for _, output in pairs))
    lengths = np.array([len(text) + 1 for text, _ in pairs], np.int64)
    return gather(Places(symbols, np.unique(hash_chunks(outputs, written), return_inverse=True)[1], lengths))
