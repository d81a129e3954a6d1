"""A sweep in a TOML file.

    name = "s1"
    seeds = 3
    max_parallel = 4

    [hyperparameters]
    rule = "double_a"

    [grid]
    n_layer = [1, 2]
    learning_rate = "1e-4:1e-2:log"     # with random = N or sobol = N above

The command line overrides it.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from ahx.errors import InputError
from ahx.safe_files.reading import toml_of
from ahx.text.suggest import did_you_mean
from infra.launch.options import Options, type_of
from infra.launch.sweep import Values, own_name, parse_grid

#: The keys at the top, with their types.
KEYS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "seeds": (int,),
    "random": (int,),
    "sobol": (int,),
    "on": (str,),
    **{one.name: (int, float) if type_of(one) is float else (type_of(one),) for one in fields(Options)},
    "trials_per_job": (str, int),
}
_TABLES = ("hyperparameters", "grid")


@dataclass(frozen=True)
class SweepFile:
    """What the file says."""

    options: dict[str, Any] = field(default_factory=dict)
    base: dict[str, str] = field(default_factory=dict)
    space: dict[str, Values] = field(default_factory=dict)


def read_sweep_file(path: str) -> SweepFile:
    """Read the file. Raises InputError for its contents, StorageError when it cannot be read."""
    data = toml_of(path)
    tables = {name: data.pop(name, {}) for name in _TABLES}
    for key, value in data.items():
        if key not in KEYS:
            known = [*KEYS, *_TABLES]
            raise InputError(f"{path}: unknown key {key!r}{did_you_mean(key, known, 'use ' + ', '.join(known))}")
        if not isinstance(value, KEYS[key]) or (isinstance(value, bool) and bool not in KEYS[key]):
            raise InputError(f"{path}: {key} must be {KEYS[key][0].__name__} (got {value!r})")
    if wrong := [name for name, table in tables.items() if not isinstance(table, dict)]:
        raise InputError(f"{path}: {wrong[0]} must be a table: [{wrong[0]}]")
    base = {own_name(name, path): _text(value) for name, value in tables["hyperparameters"].items()}
    space: dict[str, Values] = {}
    for name, values in tables["grid"].items():
        if isinstance(values, list) and values:
            space[own_name(name, path)] = tuple(_text(value) for value in values)
        elif isinstance(values, str):
            space |= parse_grid([f"{name}={values}"])
        else:
            raise InputError(f'{path}: grid.{name} must be a list of values, or a range such as "1e-4:1e-2:log"')
    if "trials_per_job" in data:
        data["trials_per_job"] = str(data["trials_per_job"])
    return SweepFile(data, base, space)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
