"""The ask-and-tell loop: the trials that a search needs next, known results, and the budget."""

import re
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ahx.errors import InputError
from ahx.study.trial import Config, Result, key

#: A search asks for a batch of trials, is sent their results in the same order, and so on until it returns.
Search = Generator[list[Config], list[Result], Any]
_FIRST = 3  # trials that are tried before what they take is known


@dataclass(frozen=True)
class Budget:
    """What one call may spend. None is no limit."""

    trials: int | None = None
    seconds: float | None = None
    usd: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Raises InputError.

        >>> Budget.parse("200 trials"), Budget.parse("10m").seconds, Budget.parse("$5").usd
        (Budget(trials=200, seconds=None, usd=None), 600.0, 5.0)
        """
        found = re.fullmatch(r"(\$)?\s*(\d+(?:\.\d+)?)\s*(trials?|s|m|h)?", text.strip())
        if found is None or bool(found[1]) == bool(found[3]) or float(found[2]) <= 0:
            raise InputError(f"--budget: must be like '200 trials', 10m or '$5' (got {text!r})")
        n = float(found[2])
        if found[1]:
            return cls(usd=n)
        if found[3].startswith("trial"):
            return cls(trials=int(n))
        return cls(seconds=n * {"s": 1, "m": 60, "h": 3600}[found[3]])


class Session:
    """One running search. Known trials are never trained again."""

    def __init__(self, search: Search, known: Mapping[str, Result], budget: Budget, data: str = "") -> None:
        self.known, self.budget, self.data = dict(known), budget, data
        self.spent, self.usd, self.began = 0, 0.0, time.monotonic()
        self.ended = False  # the search has its answer
        self._search, self._batch = search, list[Config]()
        self._advance(None)

    def ask(self) -> list[Config]:
        """The trials to train next; [] when the search has ended or the budget is spent."""
        missing = self._missing()
        while not self.ended and not missing:
            self._advance([self.known[self.key(config)] for config in self._batch])
            missing = self._missing()
        return [] if self._spent() else missing[: self._left()]

    def tell(self, configs: Sequence[Config], results: Sequence[Result]) -> None:
        """The results of trials that were asked for."""
        self.spent += len(configs)
        self.known |= {self.key(config): result for config, result in zip(configs, results, strict=True)}

    def key(self, config: Config) -> str:
        return key(config, self.data)

    def _missing(self) -> list[Config]:
        by_key = {self.key(config): config for config in self._batch}
        return [config for one, config in by_key.items() if one not in self.known]

    def _advance(self, results: list[Result] | None) -> None:
        try:
            self._batch = next(self._search) if results is None else self._search.send(results)
        except StopIteration:
            self._batch, self.ended = [], True

    def _left(self) -> int | None:
        """How many more trials the budget is for, by what those before took; None for any number."""
        left = [] if self.budget.trials is None else [self.budget.trials - self.spent]
        for most, used in ((self.budget.seconds, time.monotonic() - self.began), (self.budget.usd, self.usd)):
            if most is not None:
                left.append(max(1, int((most - used) * self.spent / used)) if self.spent and used else _FIRST)
        return min(left, default=None)

    def _spent(self) -> bool:
        limits = [
            (self.budget.trials, self.spent),
            (self.budget.seconds, time.monotonic() - self.began),
            (self.budget.usd, self.usd),
        ]
        return any(most is not None and used >= most for most, used in limits)
