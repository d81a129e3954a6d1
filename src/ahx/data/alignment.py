"""Alignments: steps for pairs whose rule is unknown, from which output symbols belong to which input symbol.

If every input symbol always turns into the same number of output symbols, then the counts of symbols in the input
predict the length of the output, linearly; so least squares finds the numbers. The output is then cut into one chunk
per input symbol, read from the left or, as for string reversal, from the right.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal

import numpy as np

from ahx.errors import InputError
from ahx.rules.transducer import SILENT, STOP, Step

Side = Literal["left", "right"]
_FITTED_PAIRS = 4_000
_MOST_UNCERTAINTY = 0.1  # bits per symbol: room for some noise
_MAX_SYMBOLS = 2_000  # least squares takes seconds beyond this


@dataclass(frozen=True)
class Alignment:
    """Each input symbol, read from the `start` end, writes `lengths[symbol]` output symbols."""

    start: Side
    lengths: dict[str, int]

    def __post_init__(self) -> None:
        if self.start not in ("left", "right") or any(length < 0 for length in self.lengths.values()):
            raise InputError(f"{self} is not an alignment; start is left or right, and lengths are 0 or more")

    @property
    def move(self) -> int:
        """How the cursor moves after a symbol."""
        return 1 if self.start == "left" else -1

    def fits(self, text: str, output: str) -> bool:
        """Whether `output` has the length that this alignment expects of `text`."""
        return all(s in self.lengths for s in text) and sum(map(self.lengths.__getitem__, text)) == len(output)

    def chunks(self, text: str, output: str) -> Iterator[tuple[int, str]]:
        """The positions of `text` in reading order, each with what it writes.

        Raises InputError when the output has another length than the alignment expects.
        """
        if not self.fits(text, output):
            raise InputError(
                f"{output[:40]!r} is not what {text[:40]!r} should give by length: "
                f"each symbol gives {', '.join(f'{symbol}: {n}' for symbol, n in list(self.lengths.items())[:30])}"
            )
        at = 0
        for position in range(len(text)) if self.start == "left" else range(len(text) - 1, -1, -1):
            length = self.lengths[text[position]]
            yield position, output[at : at + length]
            at += length

    def steps(self, text: str, output: str) -> list[Step]:
        """Write each chunk, counting in the state, and move on with its last symbol; then stop."""
        steps: list[Step] = []
        for _, chunk in self.chunks(text, output):
            steps += [Step(symbol, 0, str(i)) for i, symbol in enumerate(chunk[:-1], 1)]
            steps.append(Step(chunk[-1:] or SILENT, self.move))
        return [*steps, Step(STOP)]


def plain_steps(output: str) -> list[Step]:
    """Only the symbols and a stop, for position schemes without a cursor."""
    return [*(Step(symbol) for symbol in output), Step(STOP)]


def infer_alignment(pairs: Iterable[tuple[str, str]]) -> Alignment | None:
    """The alignment that fits all `pairs`, or None when output lengths are not such a function of the input.

    The side is the one from which chunks depend on the least context: on the symbol alone, else (by conditional
    entropy) on the symbol and its two neighbours. It is left when both are equal.
    """
    distinct = list(dict.fromkeys(pairs))
    lengths = _symbol_lengths(distinct)
    if lengths is None:
        return None
    left, right = Alignment("left", lengths), Alignment("right", lengths)
    if not all(left.fits(text, output) for text, output in distinct):
        return None
    sample = distinct[:_FITTED_PAIRS]
    from_left, from_right = _uncertainty(left, sample), _uncertainty(right, sample)
    if min(from_left, from_right)[1] > _MOST_UNCERTAINTY:
        return None  # lengths fit, but the chunks do not depend on the symbols there (as in sorting)
    return left if from_left <= from_right else right


def _symbol_lengths(pairs: Sequence[tuple[str, str]]) -> dict[str, int] | None:
    """How many output symbols each input symbol gives, or None when the numbers are not integers.

    Least squares over the first pairs and all later ones that bring a new symbol.
    """
    symbols: dict[str, int] = {}
    sample: list[tuple[str, str]] = []
    for i, (text, output) in enumerate(pairs):
        new = set(text) - symbols.keys()
        if i < _FITTED_PAIRS or new:
            sample.append((text, output))
            for symbol in sorted(new):
                symbols[symbol] = len(symbols)
    if not symbols or len(symbols) > _MAX_SYMBOLS:
        return None
    counts = np.zeros((len(sample), len(symbols)))
    for row, (text, _) in enumerate(sample):
        for symbol, count in Counter(text).items():
            counts[row, symbols[symbol]] = count
    solution = np.linalg.lstsq(counts, np.array([float(len(output)) for _, output in sample]), rcond=None)[0]
    rounded = np.rint(solution)
    if (rounded < 0).any() or (np.abs(rounded - solution) > 0.01).any():
        return None
    return {symbol: int(rounded[column]) for symbol, column in sorted(symbols.items())}


def _uncertainty(alignment: Alignment, pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Entropy in bits of a chunk given its symbol, and given the neighbours as well."""
    by_symbol: dict[str, Counter[str]] = defaultdict(Counter)
    by_window: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for text, output in pairs:
        for position, chunk in alignment.chunks(text, output):
            symbol = text[position]
            by_symbol[symbol][chunk] += 1
            by_window[text[position - 1 : position], symbol, text[position + 1 : position + 2]][chunk] += 1
    alone = _conditional_entropy(by_symbol.values())
    # A function of the symbol alone is best; otherwise only the wider window counts. A window that was seen once is no
    # evidence; if all were, only the entropy given the symbol is known.
    repeated = [counts for counts in by_window.values() if counts.total() > 1]
    return (0.0, 0.0) if alone == 0 else (1.0, _conditional_entropy(repeated) if repeated else alone)


def _conditional_entropy(groups: Iterable[Counter[str]]) -> float:
    """Bits per chunk, given its group."""
    bits, total = 0.0, 0
    for counts in groups:
        size = sum(counts.values())
        bits -= sum(count * log2(count / size) for count in counts.values() if count < size)
        total += size
    return bits / total if total else 0.0
