"""A trial: one configuration, and what its training showed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from statistics import median
from typing import Any

Config = Mapping[str, Any]  # all hyperparameters that are not defaults, as JSON types; "seed" among them

SIZE = ("n_layer", "n_head", "n_embd")


def key(config: Config, data: str = "") -> str:
    """What makes two trials the same: 10 hexadecimal digits. `data` is a digest of the training files, if any.

    Of an infile only the name counts, so that a study may be moved.
    """
    portable = {name: PurePath(value).name if name == "infile" else value for name, value in config.items()}
    text = json.dumps([portable, data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Result:
    """How one trial ended."""

    exact: bool  # all samples right, before the limit was reached
    val_exact: float = 0.0  # share of validation samples, at the end
    steps: int = 0
    samples: int = 0  # drawn until all were right; until the end where they never were
    seconds: float = 0.0  # of training, on one thread
    failure: str = ""  # one sentence, where there is no result

    @classmethod
    def of(cls, config: Config, evaluations: Sequence[Mapping[str, float]], seconds: float, failure: str) -> "Result":
        """Judge a trial by its evaluations. Exact: `until_exact` has stopped it, or its last validation is all right.

        A run that ends at its limit counts as not exact: it may not have passed the test on fresh samples.
        """
        if not evaluations:
            return cls(False, failure=failure or "it was never evaluated")
        last = evaluations[-1]
        stops = config.get("until_exact") or config.get("certify")
        exact = last["val_exact"] == 1.0 and not failure and (not stops or last["step"] < config["max_steps"])
        if config.get("certify"):  # to training it is a failure to end without a certificate, here it is an answer
            failure = ""
        wrong = [number for number, one in enumerate(evaluations) if one["val_exact"] < 1.0]
        first = evaluations[wrong[-1] + 1 if wrong else 0] if exact and not stops else last
        steps = int(first["step"])
        return cls(exact, last["val_exact"], steps, steps * config["batch_size"], round(seconds, 2), failure)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Attempt:
    """One configuration with some of its seeds."""

    config: Config  # without the seed
    seeds: tuple[int, ...]  # those that were asked for
    results: tuple[Result, ...]  # of the first of them; fewer where one was not exact

    @property
    def exact(self) -> int:
        """How many seeds were exact."""
        return sum(one.exact for one in self.results)

    @property
    def enough(self) -> bool:
        """Whether every seed was exact."""
        return self.exact == len(self.seeds)

    @property
    def samples(self) -> list[int]:
        return sorted(one.samples for one in self.results if one.exact)

    @property
    def seconds(self) -> list[float]:
        return sorted(one.seconds for one in self.results if one.exact)

    def typical(self, what: str) -> float:
        """The median over the exact seeds of `what`: samples or seconds."""
        return float(median(getattr(self, what)))

    def size(self) -> tuple[int, ...]:
        """Layers, heads, width."""
        return tuple(self.config[name] for name in SIZE)
