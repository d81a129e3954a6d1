"""What held-out pairs say of an alignment: how far around the cursor a step depends on the input, and how often that
settles the whole output.

The judge is a decision list (Rivest 1987): each window that was seen in training predicts the chunk that it had most
often, and the most reliable window decides. It takes a fraction of a second and is a little worse than a small model.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.monotone.lattice import Floats, joined
from ahx.data.ragged import Ints, offsets_of, positions_of
from ahx.data.split import Hashes

WIDEST = 6  # cells on either side of the cursor
_DOUBT = 0.1  # how many times a view is taken to have been wrong, beyond what was seen
_HELD_OUT = 5  # every fifth pair
_SAME = 1.02, 1e-4  # errors that exceed the least ones by this factor and share are no worse
_NOISE, _MARGIN = 0.001, 2  # from this share of wrong chunks on, a window is so much wider than the list needs
_FAR = 0.8  # times the errors, or less: where the list also sees the ends of the input
_NARROW = 0.95  # times the errors with narrower windows, or less


class Places(NamedTuple):
    """All places of all inputs, the end mark included, laid end to end."""

    symbols_M: Ints  # by number, from 1 on
    chunks_M: Ints  # what is written there, by number
    lengths: Ints  # places of each input


class Evidence(NamedTuple):
    """How well windows determine what is written."""

    reads: tuple[int, int]  # the window: first and last offset from the cursor
    whole: bool  # whether symbols decide as well that are farther away
    settled: float  # share of held-out pairs whose chunks are all predicted
    falling: float = 1.0  # errors with the widest windows, as a share of those with narrower ones

    @property
    def narrow(self) -> bool:
        """Whether even the widest windows are too narrow: errors still fall there, so symbols beyond them decide."""
        return self.falling < _NARROW


def gather(places: Places) -> Evidence:
    """The narrowest window that predicts as well as any, and how well it does."""
    views, near, far = _Views(places), [], []
    ends = [views.end(end) for end in (0, 1)]
    for radius in range(WIDEST + 1):
        views.add(views.window(radius))
        for offset in (-radius, radius) if radius > 1 else ():
            views.add(views.reach(offset))
        found = views.copy()
        found.add(views.distances(radius))
        near.append((found.errors(), found.settled()))
        for end in ends:
            found.add(end)
        far.append((found.errors(), found.settled()))
        if not near[-1][0]:
            break
    ends_tell = min(far)[0] < _FAR * min(near)[0] - _SAME[1]
    falling = 1.0
    if not ends_tell and len(near) > WIDEST and near[-1][0] > _NOISE:
        falling = min(1.0, (near[-1][0] + _SAME[1]) / near[-1 - _MARGIN][0])
    lists = far if ends_tell else near
    most = min(lists)[0] * _SAME[0] + _SAME[1]
    radius = next(r for r, (errors, _) in enumerate(lists) if errors <= most)
    errors, settled = lists[radius]
    if errors > _NOISE:
        radius = min(radius + _MARGIN, WIDEST)
    return Evidence((-radius, radius), ends_tell or falling < _NARROW, settled, falling)


class _Views:
    """A decision list over views of every place, which grows by one view after the other."""

    def __init__(self, places: Places) -> None:
        self.places = places
        lengths = places.lengths
        self.at_M, self.pair_M = positions_of(lengths), np.repeat(np.arange(len(lengths)), lengths)
        self.held_out_M = self.pair_M % _HELD_OUT == 0
        # The inputs with an edge on either side, to read neighbours from.
        wide = lengths + 2 * WIDEST
        self.cell_M = np.repeat(offsets_of(wide)[:-1] + WIDEST, lengths) + self.at_M
        self.cells = np.zeros(offsets_of(wide)[-1], np.uint64)
        self.cells[self.cell_M] = places.symbols_M
        self.certainty_M: Floats = np.full(len(self.at_M), -1.0)
        self.chunk_M: Ints = np.full(len(self.at_M), -1)

    def copy(self) -> "_Views":
        other = object.__new__(_Views)
        other.__dict__.update(self.__dict__)
        other.certainty_M, other.chunk_M = self.certainty_M.copy(), self.chunk_M.copy()
        return other

    def window(self, radius: int) -> Hashes:
        """The cells up to `radius` from each place, as a number."""
        view_M = np.full(len(self.at_M), radius, np.uint64)
        for offset in range(-radius, radius + 1):
            view_M = joined(view_M, self.cells[self.cell_M + offset])
        return view_M

    def reach(self, offset: int) -> Hashes:
        """The nearest cells, and the one at `offset`."""
        return joined(self.window(1), self.cells[self.cell_M + offset]) + np.uint64(offset % (2 * WIDEST + 1))

    def distances(self, radius: int) -> Hashes:
        """The nearest cells, and how far each end of the input is, up to `radius`."""
        ends_M = np.repeat(self.places.lengths, self.places.lengths) - self.at_M
        view_M = joined(self.window(min(radius, 1)), np.minimum(self.at_M, radius))
        return joined(view_M, np.minimum(ends_M, radius + 1))

    def end(self, end: int) -> Hashes:
        """The nearest cells, and two at the beginning or at the end of the input."""
        ends = offsets_of(self.places.lengths + 2 * WIDEST)
        first, last = ends[:-1] + WIDEST, ends[1:] - WIDEST - 2  # the end mark is the very last
        view_M = self.window(1)
        for offset in (0, 1):
            view_M = joined(view_M, self.cells[(last - offset if end else first + offset)[self.pair_M]])
        return view_M

    def add(self, view_M: Hashes) -> None:
        """Let `view_M` decide wherever it is more certain than the views before."""
        number_M: Ints = np.unique(view_M, return_inverse=True)[1]
        chunks = int(self.places.chunks_M.max(initial=0)) + 1
        train_M = ~self.held_out_M
        seen, times = np.unique(number_M[train_M] * chunks + self.places.chunks_M[train_M], return_counts=True)
        views = int(number_M.max(initial=0)) + 1
        total = np.bincount(seen // chunks, times, views)
        order = np.argsort(times, kind="stable")
        best, most = np.full(views, -1), np.zeros(views)
        best[seen[order] // chunks], most[seen[order] // chunks] = seen[order] % chunks, times[order]
        certainty_M = (most / (total + _DOUBT))[number_M]
        better_M = certainty_M > self.certainty_M
        self.certainty_M[better_M], self.chunk_M[better_M] = certainty_M[better_M], best[number_M[better_M]]

    def wrong(self) -> npt.NDArray[np.bool_]:
        """The held-out places where the list is wrong."""
        wrong_M: npt.NDArray[np.bool_] = self.held_out_M & (self.chunk_M != self.places.chunks_M)
        return wrong_M

    def errors(self) -> float:
        """The share of held-out places where it is."""
        return float(self.wrong().sum()) / max(1, int(self.held_out_M.sum()))

    def settled(self) -> float:
        """The share of held-out pairs without such a place."""
        pairs = len(self.places.lengths)
        failed = len(np.unique(self.pair_M[self.wrong()]))
        return 1.0 - failed / max(1, -(-pairs // _HELD_OUT))
