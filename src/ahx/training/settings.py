"""Where the values of the hyperparameters come from, and which of them counts.

    command line  >  --config run.toml  >  SM_HP_* variables  >  hyperparameters.json  >  defaults

SageMaker hands hyperparameters over as strings, in hyperparameters.json and (through its training toolkit) in SM_HP_*
variables and as options. A misspelt name is an error in every one of these places: nothing is ignored in silence.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from ahx.errors import InputError
from ahx.files.reading import json_of, text_of, toml_of
from ahx.text.suggest import did_you_mean
from ahx.training.hyperparameters import Hyperparameters, spellings
from ahx.training.messages import as_list, explain, field_type

PREFIX = "SM_HP_"


@dataclass
class SettingsSource:
    """The values that one place gives, under the fields' own names."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # how a person would point at the value
    problems: list[str] = field(default_factory=list)

    def give(self, typed: str, value: object, origin: str, unknown: str, written: str = "{}") -> None:
        """Take `value` under the name `typed`, whatever its spelling.

        `unknown` begins the sentence that says there is no such name; `written` is how names look in this place.
        """
        known, spelt = spellings(), typed.replace("-", "_")
        name = known.get(spelt)
        if name is None:
            near = did_you_mean(spelt, known, "`ahx train --help` lists all names", written)
            self.problems.append(unknown + near)
        elif name in self.values and self.values[name] != value:
            self.problems.append(
                f"{name}: {self.origins[name]} says {self.values[name]!r} but {origin} says {value!r}"
                "; keep one of the two"
            )
        else:
            self.values[name], self.origins[name] = value, origin


def from_sources(
    argv_values: Mapping[str, str],
    config_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    hyperparameters_json: str | None = None,
) -> Hyperparameters:
    """The hyperparameters of a run, from everywhere they may be written.

    `argv_values` maps option names without dashes to what was typed, `environ` is os.environ or the like, the other two
    are local files. Raises InputError with a sentence for each thing wrong, StorageError when a file cannot be read.
    """
    sources = [
        _command_line(argv_values),
        _file(config_file, toml_of(config_file)) if config_file is not None else SettingsSource(),
        _environment(environ or {}),
        _sagemaker(hyperparameters_json) if hyperparameters_json is not None else SettingsSource(),
    ]

    class Settings(Hyperparameters, BaseSettings):  # type: ignore[misc]  # the two declare model_config differently
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, source.values) for source in sources)

    problems = [problem for source in sources for problem in source.problems]
    origins = {name: origin for source in reversed(sources) for name, origin in source.origins.items()}
    told = {name: origin for name, origin in origins.items() if origin != f"--{name}"}
    try:
        settings = Settings()
    except ValidationError as error:
        # A misspelt name may be all that is wrong with how the fields fit together.
        by_field = [one for one in error.errors() if one["loc"]]
        if by_field or not problems:
            problems += explain(error, Hyperparameters.model_fields, told)
    if problems:
        raise InputError(as_list(problems))
    return Hyperparameters.model_validate(settings.model_dump())


def _command_line(values: Mapping[str, str]) -> SettingsSource:
    source = SettingsSource()
    for typed, text in values.items():
        source.give(typed, _none_or(text, typed), f"--{typed}", f"unknown option --{typed}", "--{}")
    return source


def _environment(environ: Mapping[str, str]) -> SettingsSource:
    source = SettingsSource()
    for variable, text in sorted(environ.items()):
        typed = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and not _is_sagemakers(typed):
            unknown = f"the variable {variable} names no hyperparameter"
            source.give(typed, decode(typed, text), variable, unknown, PREFIX + "{}")
    return source


def _sagemaker(path: str) -> SettingsSource:
    """hyperparameters.json, in which every value is a string."""
    data = json_of(text_of(path), path)
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold one JSON object with a hyperparameter for each key")
    values = {key: decode(key, value) if isinstance(value, str) else value for key, value in data.items()}
    return _file(path, {key: value for key, value in values.items() if not _is_sagemakers(key)})


def _file(path: str, values: Mapping[str, object]) -> SettingsSource:
    source, name = SettingsSource(), PurePath(path).name
    for typed, value in values.items():
        origin = name if typed in Hyperparameters.model_fields else f"{typed} in {name}"
        source.give(typed, value, origin, f"{name}: unknown hyperparameter {typed!r}")
    return source


def _is_sagemakers(name: str) -> bool:
    """Whether SageMaker put this name among the hyperparameters for its own use."""
    return name.startswith("sagemaker_") or name == "_tuning_objective_metric"


def _takes_text(typed: str) -> bool:
    name = spellings().get(typed.replace("-", "_"))
    return name is not None and field_type(Hyperparameters.model_fields[name])[0] is str


def _none_or(text: str, typed: str) -> str | None:
    """An option can be taken back with the word none, except where any word is a value."""
    return None if text.lower() == "none" and not _takes_text(typed) and typed != "pos" else text


def decode(typed: str, text: str) -> object:
    """The value behind one of SageMaker's strings: "4" is 4, "\\"abc\\"" is abc, and what is not JSON is itself.

    Where a field takes text, "10" stays text: an alphabet of the symbols 1 and 0.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return _none_or(text, typed)
    if _takes_text(typed) and not (value is None or isinstance(value, str)):
        return text
    return value
