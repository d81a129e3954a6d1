"""The report of a study, and its figures, from what study.json says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ahx.errors import InputError
from ahx.report import curves
from ahx.report.charts import Figure, colour, label, legend
from ahx.report.page import Section

_COLUMNS = ("positions", "layers", "heads", "width", "parameters", "batch", "exact seeds", "of", "samples", "seconds")


def figures(told: Mapping[str, Any]) -> dict[str, Figure]:
    """The figures that there is something to show in, by name: samples, lengths, lines."""
    lengths = [
        (own["positions"], [{float(k): share for k, share in one.items()} for one in own["exact_by_length"]])
        for own in told["schemes"].values()
        if own["exact_by_length"]
    ]
    found = {"samples": _samples(told), "lengths": curves.by_length(lengths), "lines": _lines(told)}
    return {name: figure for name, figure in found.items() if figure is not None}


def sections(told: Mapping[str, Any], source: object) -> Iterator[Section]:
    """The answer, the figures and all attempts. Raises InputError for a file that is not a study's."""
    try:
        section = Section("The answer")
        for sentence in told["answer"]:
            section.text(sentence)
        yield section
        section = Section("Figures")
        for figure in figures(told).values():
            section.figure(figure)
        yield section
        section = Section("All attempts")
        section.table(
            _COLUMNS, [_row(own["positions"], one) for own in told["schemes"].values() for one in own["attempts"]]
        )
        yield section
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{source} is not the record of a study ({error!r:.100}); run `ahx study` again") from None


def _row(positions: str, one: Mapping[str, Any]) -> Sequence[Any]:
    return (
        positions, one["n_layer"], one["n_head"], one["n_embd"], one["parameters"], one["batch_size"], one["exact"],
        one["of"], _span(one["samples"]), _span(one["seconds"]),
    )  # fmt: skip


def _span(values: Sequence[float]) -> str:
    shown = list(dict.fromkeys(f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" for value in values))
    return " - ".join([shown[0], shown[-1]] if len(shown) > 1 else shown)


def _samples(told: Mapping[str, Any]) -> Figure | None:
    """Samples to exact against parameters; sizes that are not enough at the most samples they were given."""
    rows = [
        (own["positions"], one["parameters"], samples, "yes")
        for own in told["schemes"].values()
        for one in own["attempts"]
        if one["exact"] == one["of"]
        for samples in one["samples"]
    ]
    if not rows:
        return None
    enough = {(row[0], row[1]) for row in rows}
    rows += sorted({
        (own["positions"], one["parameters"], one.get("most_samples"), "no")
        for own in told["schemes"].values()
        for one in own["attempts"]
        if (own["positions"], one["parameters"]) not in enough and one.get("most_samples")
    })  # fmt: skip

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        for number, scheme in enumerate(dict.fromkeys(row[0] for row in rows)):
            for exact, mark, more in (("yes", "o", ""), ("no", "x", ": not enough")):
                points = [row[1:3] for row in rows if (row[0], row[3]) == (scheme, exact)]
                if points:
                    axes.plot(
                        *zip(*points, strict=True), mark, color=colour(number), alpha=0.7, label=label(scheme) + more
                    )
        axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="samples until exact, each seed")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:,.0f}")
            axis.set_minor_formatter("")
        legend(axes)

    return Figure(
        "Samples until exact against parameters", draw, ("positions", "parameters", "samples", "enough"), rows
    )


def _lines(told: Mapping[str, Any]) -> Figure | None:
    data = told["data"]
    if not data or not data["points"]:
        return None
    rows = [(one["lines"], 100 * (1 - share)) for one in data["points"] for share in one["exact"]]
    held = data["held_back"]

    def draw(canvas: Any) -> None:
        axes, ticks = canvas.subplots(), sorted({row[0] for row in rows})
        axes.plot(*zip(*rows, strict=True), "o", alpha=0.7, label="each seed")
        if held:
            fitted = [100 * held["scale"] * n ** -held["exponent"] for n in ticks]
            axes.plot(ticks, fitted, "--", label="fitted to all but the largest")
        axes.set(xscale="log", xlabel="lines of training data", ylabel="errors, %")
        axes.set_xticks(ticks, [f"{n:,}" for n in ticks])
        axes.minorticks_off()
        legend(axes)

    return Figure("Errors against lines of training data", draw, ("lines", "errors, %"), rows)
