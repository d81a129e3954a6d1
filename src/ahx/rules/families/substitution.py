"""Single-pass substitution: `A -> AA, B -> ` reads from left to right and rewrites what it finds, once.

At each position the first listed rule that matches is applied, and reading goes on behind the match. Symbols that no
rule matches are copied. With `steps=N` the whole pass is done N times. Without rules it is the identity, `copy`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

from ahx.rules.language import Source, default_alphabet, never_applied, written_rule, written_spec
from ahx.rules.rule import Rule, check_growth, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, NEXT, RIGHT_EDGE, Step, Transducer, repeated, spelled, starts_with

Productions = tuple[tuple[str, str], ...]  # (left side, right side), in the order of the rule's text


@dataclass(frozen=True)
class Substitution(Rule):
    """Rewrites every left side by its right side, from left to right, `passes` times."""

    family = "substitution"
    example = "A -> AA"
    left_length: ClassVar[int | None] = None  # symbols on a left side, where they are fixed

    productions: Productions
    alphabet: str
    passes: int = 1

    @classmethod
    def read(cls, source: Source) -> Self:
        source.no_words(cls.example)
        source.check_options("alphabet", "steps")
        productions = tuple(source.productions(cls.left_length))
        if cls.left_length and not productions:
            source.fail(len(source.text), f"expected a rule for at least one symbol, as in {cls.example}")
        alphabet = source.alphabet(default_alphabet(*map("".join, productions)))
        return cls(productions, alphabet, source.steps(1) or 1)

    @property
    def spec(self) -> str:
        rules = [written_rule(left, right) for left, right in self.productions] or ["copy"]
        passes, alphabet = (self.passes, 1), (self.alphabet, default_alphabet(*map("".join, self.productions)))
        if self.left_length:
            return written_spec(self.family, rules, n=passes, alphabet=alphabet)
        return written_spec("", rules, steps=passes, alphabet=alphabet)

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        return limited(self._passes(text), limit)

    def _passes(self, text: str) -> Iterator[str]:
        yield text
        if not self.productions:
            yield text
            return
        rights = dict(self.productions)
        pattern = re.compile("|".join(re.escape(left) for left in rights))  # the first alternative that fits is taken
        table = str.maketrans(rights) if max(map(len, rights)) == 1 else None
        for _ in range(self.passes):
            check_growth(text, self.productions)
            text = pattern.sub(lambda found: rights[found[0]], text) if table is None else text.translate(table)
            yield text

    @property
    def remarks(self) -> list[str]:
        return never_applied([left for left, _ in self.productions], lambda earlier, left: left.startswith(earlier))

    @cached_property
    def _transducer(self) -> Transducer | None:
        return repeated(SubstitutionTransducer(self.productions), self.passes)

    def snippets(self) -> tuple[str, ...]:
        return tuple(left for left, _ in self.productions)


@dataclass(frozen=True)
class SubstitutionTransducer:
    """The transducer of endless passes: in state i, i letters of the right side at the cursor are written."""

    productions: Productions
    start: Literal["left"] = "left"

    @property
    def reads(self) -> tuple[int, int]:
        return 0, max((len(left) for left, _ in self.productions), default=1) - 1

    @cached_property
    def _by_first(self) -> dict[str, Productions]:
        firsts = dict.fromkeys(left[0] for left, _ in self.productions)
        return {first: tuple(p for p in self.productions if p[0][0] == first) for first in firsts}

    def step(self, state: str, view: Sequence[str]) -> Step:
        here = view[0]
        if here == RIGHT_EDGE:
            return Step(NEXT)
        for left, right in self._by_first.get(here, ()):
            if starts_with(view, left):
                return spelled(right, int(state or 0), len(left))
        return Step(here, 1)
