"""Suggestions for a misspelt name."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(typed: str, known: Iterable[str], otherwise: str = "", written: str = "{}") -> str:
    """The end of an error message: the nearest of `known`, or `otherwise` when nothing is near.

    `written` is a format for the name, such as "--{}"; with a format in capitals, such as "SM_HP_{}", so is the name.

    >>> did_you_mean("n-layr", ["n-layer", "n-head"], written="--{}")
    '; did you mean --n-layer?'
    """
    near = get_close_matches(typed, list(known), n=1)
    if near:
        name = written.format(near[0])
        return f"; did you mean {name.upper() if written.isupper() else name}?"
    return f"; {otherwise}" if otherwise else ""
