"""What an interpreter is asked, and what its programs may offer: all that a certificate enumerates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ahx.data.ragged import Ints


class LookupQuestions(NamedTuple):
    """N questions, each a context, the token of the program that is to be fetched, and the right answer.

    Questions of one context stand together.
    """

    previous_N: Ints  # the newest token but one
    newest_N: Ints
    window_NK: Ints  # the cells around the cursor
    group_N: Ints  # the group of tokens that can be fetched in this context; -1 for none but `<`
    fetched_N: Ints  # the number of the token to fetch
    answer_N: Ints

    def select(self, which: Ints | slice) -> "LookupQuestions":
        """Some of the questions."""
        return LookupQuestions(*(part[which] for part in self))

    @property
    def context_NX(self) -> Ints:
        """What a question is about, apart from the program."""
        return np.column_stack([self.previous_N, self.newest_N, self.window_NK])


class Block(NamedTuple):
    """Tokens in groups; of each group a program has one token at most."""

    groups: int
    size: int
    together: bool  # the tokens of a group stand together: (groups, size), else (size, groups)

    def number(self, group: Ints, within: Ints) -> Ints:
        """The number in the block of a token of a group."""
        number: Ints = group * self.size + within if self.together else within * self.groups + group
        return number


@dataclass(frozen=True)
class LookupTask:
    """The questions of an interpreter, and the M tokens that a program may have."""

    begin: int  # `<`
    heads: str  # the kinds of heads that layer 1 may have: with s, it also sees the newest token but one
    offsets: tuple[int, ...]  # of the cells around the cursor
    machine: dict[str, int]  # the sizes of programs, for the certificate
    tokens_2M: Ints  # each token with the one before it; the last one is `<`, where heads look when no rule fits
    blocks: tuple[Block, ...]  # of all tokens but `<`
    questions: LookupQuestions
    some: Callable[[np.random.Generator], Ints]  # tokens that a step of training compares with those to fetch
    example: Callable[[int, int], object]  # a question, and a rival token, as options of `ahx interpret`; or None

    @property
    def group_M(self) -> Ints:
        """The group of each token; -1 for `<`."""
        parts, first = [], 0
        for groups, size, together in self.blocks:
            own = np.arange(first, first + groups)
            parts.append(np.repeat(own, size) if together else np.tile(own, size))
            first += groups
        return np.concatenate([*parts, [-1]])
