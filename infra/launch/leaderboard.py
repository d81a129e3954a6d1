"""Shows a sweep: as a table, as lines, and as JSON."""

import math
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
from infra.launch.sweep import shown, varied
from infra.launch.trial import SweepState, Trial

_COLOURS = {COMPLETED: "green", FAILED: "red", STOPPED: "yellow"}
_MOST_TRIALS = 40
_FILE_WIDTH = 200


def status(trial: Trial) -> str:
    """queued, Training, Completed, ..."""
    if trial.job is None:
        return "queued"
    return trial.job.phase if trial.job.status == IN_PROGRESS and trial.job.phase else trial.job.status


def as_json(trial: Trial) -> dict[str, Any]:
    """One job, for programs."""
    job, now = trial.job, time.time()
    return {
        "name": trial.name,
        "key": trial.key,
        "job": job.name if job else "",
        "status": job.status if job else "Queued",
        "phase": job.phase if job else "",
        "attempt": trial.attempt,
        "lost": list(trial.lost),
        "config": trial.config,
        "metrics": dict(trial.metrics),
        "seconds": round(trial.elapsed(now), 1),
        "usd": round(trial.cost(now), 4),
        "reason": job.reason if job else "",
        "model": job.model if job else "",
    }


def console() -> Console:
    """The console for tables: as wide as the terminal, or wide enough for a file."""
    return printing.console() if sys.stdout.isatty() else printing.console(width=_FILE_WIDTH)


def first_line(reason: str) -> str:
    """SageMaker's reason of a failure has many lines; the first is the sentence."""
    return reason.strip().partition("\n")[0]


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Those that have been evaluated, the best first: by exact match, then least margin, loss, size and seconds."""
    return sorted((trial for trial in trials if "val_exact" in trial.metrics), key=_place)


def _place(trial: Trial) -> tuple[float | str, ...]:
    metrics, (layers, width) = trial.metrics, (int(shown(trial.config, name)) for name in ("n_layer", "n_embd"))
    return (
        -metrics["val_exact"],
        -metrics.get("val_margin", -math.inf),
        metrics.get("val_loss", math.inf),
        layers * width**2,
        _seconds(trial),
        str(trial.config),
    )


def leaderboard(state: SweepState, costs: bool) -> Table:
    """The ranking."""
    names = varied([trial.config for trial in state.trials])
    head = ("#", *names, "exact", "margin", "loss", "s", *(["$"] if costs else []), "status", "trial")
    table = Table(*map(printing.one_line, head), box=None)
    for column, title in zip(table.columns, head, strict=True):
        column.no_wrap = True
        column.min_width = {"exact": 7, "margin": 6, "loss": 8}.get(title)  # a narrow terminal cuts names instead
    for rank, trial in enumerate(ranked(state.trials), 1):
        values = [shown(trial.config, name) for name in names]
        cost = [f"{trial.cost(time.time()):.3f}"] if costs else []
        exact, metrics = f"{trial.metrics['val_exact']:.2%}", trial.metrics
        margin, loss = f"{metrics.get('val_margin', math.nan):.2f}", f"{metrics.get('val_loss', math.nan):.4g}"
        cells = (str(rank), *values, exact, margin, loss, f"{_seconds(trial):.1f}", *cost, status(trial), trial.name)
        table.add_row(*map(printing.one_line, cells))
    return table


def table(state: SweepState, costs: bool) -> Group:
    """All jobs, the running ones first if there are too many."""
    names, now = varied([trial.config for trial in state.trials]), time.time()
    made = Table("trial", *names, "status", "step", "loss", "exact", "elapsed", *(["$"] if costs else []), box=None)
    trials = state.trials
    if len(trials) > _MOST_TRIALS:
        order = {"queued": 2, COMPLETED: 1}
        trials = sorted(trials, key=lambda trial: order.get(status(trial), 0))[:_MOST_TRIALS]
    for trial in trials:
        metrics = trial.metrics
        word, tries = status(trial), f", try {1 + len(trial.lost)}" if trial.lost else ""
        made.add_row(
            *map(printing.one_line, (trial.name, *(shown(trial.config, name) for name in names))),
            Text(printing.one_line(word + tries), style=_COLOURS.get(trial.job.status if trial.job else "", "")),
            f"{metrics['step']:.0f}" if "step" in metrics else "",
            f"{metrics['val_loss']:.4g}" if "val_loss" in metrics else "",
            f"{metrics['val_exact']:.2%}" if "val_exact" in metrics else "",
            _clock(trial.elapsed(now)),
            *([f"{trial.cost(now):.3f}"] if costs else []),
        )
    return Group(made, Text(summary(state, costs), style="bold"))


def summary(state: SweepState, costs: bool) -> str:
    """One line: the number of jobs in each status, the cost so far, and what the launcher waits for."""
    counts: dict[str, int] = {}
    for trial in state.trials:
        counts[status(trial)] = counts.get(status(trial), 0) + 1
    parts = [f"{n} {word}" for word, n in counts.items()]
    if costs:
        parts.append(f"about ${state.cost():.2f} so far")
    return f"{state.sweep}: " + ", ".join(parts) + (f" ({state.note})" if state.note else "")


class View:
    """Shows a running sweep: a live table on a terminal, a line for each change elsewhere."""

    def __init__(self, costs: bool, quiet: bool = False) -> None:
        self.costs, self.quiet = costs, quiet
        self._live: Live | None = None
        self._printed: dict[str, str] = {}
        self._lost: dict[int, int] = {}  # id of a trial -> how many repeated submissions were printed
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
        for trial in state.trials:
            word = status(trial)
            if len(trial.lost) > self._lost.get(id(trial), 0):
                self._lost[id(trial)] = len(trial.lost)
                yield f"{trial.name} is submitted again: {first_line(trial.lost[-1])}"
            if word != self._printed.get(trial.name, "queued"):
                self._printed[trial.name] = word
                exact = f", {trial.metrics['val_exact']:.2%} exact" if "val_exact" in trial.metrics else ""
                reason = f": {first_line(trial.job.reason)}" if trial.job and trial.job.reason else ""
                yield f"{trial.name} {word}{exact if trial.job and trial.job.over else ''}{reason}"
        if state.note and state.note != self._printed.get(""):
            yield f"{state.sweep}: {state.note}"
        self._printed[""] = state.note


def _seconds(trial: Trial) -> float:
    return trial.metrics.get("seconds") or trial.elapsed(time.time())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
