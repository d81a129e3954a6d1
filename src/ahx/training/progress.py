"""Progress of training: a live line on a terminal, plain lines elsewhere, nothing in processes other than the first."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ahx.text.printing import console, guard, one_line, printable, raw, wrapped
from ahx.training.metrics import metric_line

_NOTE_EVERY_S = 5.0
_NOTEBOOK_COLUMNS = 100


class Example(NamedTuple):
    """A validation sample: the input, the model's output, and the right one."""

    text: str
    output: str
    expected: str

    def __str__(self) -> str:
        verdict = "ok" if self.output == self.expected else f"WRONG, expected {short(self.expected)}"
        return f"  {short(self.text)} -> {short(self.output)}  {verdict}"


def short(text: str, most: int = 60) -> str:
    """`text` for one line of output; an empty string is shown as quotes."""
    text = one_line(text)
    return (text if len(text) <= most else text[: most - 3] + "...") or "''"


class ReadingNotes:
    """Prints every few seconds how much of a large file has been read."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet, self._noted = quiet, time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self.quiet and time.monotonic() - self._noted > _NOTE_EVERY_S:
            self._noted = time.monotonic()
            print(f"ahx: note: {what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", file=sys.stderr, flush=True)


class Reporter:
    """Reports nothing: for processes of a group other than the first."""

    def say(self, sentence: str) -> None:
        pass

    def step(self, step: int, loss: float, tokens_per_second: float, total: int | None = None) -> None:
        pass

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        pass

    def close(self) -> None:
        pass


class Plain(Reporter):
    """Lines without control characters, for logs and pipes: metrics as SageMaker reads them."""

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        print(metric_line(metrics), *map(str, examples), sep="\n", flush=True)


_COLUMNS = {
    "step": "{:,}", "epoch": "{:.2f}", "train_loss": "{:.4g}", "val_loss": "{:.4g}", "val_exact": "{:.2%}",
    "val_margin": "{:.2f}", "tokens_per_second": "{:,.0f}", "seconds": "{:.1f}",
}  # fmt: skip
_TITLES = ("step", "epoch", "train loss", "val loss", "exact", "margin", "tokens/s", "seconds")
_WIDTHS = (8, 7, 10, 9, 8, 8, 10, 8)
_ABOUT_LOSSES = (
    "train loss: mean since the last row, while the weights changed (and with dropout); val loss: of the weights now"
)


def table_row(metrics: Mapping[str, float | int]) -> str:
    """An evaluation as a row of the table that people read."""
    return _row(form.format(metrics[name]) if name in metrics else "" for name, form in _COLUMNS.items())


def _row(cells: Iterable[str]) -> str:
    return " ".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


class _Table(Reporter):
    """For people: a table with a row for each evaluation, with its examples below. A log gets the metrics as well."""

    titled = False

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        if not self.titled:
            self.titled = True
            self.say(_ABOUT_LOSSES)
            self.say(_row(_TITLES))
        self.say(table_row(metrics))
        if log := getattr(raw(sys.stdout), "log", None):
            log(metric_line(metrics))
        for example in examples:
            self.example(example)

    def example(self, example: Example) -> None:
        self.say(str(example))


class Live(_Table):
    """A progress line that stays at the bottom of the terminal (80 columns suffice), with the evaluations above it."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self.status = ""
        self.progress = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(compact=True, table_column=Column(min_width=5, no_wrap=True)),
            console=console(),
            transient=True,
        )
        self.task = self.progress.add_task("", total=total)
        self.progress.start()
        guard()

    def say(self, sentence: str) -> None:
        self.progress.console.print(wrapped(sentence, self.progress.console.width), soft_wrap=True)

    def step(self, step: int, loss: float, tokens_per_second: float, total: int | None = None) -> None:
        text = f"loss {loss:.4f}{self.status}  {tokens_per_second:,.0f} tok/s"
        self.progress.update(self.task, completed=step, total=total, description=text)

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        self.status = f"  val {metrics['val_loss']:.4f}  exact {metrics['val_exact']:.2%}"
        super().evaluation(metrics, examples)

    def example(self, example: Example) -> None:
        style = None if example.output == example.expected else "red"
        self.progress.console.print(str(example), style=style)

    def close(self) -> None:
        self.progress.stop()


class Notebook(_Table):
    """Lines in the cell of a Jupyter notebook, and one that is replaced at every step."""

    def __init__(self, total: int) -> None:
        from IPython.display import display

        self.total = total
        self.line = display({"text/plain": ""}, raw=True, display_id=True)

    def say(self, sentence: str) -> None:
        print(wrapped(printable(sentence), _NOTEBOOK_COLUMNS), flush=True)

    def step(self, step: int, loss: float, tokens_per_second: float, total: int | None = None) -> None:
        self._show(f"step {step:,} of {total or self.total:,}, loss {loss:.4f}, {tokens_per_second:,.0f} tokens/s")

    def close(self) -> None:
        self._show("")

    def _show(self, text: str) -> None:
        self.line.update({"text/plain": text}, raw=True)


def _in_notebook() -> bool:
    """Whether this code runs in Jupyter's kernel, which shows what it is told to display."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def reporter(total: int, terminal: bool, first: bool) -> Reporter:
    """The reporter for this process and this kind of output."""
    if not first:
        return Reporter()
    return Notebook(total) if _in_notebook() else Live(total) if terminal else Plain()
