"""Transformers that learn to rewrite strings, exactly and at any length.

    from ahx import load, rules, train

`import ahx` is cheap: what is used is imported then, and only `train` and `load` import torch (docs/python.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahx import rules as rules
    from ahx.api import Attention, Model, load, train

__version__ = "0.1.0"
__all__ = ["Attention", "Model", "load", "rules", "train"]


def __getattr__(name: str) -> object:
    if name == "rules":
        return import_module("ahx.rules")
    if name in __all__:
        return getattr(import_module("ahx.api"), name)
    raise AttributeError(f"module 'ahx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
