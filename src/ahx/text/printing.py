"""Safe printing: untrusted text cannot send control sequences to the terminal.

Rules, symbols, names, keys and log lines may contain any characters. While `guarded` is active, everything printed goes
through `printable`; rich's own colours and cursor movements bypass it, through `console`. Results are printed with
`data`, unchanged where they go into a file or a pipe.
"""

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

# All control characters except tab and newline (C0, DEL, C1: ECMA-48), characters without width or that change the
# direction of writing (Unicode's Cf without visible ones, and the Hangul fillers), other line separators, surrogates
# and non-characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""`text` with invisible characters and those that move the cursor escaped as in Python: \x1b, \u202e."""
    if text == "\n" or (text.isascii() and text.isprintable()):
        return text
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str) -> str:
    r"""`printable` for a cell of a table: newlines and tabs are escaped as well."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def masked(text: str) -> str:
    """`one_line` with one replacement character for each escape, for lines with carets below them."""
    return "".join(c if c.isprintable() and not _UNSEEN.match(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def width(text: str) -> int:
    """The columns of a terminal that printable `text` takes: two for most East Asian characters."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, columns: int) -> str:
    """`text` padded with spaces to `columns` columns of a terminal."""
    return text + " " * (columns - width(text))


# A word, a command in quotes, or one at the end of a sentence: it can be copied as one line.
_WORD = re.compile(r"`[^`]*`\S*|(?<=: )(?:ahx|pip|make|docker) .*|\S+")
_NO_SENTENCE = re.compile(r"\s*(ahx|pip|make|docker|export) |.*\S  +\S")  # a command, or a row of a table


def wrapped(text: str, columns: int) -> str:
    """`text` with sentences in lines of at most `columns` columns, broken between words; indentation is kept."""
    return "\n".join("\n".join(_broken(line, columns)) for line in text.split("\n"))


def _broken(line: str, columns: int) -> Iterator[str]:
    if width(line) <= columns or _NO_SENTENCE.match(line):
        yield line
        return
    indent = line[: len(line) - len(line.lstrip())]
    part = ""
    for word in _WORD.findall(line):
        if part and width(f"{indent}{part} {word}") > columns >= width(word):
            yield indent + part
            part = ""
        part = f"{part} {word}" if part else word
    yield indent + part


class Guarded:
    """A text stream to which only `printable` text is written; otherwise it behaves like the stream.

    On a terminal, sentences are broken between words.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self._wraps = stream, stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        shown = printable(text)
        self.stream.write(wrapped(shown, shutil.get_terminal_size().columns) if self._wraps else shown)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def raw(stream: Any) -> Any:
    """The stream below the guards, and below rich's wrapper while it draws a progress line."""
    while isinstance(stream, Guarded) or hasattr(type(stream), "rich_proxied_file"):
        stream = stream.stream if isinstance(stream, Guarded) else stream.rich_proxied_file
    return stream


def guard() -> None:
    """Guard the current standard output and standard error, which rich may have replaced."""
    if not isinstance(sys.stdout, Guarded):
        sys.stdout = cast(TextIO, Guarded(sys.stdout))
    if not isinstance(sys.stderr, Guarded):
        sys.stderr = cast(TextIO, Guarded(sys.stderr))


@contextmanager
def guarded() -> Iterator[None]:
    """Within this context, everything printed goes through a guard."""
    before = sys.stdout, sys.stderr
    guard()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def data(line: str, flush: bool = False) -> None:
    """Print a result: escaped on a terminal, unchanged into a file or a pipe."""
    stream = raw(sys.stdout)
    print(printable(line) if stream.isatty() else line, file=stream, flush=flush)


def console(**settings: Any) -> "Console":
    """A rich console that interprets no markup and prints only printable text."""
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        @property
        def file(self) -> Any:
            return raw(super().file)

        @file.setter
        def file(self, file: Any) -> None:
            self._file = file

        def render(self, *args: Any, **more: Any) -> Iterator[Segment]:
            for segment in super().render(*args, **more):
                text = segment.text if segment.control else printable(segment.text)
                yield segment if text == segment.text else Segment(text, segment.style)

    return Plain(markup=False, emoji=False, highlight=False, **settings)
