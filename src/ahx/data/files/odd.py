"""Lines that do not fit what all others do: a header, a space at an end, a mistake. A few of them are left out."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ahx.data.alignment import Alignment, infer_alignment
from ahx.data.files.block import Block
from ahx.data.ragged import totals_of

MOST_ODD = 0.02  # share of all lines
_PAIRS = 4_000
_MOST_SYMBOLS = 500


def nearly_aligned(pairs: Sequence[tuple[str, str]]) -> Alignment | None:
    """The alignment by fixed lengths that fits nearly all `pairs`, or None.

    Least squares over all pairs, rounded, are the lengths of most of them; the alignment is that of the pairs they fit.
    """
    times = Counter(pairs)
    sample = list(times)[:_PAIRS]
    weight = np.array([times[pair] for pair in sample], dtype=np.float64)
    column = {symbol: at for at, symbol in enumerate(sorted({symbol for text, _ in sample for symbol in text}))}
    if not column or len(column) > _MOST_SYMBOLS:
        return None
    counts = np.zeros((len(sample), len(column)))
    for row, (text, _) in enumerate(sample):
        for symbol, count in Counter(text).items():
            counts[row, column[symbol]] = count
    lengths = np.array([len(output) for _, output in sample], dtype=np.float64)
    fits = np.ones(len(sample), dtype=np.bool_)
    for _ in range(3):  # without the pairs that did not fit, the others are fitted better
        scale = np.sqrt(weight[fits])
        found = np.rint(np.linalg.lstsq(counts[fits] * scale[:, None], lengths[fits] * scale, rcond=None)[0])
        fits = (counts @ found == lengths) & ~((counts > 0) & (found < 0)).any(1)
        if weight[fits].sum() < (1 - 2 * MOST_ODD) * weight.sum():
            return None
    return None if fits.all() else infer_alignment(pair for pair, fit in zip(sample, fits.tolist(), strict=True) if fit)


def fitting(block: Block, alignment: Alignment) -> npt.NDArray[np.bool_]:
    """Which lines of `block` have outputs of the lengths that `alignment` says."""
    greatest = max(int(block.inputs.max(initial=0)), *map(ord, alignment.lengths), 0)
    table = np.full(greatest + 1, 1 << 40, dtype=np.int64)  # no output is as long
    for symbol, length in alignment.lengths.items():
        table[ord(symbol)] = length
    fits: npt.NDArray[np.bool_] = totals_of(table[block.inputs], block.input_lengths) == block.output_lengths
    return fits
