"""Shows what a job prints: with colours and a progress bar on a terminal, unchanged elsewhere."""

import re
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ahx.text import printing

# Lines that training prints at its start and at each evaluation (ahx.training).
_TOTAL = re.compile(r"([\d,]+) steps of \d+ samples")
_STEP = re.compile(r"^step=(\d+);.*\bval_exact=([\d.eE+-]+);")
_STYLES = (
    (re.compile(r"^step=\d+;"), "cyan"),
    (re.compile(r"^  .* -> .*  ok$"), "green"),
    (re.compile(r"^  .* -> .*  WRONG"), "red"),
    (re.compile(r"^ahx: (note|warning):"), "yellow"),
    (re.compile(r"sagemaker-training-toolkit"), "dim"),
)
#: Not shown: the error of a failed job is printed once, from its failure file.
_FINAL_ERROR = "ahx: error: "


class JobOutput:
    """Call it with each line."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or printing.console(soft_wrap=True)
        self.progress = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("starting", total=None, visible=False)

    def __enter__(self) -> Self:
        self.progress.start()
        printing.guard()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, line: str) -> None:
        if line.startswith(_FINAL_ERROR):
            return
        style = next((style for pattern, style in _STYLES if pattern.search(line)), "")
        self.console.print(Text(printing.printable(line), style), soft_wrap=True)
        if total := _TOTAL.search(line):
            self.progress.update(self.task, total=int(total[1].replace(",", "")), visible=True, description="")
        elif step := _STEP.match(line):
            self.progress.update(self.task, completed=int(step[1]), description=f"exact {float(step[2]):.2%}")
