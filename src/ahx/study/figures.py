"""The figures of a study, drawn by matplotlib where it is installed: `pip install 'ahx-transformer[report]'`."""

from pathlib import Path
from typing import Any

from ahx.study.answer import Answer
from ahx.text.printing import one_line

_KINDS = ("svg", "png")


def draw(answer: Answer, folder: Path) -> list[Path]:
    """Write the figures that there is something to show in. Raises ImportError without matplotlib."""
    from matplotlib.figure import Figure

    written = []
    for name, plot in (("samples", _samples), ("lengths", _lengths), ("lines", _lines)):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        if plot(answer, axes):
            axes.set_title(one_line(answer.subject)[:60], parse_math=False)
            axes.grid(alpha=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
            for kind in _KINDS:
                written.append(folder / f"{name}.{kind}")
                figure.savefig(written[-1], dpi=150)
    return written


def _samples(answer: Answer, axes: Any) -> bool:
    """Samples to exact against parameters; sizes that are not enough at the top."""
    shown = False
    for number, found in enumerate(answer.findings):
        points = [(answer.n_parameters(one.config), one.samples) for one in found.enough]
        if not points:
            continue
        shown, colour = True, f"C{number}"
        name = answer.scheme({"pos": found.pos})
        flat = [(n, samples) for n, each in points for samples in each]
        axes.plot(*zip(*flat, strict=True), "o", color=colour, alpha=0.7, label=name)
        failed = [answer.n_parameters(one.config) for one in found.not_enough()]
        if failed:
            limit = found.attempts[0].config["max_steps"] * found.attempts[0].config["batch_size"]
            axes.plot(failed, [limit] * len(failed), "x", color=colour, label=f"{name}: not enough")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="samples until exact, each seed")
    return shown


def _lengths(answer: Answer, axes: Any) -> bool:
    for number, found in enumerate(answer.findings):
        for seed, shares in enumerate(answer.lengths.get(found.pos, ())):
            label = answer.scheme({"pos": found.pos}) if seed == 0 else None
            axes.plot([int(k) for k in shares], [100 * s for s in shares.values()], "o-", color=f"C{number}",
                      alpha=0.7, label=label)  # fmt: skip
    axes.set(xscale="log", ylim=(-5, 105), xlabel="length, in training lengths", ylabel="exact, %")
    return any(answer.lengths.values())


def _lines(answer: Answer, axes: Any) -> bool:
    if answer.curve is None or not answer.curve.attempts:
        return False
    points = answer.curve.points()
    flat = [(n, 100 * (1 - share)) for n, shares in points for share in shares]
    axes.plot(*zip(*flat, strict=True), "o", alpha=0.7, label="each seed")
    if (check := answer.curve.check()) is not None:
        axes.plot([n for n, _ in points], [100 * check.without.error(n) for n, _ in points], "--",
                  label="fitted to all but the largest")  # fmt: skip
    axes.set(xscale="log", xlabel="lines of training data", ylabel="errors, %")
    axes.set_xticks([n for n, _ in points], [f"{n:,}" for n, _ in points])
    axes.minorticks_off()
    return True
