"""Tag systems and lag systems: symbols are deleted at the front, and a word is appended at the end.

`tag: 2; a -> bc, ...` deletes the first 2 symbols and appends the word of the first one. `lag: 2; ab -> c, ...` chooses
the word by the first 2 symbols but deletes only one. A run halts when too few symbols are left, or no rule fits.
Sources: Post, "Formal reductions of the general combinatorial decision problem" (1943); Wang, "Tag systems and lag
systems", Mathematische Annalen 1963.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Literal

from ahx.errors import InputError
from ahx.rules.families.substitution import Productions
from ahx.rules.language import Source, default_alphabet, written_rule, written_spec
from ahx.rules.queue_machine import Cells, QueueMachine
from ahx.rules.rule import Rule, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT, NEXT, RIGHT_EDGE, SILENT, STOP, Step, Transducer, repeated, spelled

MAX_WINDOW = 100


@dataclass(frozen=True)
class Tag(Rule):
    """A tag system: deletes the first `window` symbols, and appends the word of the first of them."""

    family = "tag"
    example = "tag: 2; a -> bc, b -> a"

    window: int
    productions: Productions
    alphabet: str
    max_steps: int | None = None

    @classmethod
    def read(cls, source: Source) -> "Tag":
        source.check_options("alphabet", "steps")
        if not source.words:
            source.fail(source.begin, f"expected a number of symbols first, as in {cls.example}")
        if len(source.words) > 1:
            source.fail(source.words[1].at, f"expected an arrow, as in {cls.example}")
        window = source.number(source.words[0], 1, MAX_WINDOW)
        productions = tuple(source.productions(left_length=cls._keyed(window)))
        if not productions:
            source.fail(len(source.text), f"expected at least one rule, as in {cls.example}")
        alphabet = source.alphabet(default_alphabet(*map("".join, productions)))
        return cls(window, productions, alphabet, source.steps(None))

    @staticmethod
    def _keyed(window: int) -> int:
        """How many symbols choose the rule."""
        return 1

    @property
    def deleted(self) -> int:
        """How many symbols are deleted at the front."""
        return self.window

    @property
    def spec(self) -> str:
        usual = default_alphabet(*map("".join, self.productions))
        rules = ", ".join(written_rule(left, right) for left, right in self.productions)
        steps, alphabet = (self.max_steps, None), (self.alphabet, usual)
        return written_spec(self.family, [f"{self.window}; {rules}"], steps=steps, alphabet=alphabet)

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        return limited(self._run(text), limit)

    def _run(self, text: str) -> Iterator[str]:
        yield text
        words, keyed, done = dict(self.productions), self._keyed(self.window), 0
        while done != self.max_steps and len(text) >= self.window and text[:keyed] in words:
            text = text[self.deleted :] + words[text[:keyed]]
            yield text
            done += 1

    @cached_property
    def _transducer(self) -> Transducer | None:
        once = TagTransducer(self.window, self._keyed(self.window), self.deleted, self.productions)
        return repeated(once, self.max_steps)

    def unlimited(self) -> "Tag":
        return replace(self, max_steps=None)

    def queue(self) -> QueueMachine:
        symbols = "".join(map("".join, self.productions)) + self.alphabet
        return TagQueue(tuple(sorted(set(symbols))), self.window, self.deleted, self.productions)

    def snippets(self) -> tuple[str, ...]:
        return tuple(left for left, _ in self.productions)


@dataclass(frozen=True)
class Lag(Tag):
    """A lag system: reads the first `window` symbols, deletes one, and appends the word of all of them."""

    family = "lag"
    example = "lag: 2; aa -> b, ab -> a"

    @staticmethod
    def _keyed(window: int) -> int:
        return window

    @property
    def deleted(self) -> int:
        return 1


@dataclass(frozen=True)
class TagTransducer:
    """The transducer: each pass is one step.

    ""     in front                                "h"     the run has halted, the rest is copied
    "xI"   rule I was chosen, the rest is copied   "xI.J"  at the end, J letters of its word are written
    """

    window: int
    keyed: int
    deleted: int
    productions: Productions
    start: Literal["left"] = "left"

    @property
    def reads(self) -> tuple[int, int]:
        return 0, self.window - 1

    @cached_property
    def _rule_of(self) -> dict[str, int]:
        return {left: i for i, (left, _) in enumerate(self.productions)}

    def step(self, state: str, view: Sequence[str]) -> Step:
        here = view[0]
        if not state:
            rule = None if RIGHT_EDGE in view else self._rule_of.get("".join(view[: self.keyed]))
            if rule is not None:
                return Step(SILENT, self.deleted, f"x{rule}")
            state = "h"
        if here != RIGHT_EDGE:
            return Step(here, 1, state)
        if state == "h":
            return Step(STOP)
        chosen, _, done = state.partition(".")
        word = self.productions[int(chosen[1:])][1]
        if int(done or 0) == len(word):
            return Step(NEXT)
        return spelled(word, int(done or 0), 0, f"{chosen}.", f"{chosen}.{len(word)}")


@dataclass(frozen=True)
class TagQueue(QueueMachine):
    """The system itself as a queue machine, without copying."""

    cells: Cells
    window: int
    deleted: int
    productions: Productions

    @cached_property
    def _words(self) -> dict[str, str]:
        return dict(self.productions)

    def word(self, view: Cells) -> Cells | None:
        keyed = len(self.productions[0][0])
        word = self._words.get("".join(view[:keyed]))
        return None if word is None else tuple(word)

    def windows(self) -> Iterator[Cells]:
        return product(self.cells, repeat=self.window)

    def load(self, text: str) -> list[str]:
        for symbol in text:
            if symbol not in self.cells:
                known = ", ".join(self.cells)
                raise InputError(f"{symbol!r} in {text[:40]!r} is not a symbol of this system ({known})")
        return list(text)

    def unload(self, queue: Sequence[str]) -> str:
        return "".join(queue)
