"""Where the values of the hyperparameters come from, and which of them counts.

    command line  >  --config run.toml  >  SM_HP_* variables  >  hyperparameters.json  >  defaults

SageMaker passes hyperparameters as strings, in hyperparameters.json and (through its training toolkit) in SM_HP_*
variables and as options. An unknown name is an error in every source; nothing is ignored.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, ClassVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from ahx.errors import InputError
from ahx.safe_files.reading import json_of, text_of, toml_of
from ahx.text.suggest import did_you_mean
from ahx.training.hyperparameters import Hyperparameters, spellings
from ahx.training.messages import as_list, explain, field_type
from ahx.training.tracking.choice import without_password

PREFIX = "SM_HP_"


def from_sources(
    argv_values: Mapping[str, str],
    config_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    hyperparameters_json: str | None = None,
) -> Hyperparameters:
    """The hyperparameters of a run, merged from all sources.

    `argv_values` maps option names without dashes to what was typed, `environ` is os.environ or the like, the other two
    are local files. Raises InputError with a sentence for each mistake, StorageError when a file cannot be read.
    """
    sources: list[_Source] = [CommandLineSource(argv_values), TomlSource(config_file)]
    return _merged([*sources, EnvironmentSource(environ or {}), SageMakerSource(hyperparameters_json)])


def from_keywords(values: Mapping[str, object]) -> Hyperparameters:
    """The hyperparameters of `ahx.train(...)`. Raises InputError with a sentence for each mistake."""
    return _merged([KeywordSource(values)])


def _merged(sources: Sequence["_Source"]) -> Hyperparameters:
    problems = [problem for source in sources for problem in source.problems]
    try:
        settings = _Settings(sources=sources)  # type: ignore[call-arg]  # no field: see settings_customise_sources
    except ValidationError as error:
        # An unknown name can be the only cause of errors between fields: those are shown when all names are known.
        by_field = [one for one in error.errors() if one["loc"]]
        if by_field or not problems:
            origins = {name: origin for source in reversed(sources) for name, origin in source.origins.items()}
            unusual = {name: origin for name, origin in origins.items() if origin != _option(name)}
            problems += explain(error, Hyperparameters.model_fields, unusual)
    if problems:
        raise InputError(as_list(problems))
    return Hyperparameters.model_construct(settings.model_fields_set, **dict(settings))  # validated above


class _Settings(Hyperparameters, BaseSettings):  # type: ignore[misc]  # the two declare model_config differently
    """Hyperparameters that are validated from the sources given as `sources`, the first counting most."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(init_settings, InitSettingsSource)
        return tuple(init_settings.init_kwargs["sources"])


class _Source(PydanticBaseSettingsSource):
    """The values of one source under the fields' names, where each was written, and what is wrong with the names."""

    pattern: ClassVar[str] = "{}"  # how this source spells a name

    def __init__(self) -> None:
        super().__init__(_Settings)
        self.values: dict[str, object] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.values

    def add(self, typed: str, value: object, origin: str, unknown: str) -> None:
        """Add the value of `typed`, in any spelling. `unknown` begins the message for a name that does not exist."""
        known, spelt = spellings(), typed.replace("-", "_")
        name = known.get(spelt)
        if name is None:
            near = did_you_mean(spelt, known, "`ahx train --help` lists all names", self.pattern)
            self.problems.append(unknown + near)
        elif name in self.values and self.values[name] != value:
            said = f"{self.origins[name]} says {self.values[name]!r} but {origin} says {value!r}"
            self.problems.append(without_password(f"{name}: {said}; keep one of the two"))
        else:
            self.values[name], self.origins[name] = value, origin

    def add_from(self, path: str | None, typed: str, value: object) -> None:
        """Add the value of `typed` in a file."""
        file = PurePath(path or "").name
        origin = file if typed in Hyperparameters.model_fields else f"{typed} in {file}"
        self.add(typed, value, origin, f"{file}: unknown hyperparameter {typed!r}")


class CommandLineSource(_Source):
    """The options of `ahx train`."""

    pattern = "--{}"

    def __init__(self, options: Mapping[str, str]) -> None:
        super().__init__()
        for typed, text in options.items():
            self.add(typed, _none_or(text, typed), _option(typed), f"unknown option {_option(typed)}")


class KeywordSource(_Source):
    """The arguments of a call in Python."""

    def __init__(self, values: Mapping[str, object]) -> None:
        super().__init__()
        for typed, value in values.items():
            text = os.fspath(value) if isinstance(value, os.PathLike) else value
            self.add(typed, text, _option(typed), f"train() has no argument {typed!r}")


class EnvironmentSource(_Source):
    """SM_HP_* variables. Their values are JSON where they can be read as JSON."""

    pattern = PREFIX + "{}"

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__()
        for variable, text in sorted(environ.items()):
            typed = variable.removeprefix(PREFIX).lower()
            if variable.startswith(PREFIX) and not _is_sagemakers(typed):
                self.add(typed, decode(typed, text), variable, f"the variable {variable} names no hyperparameter")


class TomlSource(_Source):
    """The top level of a TOML file, if there is one."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        for typed, value in toml_of(path).items() if path is not None else ():
            self.add_from(path, typed, value)


class SageMakerSource(_Source):
    """hyperparameters.json, if there is one. Every value is a string."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        data = json_of(text_of(path), path) if path is not None else {}
        if not isinstance(data, dict):
            raise InputError(f"{path} must hold one JSON object with a hyperparameter for each key")
        for key, value in data.items():
            if not _is_sagemakers(key):
                self.add_from(path, key, decode(key, value) if isinstance(value, str) else value)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def decode(typed: str, text: str) -> object:
    """The value of one of SageMaker's strings: "4" is 4, "\\"abc\\"" is abc, and text that is not JSON is itself.

    Where a field takes text, "10" stays text: an alphabet of the symbols 1 and 0.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return _none_or(text, typed)
    return value if value is None or isinstance(value, str) or _type(typed) is not str else text


def _none_or(text: str, typed: str) -> str | None:
    """The word none unsets an option, except where it is a value."""
    is_value = _type(typed) is str or "none" in get_args(_type(typed))
    return None if text.lower() == "none" and not is_value else text


def _type(typed: str) -> object:
    name = spellings().get(typed.replace("-", "_"))
    return field_type(Hyperparameters.model_fields[name])[0] if name else None


def _is_sagemakers(name: str) -> bool:
    """Whether SageMaker added this name to the hyperparameters for its own use."""
    return name.startswith("sagemaker_") or name == "_tuning_objective_metric"
