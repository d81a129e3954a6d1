"""Figures that runs, sweeps and studies share: curves over samples, and exact match by length."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from ahx.report.charts import Axes, Figure, colour, label, legend

History = Sequence[Mapping[str, float]]  # rows of metrics.jsonl or curve.jsonl
#: A line of a figure: its name, and its values by x for each seed.
Line = tuple[str, Sequence[Mapping[float, float]]]


class Learning(NamedTuple):
    """A line of the figure of learning. What was measured is listed by seed."""

    name: str
    evaluations: Sequence[History]
    batch: int  # samples in a step
    points: Sequence[History] = ()  # of the learning curve, where there is one


def learning(lines: Sequence[Learning]) -> Figure | None:
    """Loss and exact match over samples; None without any evaluation."""
    names = ("train_loss", "val_loss", "val_exact")
    rows = [
        (line.name, seed, kind, int(one["step"] * line.batch), *(one.get(key) for key in names))
        for line in lines
        for kind, histories in (("evaluation", line.evaluations), ("point", line.points))
        for seed, history in enumerate(histories)
        for one in history
        if "step" in one
    ]
    if not rows:
        return None

    def draw(canvas: Any) -> None:
        upper, lower = canvas.subplots(2, 1, sharex=True)
        for number, line in enumerate(lines):
            for axes, key, scale in ((upper, "val_loss", 1), (lower, "val_exact", 100)):
                whole, points = (
                    [{one["step"] * line.batch: scale * one[key] for one in own if key in one} for own in histories]
                    for histories in (line.evaluations, line.points)
                )
                band(axes, (line.name, points if any(points) else whole), number)
                if any(points):
                    for own in whole:
                        axes.plot(list(own), list(own.values()), "D", ms=4, color=colour(number))
        upper.set(yscale="log", ylabel="validation loss, nats")
        upper.yaxis.set_major_formatter("{x:g}")
        lower.set(ylim=(-5, 105), ylabel="exact, %", xlabel="training samples")
        legend(upper)

    columns = ("run", "seed", "kind", "samples", *names)
    note = "Validation loss is in nats per output token; exact is the share of validation samples right in every token."
    if any(one for line in lines for one in line.points):
        note += " Diamonds are evaluations on all validation samples, points those on a few of them."
    return Figure("Loss and exact match over samples", draw, columns, rows, note, (6.4, 4.8))


def by_length(lines: Sequence[Line]) -> Figure | None:
    """Exact match by length; a band covers the seeds. None without any value."""
    rows = [
        (name, seed, x, 100 * share)
        for name, each in lines
        for seed, one in enumerate(each)
        for x, share in one.items()
    ]
    if not rows:
        return None

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for number, (name, each) in enumerate(lines):
            band(axes, (name, [{x: 100 * share for x, share in one.items()} for one in each]), number)
        ticks = sorted({row[2] for row in rows})
        axes.set(xscale="log", ylim=(-5, 105), ylabel="exact, %", xlabel="length, in training lengths")
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.minorticks_off()
        legend(axes)

    return Figure("Exact match by length", draw, ("run", "seed", "length, in training lengths", "exact, %"), rows)


def band(axes: Axes, line: Line, number: int) -> None:
    """One line; with several seeds their mean, in a band from the least to the greatest."""
    name, each = line
    each = [one for one in each if one]
    if not each:
        return
    shared = sorted(set.intersection(*(set(one) for one in each)))
    if len(each) == 1 or not shared:  # seeds that stopped at other steps
        for seed, one in enumerate(each):
            axes.plot(list(one), list(one.values()), "o-", ms=3, color=colour(number), label=label(name) * (not seed))
        return
    values = [[one[x] for one in each] for x in shared]
    axes.plot(shared, [mean(own) for own in values], "o-", ms=3, color=colour(number), label=label(name))
    axes.fill_between(shared, list(map(min, values)), list(map(max, values)), color=colour(number), alpha=0.2, lw=0)
