"""Figures, drawn by matplotlib where it is installed: `pip install 'ahx-transformer[report]'`.

On a page their colours are CSS variables (page.css), so that they are readable in light and in dark. Text stays text.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahx.text.printing import one_line, printable

Axes = Any  # matplotlib.axes.Axes
Row = Sequence[str | float | None]

#: Readable on white and on black, and by people who do not see all colours (Okabe & Ito 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")
_ON_A_PAGE = {"#010203": "var(--ink)", "#040506": "var(--faint)"}  # what these colours become
# Identifiers that nothing refers to: the same in all figures of a page.
_UNUSED = re.compile(r' id="(?![mpih][0-9a-f]{10}")[^"]*"')


@dataclass(frozen=True)
class Figure:
    """A drawing, and the numbers in it."""

    title: str
    draw: Callable[[Any], None]  # gets an empty matplotlib Figure
    columns: Sequence[str] = ()
    rows: Sequence[Row] = ()
    note: str = ""  # how to read it
    size: tuple[float, float] = (6.4, 3.6)  # inches

    def svg(self) -> str:
        """An SVG element for a page. Raises ImportError without matplotlib."""
        ink, faint = _ON_A_PAGE
        out = io.BytesIO()
        self._write(out, "svg", ink, faint)
        text = out.getvalue().decode("utf-8")
        text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
        text = _UNUSED.sub("", text)
        for colour, variable in _ON_A_PAGE.items():
            text = text.replace(colour, variable)
        return printable(text)

    def save(self, path: Path) -> None:
        """Write it as SVG or PNG, by the suffix. Raises ImportError, OSError."""
        with path.open("wb") as file:
            self._write(file, path.suffix[1:], "#1b1f24", "#d0d5da")

    def _write(self, file: Any, kind: str, ink: str, faint: str) -> None:
        from matplotlib import rc_context
        from matplotlib.figure import Figure as Canvas
        from matplotlib.rcsetup import cycler

        style: dict[str, Any] = dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink
        )
        style |= {
            "grid.color": faint, "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=COLOURS), "legend.frameon": False, "font.size": 9,
            "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": self.title,
        }  # fmt: skip
        with rc_context(style):  # type: ignore[arg-type]
            canvas = Canvas(figsize=self.size, layout="constrained")
            self.draw(canvas)
            transparent = kind == "svg"
            metadata = {"Date": None, "Creator": None} if kind == "svg" else {}
            canvas.savefig(file, format=kind, dpi=150, transparent=transparent, metadata=metadata)


def label(text: str, most: int = 40) -> str:
    """`text` for a legend: short, and without the underscore at its beginning that would hide it."""
    text = one_line(text)
    text = text if len(text) <= most else text[: most - 1] + "…"
    return f" {text}" if text.startswith("_") else text


def legend(axes: Axes) -> None:
    """Name the lines, if there are several."""
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(fontsize=8)


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
