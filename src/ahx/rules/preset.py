"""A named rule."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """`text` is what `parse_rule` reads; `examples` are pairs of input and output, at least one."""

    name: str
    text: str
    description: str
    examples: Sequence[tuple[str, str]]
