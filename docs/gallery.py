"""Draw the pictures of docs/gallery.md and the moving one of README.md anew, from models that are trained here.

python docs/gallery.py        about two minutes on one core
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

from ahx import train
from ahx.evaluation.attention import attention
from ahx.evaluation.trained import Trained, load_trained
from ahx.play.written import rewriting
from ahx.report import pictures
from ahx.report.curves import by_length, learning
from ahx.report.runs import Run, evaluated, shares

HERE = Path(__file__).resolve().parent / "pictures"
SCHEMES = ("coupled", "rope", "alibi", "none", "learned")
SEEDS = (1, 2, 3)
COPY = {"max_steps": 300, "epoch_size": 480, "val_samples": 500, "quiet": True}
_TICK_SECONDS = 0.45


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = train("double_a", until_exact=2000, quiet=True, model_out=f"{folder}/double_a")
        double_a = load_trained(model.folder, trusted=None)
        (HERE / "writing.svg").write_text(moving(double_a, "BABA"), "utf-8")
        pictures.heads(attention(double_a, "ABBABA")).save(HERE / "heads.svg")
        schemes(Path(folder))


def schemes(folder: Path) -> None:
    """Learning curves, and exact match by length, of each position scheme on `copy`."""
    runs: dict[str, list[Run]] = {}
    for pos, seed in itertools.product(SCHEMES, SEEDS):
        to = folder / f"{pos}{seed}"
        train("copy", pos=pos, seed=seed, model_out=str(to), **COPY)
        runs.setdefault(pos, []).append(Run.of(load_trained(to, trusted=None), to))
    curve = learning([(pos, [run.history for run in own], own[0].batch) for pos, own in runs.items()])
    lengths = by_length([(pos, [shares(evaluated(run, 500)) for run in own]) for pos, own in runs.items()])
    for name, figure in (("learning", curve), ("lengths", lengths)):
        assert figure is not None
        figure.save(HERE / f"{name}.svg")


def moving(trained: Trained, text: str) -> str:
    """An SVG that moves: the input with the cursor, and the tokens as the model writes them."""
    told = rewriting(trained, text)
    tokens, n, steps = told["tokens"], told["n_input"], told["steps"]
    width = 16 + max(sum(_width(token) for token in row) for row in (tokens[:n], tokens[n:]))
    seconds = _TICK_SECONDS * (len(steps) + 4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 132" width="{width}" height="132">',
        f"<title>A transformer rewrites {escape(text)} token by token</title>",
        "<style>text{font:14px ui-monospace,monospace;text-anchor:middle;fill:#1b1f24}"
        "rect{fill:#f6f7f8;stroke:#b8bec5}.on{fill:none;stroke:#d55e00;stroke-width:3}.small{font-size:11px}"
        "@media (prefers-color-scheme:dark){text{fill:#e8eaed}rect{fill:#1e2226;stroke:#5a6067}}</style>",
        *_row(tokens[:n], 24, [(0.0, seconds)] * n),
        *_row(tokens[n:], 92, [((k + 1) * _TICK_SECONDS, seconds) for k in range(len(steps))]),
    ]
    left = list(itertools.accumulate((_width(token) for token in tokens[:n]), initial=8))
    for k, step in enumerate(steps):
        place = step["cursor"]
        if place is not None and place < n:
            box = f'<rect class="on" x="{left[place]}" y="22" width="{_width(tokens[place]) - 4}" height="28" rx="4"'
            parts.append(f'{box} opacity="0">{_shown(k * _TICK_SECONDS, (k + 1) * _TICK_SECONDS, seconds)}</rect>')
        name, share, _ = step["likeliest"][0]
        label = f"next: {name} ({100 * share:.1f} %)"
        show = _shown(k * _TICK_SECONDS, (k + 1) * _TICK_SECONDS, seconds)
        parts.append(f'<text class="small" x="{width / 2}" y="76" opacity="0">{escape(label)}{show}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _width(token: str) -> int:
    return 18 + 9 * len(token)


def _row(tokens: list[str], y: int, times: list[tuple[float, float]]) -> Iterator[str]:
    x = 8
    for token, (begin, end) in zip(tokens, times, strict=True):
        own = _width(token) - 4
        hidden = "" if begin == 0 else ' opacity="0"'
        show = "" if begin == 0 else _shown(begin, end, end)
        yield f'<g{hidden}>{show}<rect x="{x}" y="{y}" width="{own}" height="24" rx="4"/>'
        yield f'<text x="{x + own / 2}" y="{y + 17}">{escape(token)}</text></g>'
        x += own + 4


def _shown(begin: float, end: float, whole: float) -> str:
    """Visible from `begin` to `end` of every `whole` seconds."""
    times = f"0;{begin / whole:.4f};{min(end / whole, 1):.4f}"
    how = f'calcMode="discrete" dur="{whole}s" repeatCount="indefinite" values="0;1;0" keyTimes="{times}"'
    return f'<animate attributeName="opacity" {how}/>'


if __name__ == "__main__":
    main()
