"""Answers many inputs in bounded memory, one line of output for each, in their order."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ahx.errors import InputError
from ahx.evaluation.rewriter import Rewriter
from ahx.evaluation.writing import Written
from ahx.text.plural import counted

# A chunk is answered at once. The first is small, so that the first answers come soon.
_FIRST_INPUTS, _MOST_INPUTS, _MOST_SYMBOLS = 64, 8192, 1_000_000
_SENTENCES = 20  # about inputs without an answer; further ones are only counted


@dataclass
class Predictions:
    """Counts of what happened to the inputs so far."""

    inputs: int = 0
    unsure: int = 0  # below the least probability
    failed: int = 0

    def __str__(self) -> str:
        answered = self.inputs - self.unsure - self.failed
        parts = [f"{counted(self.inputs, 'input')}: {answered:,} answered"]
        parts += [f"{self.unsure:,} below --min-probability"] * bool(self.unsure)
        parts += [f"{self.failed:,} without an answer"] * bool(self.failed)
        return ", ".join(parts)


def predict(
    rewriter: Rewriter,
    texts: Iterable[str],
    counts: Predictions,
    *,
    min_probability: float = 0.0,
    as_json: bool = False,
    unit: str = "line",
    complain: Callable[[str], None],
) -> Iterator[list[str]]:
    """Lines of output for `texts`, a chunk at a time: the best answers separated by tabs, or with `as_json` objects.

    The line is empty (null in JSON) where the model cannot answer, which `complain` gets a sentence about, and where
    the best answer is less probable than `min_probability`. `unit` is what an input is in its file. `counts` is kept up
    to date.
    """
    for chunk in _chunks(texts):
        lines = []
        for text, found in zip(chunk, rewriter.best(chunk), strict=True):
            counts.inputs += 1
            unsure = not isinstance(found, InputError) and found[0].probability < min_probability
            counts.unsure += unsure
            if isinstance(found, InputError):
                counts.failed += 1
                if counts.failed <= _SENTENCES:
                    complain(f"{unit} {counts.inputs:,}: {found}")
                elif counts.failed == _SENTENCES + 1:
                    complain("further inputs without an answer are only counted; --json says why for each")
            if as_json:
                lines.append(json.dumps(_json(text, found, unsure, rewriter.n_best)))
            else:
                lines.append("" if unsure or isinstance(found, InputError) else "\t".join(one.text for one in found))
        yield lines


def _json(text: str, found: list[Written] | InputError, unsure: bool, n_best: int) -> dict[str, Any]:
    if isinstance(found, InputError):
        return {"input": text, "output": None, "probability": None, "error": str(found)}
    shown = None if unsure else found[0].text
    answer: dict[str, Any] = {"input": text, "output": shown, "probability": found[0].probability}
    if n_best > 1:
        answer["best"] = [{"output": one.text, "probability": one.probability} for one in found]
    return answer


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    most, symbols = _FIRST_INPUTS, 0
    for text in texts:
        chunk.append(text)
        symbols += len(text)
        if len(chunk) >= most or symbols >= _MOST_SYMBOLS:
            yield chunk
            chunk, symbols, most = [], 0, min(4 * most, _MOST_INPUTS)
    if chunk:
        yield chunk
