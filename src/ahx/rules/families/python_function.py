"""Any Python function from string to string, named as `module:function`; or a `Rule` object that a user has written.

The module is searched in the current folder first, and then where Python searches. Reading such a rule runs code, so it
is read only if the user has typed its name (`Trust`).
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ahx.errors import InputError
from ahx.rules.language import LETTERS, Source, written_spec
from ahx.rules.rule import Rule, limited
from ahx.rules.transducer import DEFAULT_STEP_LIMIT
from ahx.text.suggest import did_you_mean

#: Called with the name of every function before anything is imported; raises InputError to refuse.
Trust = Callable[[str], None]


@dataclass(frozen=True)
class PythonFunction(Rule):
    """A rule that is computed by a function; it has no transducer."""

    name: str  # module:function
    alphabet: str
    function: Callable[[str], str] = field(compare=False, repr=False)

    @classmethod
    def read(cls, source: Source, trust: Trust) -> Rule:
        source.no_entries("module:function")
        source.check_options("alphabet")
        if len(source.words) != 1 or source.words[0].text.count(":") != 1:
            source.fail(len(source.text), "expected one module:function, and options after a semicolon")
        name = source.words[0].text
        trust(name)
        found = _import(name)
        if isinstance(found, Rule):
            return found
        if not callable(found):
            raise InputError(f"{name} is a {type(found).__name__}; a rule needs a function from string to string")
        return cls(name, source.alphabet(LETTERS), found)

    @property
    def spec(self) -> str:
        return written_spec("", [self.name], alphabet=(self.alphabet, LETTERS))

    def trace(self, text: str, limit: int = DEFAULT_STEP_LIMIT) -> Iterator[str]:
        return limited([text, self._call(text)], limit)

    def _call(self, text: str) -> str:
        try:
            output = self.function(text)
        except (Exception, SystemExit) as error:  # user code: any exception is reported to the user
            raise InputError(
                f"{self.name} raised {type(error).__name__} on {text[:40]!r}: {error}; fix the function"
            ) from error
        if not isinstance(output, str):
            raise InputError(
                f"{self.name} returned a {type(output).__name__} for {text[:40]!r}; it must return a string"
            )
        if not output.isascii() and any("\ud800" <= symbol <= "\udfff" for symbol in output):
            raise InputError(
                f"{self.name} returned {output[:40]!r} for {text[:40]!r}, which UTF-8 cannot hold; fix the function"
            )
        return output


def _import(name: str) -> object:
    module_name, _, attribute = name.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # user code: any exception is reported to the user
        raise InputError(
            f"cannot import {module_name!r} for the rule {name}: {error}; "
            "check its name, and that it is in the current folder or installed"
        ) from error
    finally:
        sys.path.remove(here)
    if not hasattr(module, attribute):
        names = [n for n in vars(module) if not n.startswith("_")]
        hint = did_you_mean(attribute, names, otherwise="check the name")
        raise InputError(f"the module {module_name} has no function {attribute!r}{hint}")
    found: object = getattr(module, attribute)
    return found
