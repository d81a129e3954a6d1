"""Shows a sweep: as a table, as lines, and as JSON."""

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ahx.text import printing
from infra.launch.backends.backend import COMPLETED, FAILED, IN_PROGRESS, STOPPED
from infra.launch.engine import Row, SweepState
from infra.launch.sweep import shown, varied

_COLOURS = {COMPLETED: "green", FAILED: "red", STOPPED: "yellow"}
_MOST_ROWS = 40
_FILE_WIDTH = 200


def status(row: Row) -> str:
    """queued, Training, Completed, ..."""
    if row.job is None:
        return "queued"
    return row.job.phase if row.job.status == IN_PROGRESS and row.job.phase else row.job.status


def as_json(row: Row) -> dict[str, Any]:
    """One job, for programs."""
    job, now = row.job, time.time()
    return {
        "name": row.name,
        "status": job.status if job else "Queued",
        "phase": job.phase if job else "",
        "attempt": row.attempt,
        "lost": list(row.lost),
        "config": row.config,
        "metrics": dict(row.metrics),
        "seconds": round(row.elapsed(now), 1),
        "usd": round(row.cost(now), 4),
        "reason": job.reason if job else "",
        "model": job.model if job else "",
    }


def console() -> Console:
    """The console for tables: as wide as the terminal, or wide enough for a file."""
    return printing.console() if sys.stdout.isatty() else printing.console(width=_FILE_WIDTH)


def first_line(reason: str) -> str:
    """SageMaker's reason of a failure has many lines; the first is the sentence."""
    return reason.strip().partition("\n")[0]


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Those that have been evaluated, the best first: by exact match, then by the seconds of training."""
    judged = [row for row in rows if "val_exact" in row.metrics]
    return sorted(judged, key=lambda row: (-row.metrics["val_exact"], _seconds(row), str(row.config)))


def leaderboard(state: SweepState, costs: bool) -> Table:
    """The ranking."""
    names = varied([row.config for row in state.rows])
    head = ("#", *names, "exact", "loss", "s", *(["$"] if costs else []), "status", "job")
    table = Table(*map(printing.one_line, head), box=None)
    for column in table.columns:
        column.no_wrap = True
    for rank, row in enumerate(ranked(state.rows), 1):
        values = [shown(row.config, name) for name in names]
        cost = [f"{row.cost(time.time()):.3f}"] if costs else []
        exact, loss = f"{row.metrics['val_exact']:.2%}", f"{row.metrics.get('val_loss', float('nan')):.4g}"
        cells = (str(rank), *values, exact, loss, f"{_seconds(row):.1f}", *cost, status(row), row.name)
        table.add_row(*map(printing.one_line, cells))
    return table


def table(state: SweepState, costs: bool) -> Group:
    """All jobs, those under way first where there are too many."""
    names, now = varied([row.config for row in state.rows]), time.time()
    made = Table("job", *names, "status", "step", "loss", "exact", "elapsed", *(["$"] if costs else []), box=None)
    rows = state.rows
    if len(rows) > _MOST_ROWS:
        order = {"queued": 2, COMPLETED: 1}
        rows = sorted(rows, key=lambda row: order.get(status(row), 0))[:_MOST_ROWS]
    for row in rows:
        metrics = row.metrics
        word, tries = status(row), f", try {1 + len(row.lost)}" if row.lost else ""
        made.add_row(
            *map(printing.one_line, (row.name, *(shown(row.config, name) for name in names))),
            Text(printing.one_line(word + tries), style=_COLOURS.get(row.job.status if row.job else "", "")),
            f"{metrics['step']:.0f}" if "step" in metrics else "",
            f"{metrics['val_loss']:.4g}" if "val_loss" in metrics else "",
            f"{metrics['val_exact']:.2%}" if "val_exact" in metrics else "",
            _clock(row.elapsed(now)),
            *([f"{row.cost(now):.3f}"] if costs else []),
        )
    return Group(made, Text(summary(state, costs), style="bold"))


def summary(state: SweepState, costs: bool) -> str:
    """One line: the number of jobs in each status, the cost so far, and what is waited for."""
    counts: dict[str, int] = {}
    for row in state.rows:
        counts[status(row)] = counts.get(status(row), 0) + 1
    parts = [f"{n} {word}" for word, n in counts.items()]
    if costs:
        parts.append(f"about ${state.cost():.2f} so far")
    return f"{state.sweep}: " + ", ".join(parts) + (f" ({state.note})" if state.note else "")


class View:
    """Shows a sweep while it goes on: a live table on a terminal, a line for each change elsewhere."""

    def __init__(self, costs: bool, quiet: bool = False) -> None:
        self.costs, self.quiet = costs, quiet
        self._live: Live | None = None
        self._printed: dict[str, str] = {}
        self._lost: dict[int, int] = {}  # id of a row -> how many repeated submissions were printed
        self._state: SweepState | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty() and not self.quiet:
            self._live = Live(get_renderable=self._render, console=console(), refresh_per_second=2)
            self._live.start()
            printing.guard()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, state: SweepState) -> None:
        self._state = state
        if self._live is None and not self.quiet:
            for line in self._news(state):
                print(line, flush=True)

    def _render(self) -> Group | Text:
        return table(self._state, self.costs) if self._state is not None else Text("")

    def _news(self, state: SweepState) -> Iterator[str]:
        for row in state.rows:
            word = status(row)
            if len(row.lost) > self._lost.get(id(row), 0):
                self._lost[id(row)] = len(row.lost)
                yield f"{row.name} is submitted again: {first_line(row.lost[-1])}"
            if word != self._printed.get(row.name, "queued"):
                self._printed[row.name] = word
                exact = f", {row.metrics['val_exact']:.2%} exact" if "val_exact" in row.metrics else ""
                reason = f": {first_line(row.job.reason)}" if row.job and row.job.reason else ""
                yield f"{row.name} {word}{exact if row.job and row.job.over else ''}{reason}"
        if state.note and state.note != self._printed.get(""):
            yield f"{state.sweep}: {state.note}"
        self._printed[""] = state.note


def _seconds(row: Row) -> float:
    return row.metrics.get("seconds") or row.elapsed(time.time())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
