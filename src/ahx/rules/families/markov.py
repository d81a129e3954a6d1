"""Markov algorithms: ordered rules, the first that fits is applied at its leftmost match, again and again.

A run ends when no rule fits, or after a final rule (`->.`). `steps=1` does a single step.
Source: Markov, "Theory of Algorithms" (1954), where they are called normal algorithms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from ahx.rules.language import Source, default_alphabet, never_applied, written_rule, written_spec
from ahx.rules.rule import Rule, limited
from ahx.rules.transducer import (
    DEFAULT_STEP_LIMIT,
    LEFT_EDGE,
    NEXT,
    RIGHT_EDGE,
    SILENT,
    STOP,
    Step,
    Transducer,
    repeated,
    spelled,
    starts_with,
)


class Production(NamedTuple):
    left: str
    right: str
    final: bool = False


@dataclass(frozen=True)
class Markov(Rule):
    """A Markov algorithm, run for `max_steps` steps or to its end (None)."""

    family = "markov"

    productions: tuple[Production, ...]
    alphabet: str
    max_steps: int | None = None

    @classmethod
    def read(cls, source: Source) -> "Markov":
        source.no_words("BA -> AB")
        source.check_options("alphabet", "steps")
        if not source.entries:
            source.fail(len(source.text), "expected at least one rule, as in BA -> AB")
        productions = tuple(
            Production(source.symbols(entry.left), source.symbols(entry.right), entry.final) for entry in source.entries
        )
        return cls(productions, source.alphabet(_symbols(productions)), source.steps(None))

    @property
    def spec(self) -> str:
        rules = [written_rule(*production) for production in self.productions]
        usual = _symbols(self.productions)
        return written_spec("markov", rules, steps=(self.max_steps, None), alphabet=(self.alphabet, usual))

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        return limited(self._run(text), limit)

    def _run(self, text: str) -> Iterator[str]:
        yield text
        done = 0
        while done != self.max_steps:
            production = next((p for p in self.productions if p.left in text), None)
            if production is None:
                return
            text = text.replace(production.left, production.right, 1)  # the leftmost match
            yield text
            done += 1
            if production.final:
                return

    @property
    def remarks(self) -> list[str]:
        return never_applied(
            [production.left for production in self.productions], lambda earlier, left: earlier in left
        )

    @cached_property
    def _transducer(self) -> Transducer | None:
        return repeated(MarkovTransducer(self.productions), self.max_steps)

    def snippets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(p.left for p in self.productions if p.left))


def _symbols(productions: Sequence[Production]) -> str:
    return default_alphabet(*(p.left + p.right for p in productions))


@dataclass(frozen=True)
class MarkovTransducer:
    """The transducer: each pass is one rewriting.

    With several rules the cursor first moves silently from right to left to find the rule that applies:
      ""      no rule seen yet             "sI"    rule I is the best seen yet
    then it copies from left to right up to the first match of that rule, rewrites it, and copies the rest:
      "fI"    looking for rule I           "fI.J"  J letters of its right side are written
      "d"     done, another pass follows   "e"     the run ends with this pass
    With one rule there is nothing to choose, and it starts on the left, in the state "f0".
    """

    productions: tuple[Production, ...]

    @property
    def start(self) -> Literal["left", "right"]:
        return "right" if len(self.productions) > 1 else "left"

    @property
    def reads(self) -> tuple[int, int]:
        return 0, max(1, *(len(p.left) for p in self.productions)) - 1

    @cached_property
    def _always(self) -> int:
        """The first rule with an empty left side, which always fits; the number of rules when there is none."""
        return next((i for i, p in enumerate(self.productions) if not p.left), len(self.productions))

    def step(self, state: str, view: Sequence[str]) -> Step:
        if not state and self.start == "left":
            state = "f0"
        if state in ("d", "e"):
            return self._copy(state, view[0])
        if state.startswith("f"):
            return self._rewrite(state, view)
        return self._scan(state, view)

    def _scan(self, state: str, view: Sequence[str]) -> Step:
        best = int(state[1:]) if state else self._always
        if view[0] == LEFT_EDGE:
            return Step(SILENT, 1, f"f{best}" if best < len(self.productions) else "e")
        found = next((i for i in range(best) if starts_with(view, self.productions[i].left)), None)
        return Step(SILENT, -1, state if found is None else f"s{found}")

    def _rewrite(self, state: str, view: Sequence[str]) -> Step:
        looking, _, done = state.partition(".")
        production = self.productions[int(looking[1:])]
        if starts_with(view, production.left):
            after = "e" if production.final else "d"
            return spelled(production.right, int(done or 0), len(production.left), f"{looking}.", after)
        return Step(STOP) if view[0] == RIGHT_EDGE else Step(view[0], 1, looking)

    def _copy(self, state: str, here: str) -> Step:
        if here == RIGHT_EDGE:
            return Step(NEXT) if state == "d" else Step(STOP)
        return Step(here, 1, state)
