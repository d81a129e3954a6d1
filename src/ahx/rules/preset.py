"""A named rule: a function that returns its text, with a docstring that describes it and gives examples."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import cleandoc

_EXAMPLE = re.compile(r">>> \w+\(\"(.*)\"\)\n'(.*)'")


@dataclass(frozen=True)
class Preset:
    """A named rule: `text` is what `parse_rule` reads."""

    name: str
    text: str
    doc: str

    @property
    def description(self) -> str:
        """The docstring without its examples."""
        return self.doc.partition(">>>")[0].strip()

    @property
    def examples(self) -> list[tuple[str, str]]:
        """The docstring's examples as (input, output)."""
        return [(found[1], found[2]) for found in _EXAMPLE.finditer(self.doc)]


def read_preset(text: Callable[[], str]) -> Preset:
    """The preset that the function `text` describes."""
    return Preset(text.__name__, text(), cleandoc(text.__doc__ or ""))
