"""A sweep: one training run for each choice of hyperparameters. Pure: nothing here reads AWS or the disk.

learning_rate=1e-3,3e-3        each of these
learning_rate=1e-4:1e-2:log    drawn between the two, evenly on a logarithmic scale, by random or sobol
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ahx.errors import InputError
from ahx.text.suggest import did_you_mean
from ahx.training.hyperparameters import Hyperparameters, default_of, facts, spellings
from ahx.training.messages import field_type
from ahx.training.settings import from_sources
from ahx.training.tracking.choice import without_password
from infra.launch.sobol import sobol

Config = dict[str, Any]  # the hyperparameters that were chosen, under their own names, as JSON types

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_NAME = 27  # a job's name has 63 characters and holds the sweep's
MOST_JOBS = 10_000


@dataclass(frozen=True)
class Range:
    """Values between two numbers."""

    low: float
    high: float
    log: bool

    def at(self, share: float) -> float:
        """The value at `share` of the way, 0 to 1."""
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)


Values = tuple[str, ...] | Range


@dataclass(frozen=True)
class Sweep:
    """What to try. `draws` is None for every point of the grid, or how ("random", "sobol") and how many to draw."""

    name: str
    base: Mapping[str, str]
    space: Mapping[str, Values]
    seeds: int = 1
    draws: tuple[str, int] | None = None

    def configurations(self) -> list[Config]:
        """Every run of the sweep, without duplicates. Raises InputError with all faults."""
        check_name(self.name)
        if self.seeds < 1:
            raise InputError(f"seeds: must be at least 1 (got {self.seeds})")
        base = {own_name(typed, "ahx sweep"): value for typed, value in self.base.items()}
        first = base.get("seed", str(Hyperparameters.model_fields["seed"].default))
        if not first.isdecimal():
            raise InputError(f"seed: must be a whole number (got {first!r})")
        if watching := [name for name in self.space if facts(name).only_watches]:
            raise InputError(f"--grid: {watching[0]} is the same for all trials; give --{watching[0]}")
        if "seed" in self.space and self.seeds > 1:
            raise InputError("seeds are given twice, as a list and as a number; keep one of the two")
        found: dict[str, Config] = {}
        for point in self._points(int(first)):
            for seed in range(int(first), int(first) + self.seeds):
                config = _validated({**base, "seed": str(seed), **point})
                found.setdefault(json.dumps(config, sort_keys=True), config)
        return list(found.values())

    def _points(self, seed: int) -> Iterable[dict[str, str]]:
        names = list(self.space)
        ranges = [name for name in names if isinstance(self.space[name], Range)]
        if self.draws is None:
            if ranges:
                raise InputError(
                    f"{ranges[0]} is a range; say how many points to draw from it: --random N or --sobol N"
                )
            size = self._size() * self.seeds
            if size > MOST_JOBS:
                raise InputError(f"this grid has {size:,} jobs; {MOST_JOBS:,} are the most. Draw some: --random N")
            return self._grid()
        how, n = self.draws
        if not 1 <= n * self.seeds <= MOST_JOBS:
            raise InputError(f"{how}: must be from 1 to {MOST_JOBS // self.seeds:,} (got {n})")
        if not names:
            raise InputError(f"{how}: there is nothing to draw from; add --grid NAME=VALUES")
        if how == "sobol":
            shares = sobol(n, len(names))
        else:
            shares = np.random.default_rng((seed, 0x5EE9)).random((n, len(names)))
        return ({name: _drawn(name, self.space[name], x) for name, x in zip(names, row, strict=True)} for row in shares)

    def _size(self) -> int:
        return math.prod(len(values) for values in self.space.values() if isinstance(values, tuple))

    def _grid(self) -> Iterable[dict[str, str]]:
        lists = [values for values in self.space.values() if isinstance(values, tuple)]
        return (dict(zip(self.space, values, strict=True)) for values in itertools.product(*lists))


def check_name(name: str) -> str:
    """A sweep's name becomes part of its jobs'. Raises InputError."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"the sweep's name {name!r} must be lower-case letters, digits and single dashes, "
            f"at most {_LONGEST_NAME}; an example is s1"
        )
    return name


def parse_grid(words: Sequence[str]) -> dict[str, Values]:
    """The values of --grid NAME=VALUES, by the hyperparameter's own name. Raises InputError.

    >>> parse_grid(["num_layers=1,2", "learning_rate=1e-4:1e-2:log"])
    {'n_layer': ('1', '2'), 'learning_rate': Range(low=0.0001, high=0.01, log=True)}
    """
    space: dict[str, Values] = {}
    for word in words:
        typed, equals, text = word.partition("=")
        if not equals or not text:
            raise InputError(
                f"--grid: {word!r} must be NAME=VALUES, such as n_layer=1,2 or learning_rate=1e-4:1e-2:log"
            )
        name = own_name(typed, "--grid")
        if name in space:
            raise InputError(f"--grid: {name} is given twice; put all values into one list")
        space[name] = _range(name, text) or tuple(text.split(","))
    return space


def own_name(typed: str, place: str) -> str:
    """The name of the hyperparameter that is meant. Raises InputError."""
    known = spellings()
    name = known.get(typed.strip().replace("-", "_"))
    if name is None:
        raise InputError(f"{place}: unknown hyperparameter {typed!r}{did_you_mean(typed, known)}")
    if why := facts(name).not_in_sweeps:
        raise InputError(f"{place}: {name} cannot be chosen in a sweep: {why}")
    return name


def as_strings(config: Config) -> dict[str, str]:
    """The hyperparameters as SageMaker takes them. Data and models come through channels instead.

    >>> as_strings({"n_layer": 2, "learning_rate": 0.003, "compile": True, "infile": "data/da"})
    {'n_layer': '2', 'learning_rate': '0.003', 'compile': 'true'}
    """
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in config.items()
        if not facts(name).is_channel
    }


def shown(config: Config, name: str) -> str:
    """The value of a hyperparameter, the default where none was chosen."""
    value = config[name] if name in config else default_of(name, config)
    return "" if value is None else str(value)


def varied(configs: Sequence[Config]) -> list[str]:
    """The names whose values differ among the configurations: the columns of a table."""
    names = list(dict.fromkeys(name for config in configs for name in config))
    return [name for name in names if len({shown(config, name) for config in configs}) > 1]


def _validated(values: Mapping[str, str]) -> Config:
    """The values as training reads them, without defaults."""
    try:
        hp = from_sources(values)
    except InputError as error:
        listed = ", ".join(f"{name}={value}" for name, value in values.items())
        raise InputError(without_password(f"the configuration {listed}: {error}")) from None
    config = {name: value for name, value in hp.to_json().items() if name in values and value is not None}
    return {name: value for name, value in config.items() if name == "seed" or value != default_of(name, hp.to_json())}


def _range(name: str, text: str) -> Range | None:
    """LOW:HIGH or LOW:HIGH:log, for a hyperparameter that is a number."""
    parts = text.split(":")
    if len(parts) == 1 or not _is_number(name):
        return None
    try:
        low, high, *scale = float(parts[0]), float(parts[1]), *parts[2:]
    except ValueError:
        low = high = math.nan
        scale = []
    log = scale == ["log"]
    if not low < high or scale not in ([], ["log"]) or (log and low <= 0):
        raise InputError(f"--grid: {name}={text} must be LOW:HIGH or LOW:HIGH:log with LOW below HIGH (log: above 0)")
    return Range(low, high, log)


def _is_number(name: str) -> bool:
    return field_type(Hyperparameters.model_fields[name])[0] in (int, float)


def _drawn(name: str, values: Values, share: float) -> str:
    if isinstance(values, tuple):
        return values[min(int(share * len(values)), len(values) - 1)]
    if field_type(Hyperparameters.model_fields[name])[0] is int:
        low, high = math.ceil(values.low), math.floor(values.high)
        return str(min(high, max(low, int(Range(low, high + 1, values.log).at(share)))))
    return f"{values.at(share):.4g}"
