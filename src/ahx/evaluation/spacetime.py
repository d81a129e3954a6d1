"""Pictures of a run, one row for each configuration: as text, as an SVG, and as a PNG (one pixel a cell, enlarged)."""

import struct
import sys
import zlib
from collections import deque
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ahx.errors import InputError, StorageError
from ahx.text.printing import printable

# Colours of the symbols, the first for the blank; then of the cell under a Turing machine's head.
SYMBOLS = ("#f4f1ea", "#2b4a6f", "#e0a030", "#4f9a6b", "#8d5a97", "#c56a5a", "#7a7a7a", "#6fb3c8")
HEAD = "#d7263d"
_NOWHERE = "#ffffff"


class Diagram:
    """Collects configurations (strings such as 01B1, or rows of symbols), of which at most about `most` are kept.

    Rows are thinned out evenly: only every second, fourth, ... configuration is kept once there are too many. The
    `last` ones are always kept, for `text`.
    """

    def __init__(self, symbols: str, most: int = 400, last: int = 0) -> None:
        self.symbols, self.most, self.every = symbols, most, 1
        self.rows: list[tuple[int, str]] = []  # where a row begins, and its configuration
        self.last: deque[tuple[int, str]] = deque(maxlen=min(last, sys.maxsize))  # every one of the newest
        self._count, self._begin, self._before = 0, 0, ""

    def add(self, configuration: str) -> None:
        """The next configuration."""
        heads = self._before[:1] not in self.symbols and configuration[:1] not in self.symbols
        if heads and len(configuration) == len(self._before) + 1:  # the head left the tape at its left end
            self._begin -= 1
        self._before = configuration
        self.last.append((self._begin, configuration))
        if self._count % self.every == 0:
            self.rows.append((self._begin, configuration))
            if len(self.rows) >= 2 * self.most:
                self.rows, self.every = self.rows[::2], 2 * self.every
        self._count += 1

    def grid(self) -> list[list[int]]:
        """Cells as numbers: -2 outside of the tape, -1 under the head, else the position of the symbol in `symbols`."""
        rows = self.rows[:: -(-len(self.rows) // self.most)] if self.rows else []
        cells = [(begin, _numbers(text, self.symbols)) for begin, text in rows]
        left = min((begin for begin, _ in cells), default=0)
        width = max([1, *(begin - left + len(own) for begin, own in cells)])  # at least one cell wide
        return [[-2] * (begin - left) + own + [-2] * (width - (begin - left) - len(own)) for begin, own in cells]

    def text(self, width: int) -> list[str]:
        """The last `last` configurations, in lines of at most `width` characters."""
        shown = self.last
        left = min((begin for begin, _ in shown), default=0)
        lines = [" " * (begin - left) + self._merged(text) for begin, text in shown]
        return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]

    def _merged(self, text: str) -> str:
        """`text` with the state's letter instead of the symbol under the head, and dots for blanks."""
        shown: list[str] = []
        head = False
        for symbol in text:
            if not head:
                shown.append("·" if symbol == "0" else symbol)
            head = symbol not in self.symbols
        return "".join(shown)

    def svg(self, cell: int = 4, title: str = "") -> str:
        """An SVG with a rectangle for each run of equal cells."""
        grid = self.grid()
        height, width = len(grid), max(map(len, grid), default=0)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width * cell}" '
            f'height="{height * cell}" shape-rendering="crispEdges">',
            f"<title>{escape(printable(title))}</title>",
        ]
        for colour, runs in _runs(grid).items():
            path = "".join(f"M{x} {y}h{n}v1h-{n}z" for x, y, n in runs)
            parts.append(f'<path fill="{colour}" d="{path}"/>')
        return "\n".join([*parts, "</svg>"]) + "\n"

    def png(self, cell: int = 4) -> bytes:
        """A PNG with a palette (W3C, Portable Network Graphics, third edition)."""
        grid = self.grid()
        palette = [_colour(number) for number in range(-2, len(SYMBOLS))]
        lines = b"".join(
            (b"\0" + bytes(palette.index(_colour(number)) for number in row for _ in range(cell))) * cell
            for row in grid
        )
        width, height = max(map(len, grid), default=0) * cell, len(grid) * cell
        header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
        colours = b"".join(bytes.fromhex(colour[1:]) for colour in palette)
        chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )

    def save(self, path: str | Path, title: str = "") -> None:
        """Write an SVG or a PNG, by the suffix. Raises InputError for another one, StorageError on failure."""
        check_name(path)
        data = self.svg(title=title).encode() if Path(path).suffix.lower() == ".svg" else self.png()
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}; choose another place") from error


def check_name(path: str | Path) -> None:
    """Raises InputError or StorageError for a name that no picture can be written to; call it before a long run."""
    if Path(path).suffix.lower() not in (".svg", ".png"):
        raise InputError(f"{str(path)!r} is not the name of a picture; use a name that ends in .svg or .png")
    if not Path(path).parent.is_dir():
        raise StorageError(f"cannot write {path}: there is no folder {Path(path).parent}; make it, or choose another")


def _numbers(text: str, symbols: str) -> list[int]:
    numbers: list[int] = []
    head = False
    for symbol in text:
        if symbol not in symbols:
            head = True
            continue
        numbers.append(-1 if head else symbols.index(symbol) % len(SYMBOLS))
        head = False
    return numbers


def _colour(number: int) -> str:
    return {-2: _NOWHERE, -1: HEAD}.get(number) or SYMBOLS[number]


def _runs(grid: Sequence[Sequence[int]]) -> dict[str, list[tuple[int, int, int]]]:
    """For each colour, its runs: where each begins (x, y) and how long it is."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for y, row in enumerate(grid):
        x = 0
        while x < len(row):
            n = 1
            while x + n < len(row) and row[x + n] == row[x]:
                n += 1
            if row[x] != -2:
                found.setdefault(_colour(row[x]), []).append((x, y, n))
            x += n
    return found
