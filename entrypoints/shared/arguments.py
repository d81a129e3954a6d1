"""The argument parser of every verb: argparse, with both spellings of options and one sentence for each mistake.

Options may be written with dashes or underscores (--max-len, --max_len), and a value may begin with a dash.
Every mistake is an InputError.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, NoReturn

from ahx.errors import InputError
from ahx.text.suggest import did_you_mean

HELP_WIDTH = 100  # or that of a narrower terminal


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that ends with the default of an option, where it has one."""

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else HELP_WIDTH
        super().__init__(prog, max_help_position=30, width=min(columns, HELP_WIDTH))

    def _get_help_string(self, action: argparse.Action) -> str:
        without = action.default is False or action.default in (None, "", [], argparse.SUPPRESS)
        return f"{action.help}{'' if without else ' (default: %(default)s)'}"


def _number(kind: Callable[[str], Any], name: str) -> Callable[[str], Any]:
    """What argparse calls to read a value of type `kind`."""

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be {name} (got {text!r})") from None

    return read


def _local(text: str) -> str:
    """What argparse calls to read a path on this machine."""
    if text.startswith("s3://"):
        raise argparse.ArgumentTypeError(f"must be a path on this machine (got {text!r})")
    return text


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that takes both spellings of an option, suggests the nearest, and never exits on errors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, exit_on_error=False, formatter_class=_Formatter, **settings)
        self.register("type", int, _number(int, "a whole number"))
        self.register("type", float, _number(float, "a number"))
        self.register("type", "local", _local)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unexpected = self.parse_known_args(args, namespace)
        if unexpected:
            behind = "; if it is an input, write it behind --" if re.match(r"-\w", unexpected[0]) else ""
            raise InputError(
                f"unexpected argument {unexpected[0]!r}{behind}; quote values with spaces, or see {self._help()}"
            )
        return parsed

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        try:
            return super().parse_known_args(self._options_first(self._respelt(args or ())), namespace)
        except argparse.ArgumentError as error:
            name = f"{error.argument_name}: " if error.argument_name else ""
            self.error(f"{name}{error.message}")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self._help()}")

    def _options_first(self, words: list[str]) -> list[str]:
        """The words with the positional ones of a `*` argument behind the options. Before Python 3.12, argparse takes
        only those that directly follow the positional arguments before them, and not those of `RULE --trace INPUT`.
        """
        if not any(action.nargs == "*" for action in self._actions):
            return words
        options = dict(self._options())
        end = words.index("--") if "--" in words else len(words)
        first: list[str] = []
        last: list[str] = []
        for word in words[:end]:
            is_value = bool(first) and first[-1] in options and options[first[-1]].nargs is None
            (first if is_value or word.partition("=")[0] in options else last).append(word)
        return [*first, *last, *words[end:]]

    def _respelt(self, words: Sequence[str]) -> list[str]:
        """The words with each option as it was declared, joined to its value where the value begins with a dash."""
        options = dict(self._options())
        declared = {spelling.replace("_", "-"): spelling for spelling in options}
        respelt: list[str] = []
        for at, word in enumerate(words):
            if word == "--":
                return [*respelt, *words[at:]]
            before = options.get(respelt[-1]) if respelt else None
            if word.startswith("--"):
                option, equals, value = word.partition("=")
                spelling = option if option in options else declared.get(option.replace("_", "-"))
                if spelling is None:
                    near = did_you_mean(option.replace("_", "-"), options, f"{self._help()} lists the options")
                    raise InputError(f"unknown option {option}{near}")
                respelt.append(spelling + equals + value)
            elif word.startswith("-") and word not in options and before is not None and before.nargs is None:
                respelt[-1] += f"={word}"  # -1e-3, or a rule such as '-> A'
            else:
                respelt.append(word)
        return respelt

    def _options(self) -> Iterator[tuple[str, argparse.Action]]:
        """All options of this parser and of its sub-parsers, as declared."""
        for parser in self.family():
            yield from ((spelling, action) for action in parser._actions for spelling in action.option_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[0] if action.option_strings else action.metavar or action.dest
            choices = [str(choice) for choice in action.choices]
            raise InputError(
                f"{name}: {str(value)!r} is not one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
            )

    def family(self) -> "Iterator[Parser]":
        """This parser and, depth first, its sub-parsers."""
        yield self
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for child in dict.fromkeys(action.choices.values()):
                    yield from child.family()

    def _print_message(self, message: str, file: Any = None) -> None:
        print(message, end="", file=file)  # argparse's own ignores a full disk and a closed pipe

    def _help(self) -> str:
        return f"`{self.prog} --help`"


def add_trust(add: Callable[..., object]) -> None:
    """The option of each verb that loads a model from an untrusted source."""
    text = "Run this Python function, module:function, if it is the rule that the model names. Nothing else is run."
    add("--trust-rule", metavar="NAME", help=text)


def add_hyperparameters(
    parser: argparse.ArgumentParser, of_a_sweep: bool = False, without: Container[str] = ()
) -> None:
    """An option for each hyperparameter, or each that a sweep may choose, but for those in `without`. What is not typed
    is absent from the arguments, and values stay text until those of all sources are known (settings.py)."""
    from ahx.training.hyperparameters import SECTIONS, Hyperparameters, facts
    from ahx.training.messages import default_text, metavar

    group: argparse._ArgumentGroup = parser.add_argument_group()
    for name, field in Hyperparameters.model_fields.items():
        if name in without or (of_a_sweep and facts(name).not_in_sweeps):
            continue
        if name in SECTIONS:
            group = parser.add_argument_group(SECTIONS[name])
        text = f"{' '.join((field.description or '').split())}{default_text(field)}".replace("%", "%%")
        text = re.sub("[a-z]+_[a-z_]+", lambda found: _as_option(found[0]), text)
        is_flag = field.annotation is bool
        for spelling in (name, field.validation_alias):
            if isinstance(spelling, str):
                group.add_argument(
                    f"--{spelling.replace('_', '-')}",
                    nargs="?" if is_flag else None,
                    const="true" if is_flag else None,
                    default=argparse.SUPPRESS,
                    metavar=metavar(field),
                    help=text if spelling == name else argparse.SUPPRESS,
                )
        if is_flag:
            no = group.add_argument(f"--no-{name}", dest=name, action="store_const", const="false")
            no.default = no.help = argparse.SUPPRESS


def _as_option(word: str) -> str:
    """How the command line spells a hyperparameter; any other word as it is."""
    from ahx.training.hyperparameters import Hyperparameters

    return f"--{word.replace('_', '-')}" if word in Hyperparameters.model_fields else word
