"""Progress of training: a live line on a terminal, plain lines elsewhere, nothing in processes other than the first."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ahx.text.printing import console, guard, one_line
from ahx.training.metrics import metric_line

_NOTE_EVERY_S = 5.0


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

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        pass

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        pass

    def close(self) -> None:
        pass


class Plain(Reporter):
    """Lines without control characters, for logs and pipes."""

    def say(self, sentence: str) -> None:
        print(sentence, flush=True)

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        print(metric_line(metrics), *map(str, examples), sep="\n", flush=True)


class Live(Reporter):
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
        # Soft: a command that the terminal wraps can still be copied as one line.
        self.progress.console.print(sentence, soft_wrap=True)

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        text = f"loss {loss:.4f}{self.status}  {tokens_per_second:,.0f} tok/s"
        self.progress.update(self.task, completed=step, description=text)

    def evaluation(self, metrics: Mapping[str, float | int], examples: Sequence[Example]) -> None:
        self.status = f"  val {metrics['val_loss']:.4f}  exact {metrics['val_exact']:.2%}"
        self.say(metric_line(metrics))
        for example in examples:
            style = None if example.output == example.expected else "red"
            self.progress.console.print(str(example), style=style)

    def close(self) -> None:
        self.progress.stop()


def reporter(total: int, terminal: bool, first: bool) -> Reporter:
    """The reporter for this process and this kind of output."""
    return Reporter() if not first else Live(total) if terminal else Plain()
