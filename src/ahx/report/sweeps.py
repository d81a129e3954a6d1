"""The report of a sweep, from the rows of `ahx jobs leaderboard --json` and the evaluations of its trials."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ahx.report import curves
from ahx.report.charts import Figure
from ahx.report.page import Section

_MOST_CURVES = 7  # as many as there are colours


def sections(
    rows: Sequence[Mapping[str, Any]], histories: Mapping[str, curves.History], varied: Sequence[str]
) -> Iterator[Section]:
    """`rows` are the trials, the best first; `varied` are the hyperparameters that differ among them."""
    leaderboard = Section("Leaderboard")
    judged = [row for row in rows if "val_exact" in row["metrics"]]
    columns = (*varied, "exact, %", "loss", "least margin", "training s", "US dollars", "status", "trial")
    leaderboard.table(("rank", *columns), [(rank, *_cells(row, varied)) for rank, row in enumerate(judged, 1)])
    yield leaderboard
    if len(varied) > 0 and len(judged) > 1:
        section = Section("Hyperparameters")
        section.figure(_parallel(judged, varied))
        yield section
    best = [row for row in judged if histories.get(row["name"])][:_MOST_CURVES]
    lines = [
        curves.Learning(_name(row, varied), [histories[row["name"]]], int(row["config"]["batch_size"])) for row in best
    ]
    if figure := curves.learning(lines):
        section = Section("Learning")
        if len(best) < len(judged):
            section.text(f"The first {len(best)} of the leaderboard.")
        section.figure(figure)
        yield section
    others = [row for row in rows if "val_exact" not in row["metrics"] or row["reason"]]
    if others:
        section = Section("Trials without a result")
        section.table(("trial", *varied, "status", "reason"), [
            (row["name"], *(_setting(row, name) for name in varied), row["status"], row["reason"].partition("\n")[0])
            for row in others
        ])  # fmt: skip
        yield section


def _cells(row: Mapping[str, Any], varied: Sequence[str]) -> Sequence[Any]:
    told = row["metrics"]
    results = (
        100 * told["val_exact"],
        told.get("val_loss"),
        told.get("val_margin"),
        told.get("seconds") or row["seconds"],
    )
    return *(_setting(row, name) for name in varied), *results, row["usd"], row["status"], row["name"]


def _setting(row: Mapping[str, Any], name: str) -> Any:
    """A hyperparameter of the trial: as a number, if it is one."""
    value = row["config"].get(name)
    try:
        return value if value is None else int(value) if str(value).lstrip("-").isdecimal() else float(value)
    except ValueError:
        return str(value)


def _name(row: Mapping[str, Any], varied: Sequence[str]) -> str:
    return ", ".join(f"{name} {_setting(row, name)}" for name in varied) or str(row["name"])


def _parallel(judged: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> Figure:
    """Parallel coordinates: an axis for each hyperparameter, a line for each trial, coloured by exact match."""
    axes_of = [*varied, "exact, %"]
    table = [[*(_setting(row, name) for name in varied), 100 * row["metrics"]["val_exact"]] for row in judged]
    scales = [_scale([line[n] for line in table]) for n in range(len(axes_of))]

    def draw(canvas: Any) -> None:
        from matplotlib import colormaps

        axes, colours = canvas.subplots(), colormaps["viridis"]
        for line in reversed(table):  # the best on top
            heights = [scale[str(value)] for scale, value in zip(scales, line, strict=True)]
            axes.plot(range(len(heights)), heights, "o-", ms=3, lw=1.2, alpha=0.8, color=colours(line[-1] / 100))
        for at, scale in enumerate(scales):
            shown = list(scale.items())
            step = -(-len(shown) // 8)
            for value, height in [*shown[::step], shown[-1]]:
                axes.annotate(_short(value), (at, height), (3, 0), textcoords="offset points", fontsize=6, va="center")
        axes.set_xticks(range(len(axes_of)), axes_of, rotation=15, ha="right")
        axes.set(ylim=(-0.05, 1.05), yticks=[])
        axes.grid(visible=True, axis="x")

    note = "A line is a trial. Yellow is exact, dark is not."
    return Figure("Hyperparameters and exact match", draw, axes_of, table, note, (max(5.0, 1.3 * len(axes_of)), 3.6))


def _scale(values: Sequence[Any]) -> dict[str, float]:
    """The height of each value, from 0 to 1: equally spaced in their order, numbers before words."""
    words = {value for value in values if isinstance(value, str)}
    order = [*sorted(set(values) - words - {None}), *([None] if None in values else []), *sorted(words)]
    return {str(value): place / max(1, len(order) - 1) for place, value in enumerate(order)}


def _short(value: str) -> str:
    try:
        return f"{float(value):.3g}"
    except ValueError:
        return value[:12]
