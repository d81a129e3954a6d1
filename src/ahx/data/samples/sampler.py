"""Random input strings: every length equally likely, with substrings on which a rule acts."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from ahx.data.ragged import Ints, codes_of, offsets_of, positions_of, text_of
from ahx.errors import InputError

_PLANTED_SHARE = 0.5
_MOST_PLANTED = 3


class Sampler:
    """Draws strings over `alphabet` with `min_len` to `max_len` symbols.

    Lengths and symbols are uniform. With `snippets` (such as the left-hand sides of a rule), half of the strings get
    one to three of them at random positions, cut at the end of the string: a left-hand side of five letters out of 26
    would otherwise hardly ever occur.

    Raises InputError for an empty or repeating alphabet, or impossible lengths.
    """

    def __init__(self, alphabet: str, min_len: int, max_len: int, snippets: Sequence[str] = ()) -> None:
        if not alphabet:
            raise InputError("the alphabet is empty; give at least one symbol, such as --alphabet AB")
        if twice := [symbol for symbol in alphabet if alphabet.count(symbol) > 1]:
            raise InputError(f"the alphabet {alphabet!r} has {twice[0]!r} more than once; give each symbol once")
        if min_len < 0:
            raise InputError(f"min_len is {min_len}; give 0 or more")
        if max_len < min_len:
            raise InputError(f"max_len is {max_len}, below min_len {min_len}; give at least {min_len}")
        self.alphabet, self.min_len, self.max_len = alphabet, min_len, max_len
        # A snippet with symbols outside the alphabet would make inputs that the rule does not expect.
        self.snippets = tuple(snippet for snippet in snippets if snippet and set(snippet) <= set(alphabet))
        self._codes = codes_of(alphabet)
        self._snippet_codes = codes_of("".join(self.snippets))
        self._snippet_lengths = np.array([len(snippet) for snippet in self.snippets], dtype=np.int64)

    def draw(self, rng: np.random.Generator, n: int) -> list[str]:
        """`n` strings, with repetitions."""
        lengths = rng.integers(self.min_len, self.max_len + 1, n, dtype=np.int64)
        offsets = offsets_of(lengths)
        codes = self._codes[rng.integers(0, len(self._codes), offsets[-1], dtype=np.uint32)]
        if self.snippets:
            planted = np.where(rng.random(n) < _PLANTED_SHARE, rng.integers(1, _MOST_PLANTED + 1, n), 0)
            for times in range(_MOST_PLANTED):
                rows = np.flatnonzero(planted > times)
                self._plant(rng, codes, offsets[rows], lengths[rows])
        text, ends = text_of(codes), offsets.tolist()
        return [text[start:end] for start, end in pairwise(ends)]

    def count(self) -> int:
        """The number of distinct strings."""
        k = len(self.alphabet)
        if k == 1:
            return self.max_len - self.min_len + 1
        return int((k ** (self.max_len + 1) - k**self.min_len) // (k - 1))

    def every(self) -> Iterator[str]:
        """Every distinct string, short ones first."""
        for length in range(self.min_len, self.max_len + 1):
            yield from map("".join, product(self.alphabet, repeat=length))

    def _plant(self, rng: np.random.Generator, codes: npt.NDArray[np.uint32], starts: Ints, lengths: Ints) -> None:
        """Write one random snippet into each of the strings of `codes` that begin at `starts`."""
        which = rng.integers(0, len(self.snippets), len(starts))
        room = np.maximum(lengths - self._snippet_lengths[which], 0)
        positions = rng.integers(0, room + 1)
        taken = np.minimum(self._snippet_lengths[which], lengths)
        within = positions_of(taken)
        snippet_starts = offsets_of(self._snippet_lengths)[which]
        planted = self._snippet_codes[np.repeat(snippet_starts, taken) + within]
        codes[np.repeat(starts + positions, taken) + within] = planted
