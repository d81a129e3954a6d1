"""Pictures of what a model does: the attention of its heads, and the run of a machine."""

from typing import Any

import numpy as np

from ahx.evaluation.attention import Attention
from ahx.evaluation.execution import Execution
from ahx.evaluation.recording import Recorder
from ahx.evaluation.trained import Trained
from ahx.evaluation.verification import machine_learnt
from ahx.report.charts import Figure, label

_KINDS = {"g": "global", "s": "sequence", "c": "coupled", "p": "program"}
_STEPS, _TOKENS = 300, 60_000  # of a run that is drawn


def heads(seen: Attention) -> Figure:
    """The weights of every head, and where the cursor is."""
    L, H, T, _ = seen.weights.shape

    def draw(canvas: Any) -> None:
        grid, names = canvas.subplots(L, H, squeeze=False), list(map(label, seen.tokens))
        track = [(place, query) for query, place in enumerate(seen.cursor) if place is not None]
        for layer, row in enumerate(grid):
            for head, axes in enumerate(row):
                axes.imshow(seen.weights[layer, head], cmap="Blues", vmin=0, vmax=1)
                if track:
                    axes.plot(*zip(*track, strict=True), color="#d55e00", lw=1, marker=".", ms=2, label="cursor")
                axes.set_title(f"layer {layer + 1}, head {head + 1}: {_KINDS[seen.heads[layer][head]]}", fontsize=8)
                below, left = (T if outer else 0 for outer in (layer == L - 1, head == 0))
                axes.set_xticks(range(below), names[:below], fontsize=5, rotation=90)
                axes.set_yticks(range(left), names[:left], fontsize=5)
                axes.grid(visible=False)
        canvas.supxlabel("key", fontsize=8)
        canvas.supylabel("query", fontsize=8)

    rows = [
        (layer + 1, head + 1, f"{query} {seen.tokens[query]}", f"{key} {seen.tokens[key]}", float(weight))
        for layer, head, query, key in zip(*np.nonzero(seen.weights >= 0.01), strict=True)
        if (weight := seen.weights[layer, head, query, key]) is not None
    ]
    note = "Dark: much attention. Orange: the cell under the cursor, which the written tokens move."
    columns = ("layer", "head", "query", "key", "weight")
    return Figure("Attention of each head", draw, columns, rows, note, (2.4 * H + 0.6, 2.4 * L + 0.6))


def spacetime(trained: Trained) -> Figure:
    """The first steps of a certified machine from its blank input, written by the model."""
    machine = machine_learnt(trained)
    recorder = Recorder(trained, machine, "", draw=True, check=False)
    execution = Execution(trained.model, trained.tokenizer, machine, "", on_step=recorder)
    execution.run(_STEPS, _TOKENS)
    diagram = recorder.diagram
    cells = np.array(diagram.grid())

    def draw(canvas: Any) -> None:
        from matplotlib.colors import ListedColormap
        from matplotlib.patches import Patch

        from ahx.evaluation.spacetime import HEAD, SYMBOLS

        palette = ["none", HEAD, *SYMBOLS]
        axes = canvas.subplots()
        axes.imshow(cells + 2, cmap=ListedColormap(palette), vmin=0, vmax=len(palette) - 1, aspect="auto",
                    interpolation="nearest")  # fmt: skip
        axes.set(xlabel="cell", ylabel="step")
        axes.grid(visible=False)
        named = [("under the head", HEAD)] * bool((cells == -1).any())
        named += [(label(symbol), SYMBOLS[n % len(SYMBOLS)]) for n, symbol in enumerate(diagram.symbols)]
        axes.legend(handles=[Patch(color=own, label=name) for name, own in named], fontsize=8, loc="upper left",
                    bbox_to_anchor=(1, 1))  # fmt: skip

    rows = [(step, text) for step, (_, text) in enumerate(diagram.rows[:50])]
    note = f"The model's own steps, {execution.steps:,} of them; a row is a configuration."
    return Figure(f"Run of {trained.rule.spec if trained.rule else 'a machine'}", draw, ("step", "configuration"), rows,
                  note, (6.4, 6.4))  # fmt: skip
