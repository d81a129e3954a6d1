"""A page of figures and tables in one HTML file that opens from disk: nothing is fetched, and no script is needed to
read it. With scripts, tables are sorted by a click and figures are saved as SVG, PNG or CSV.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

from ahx.report.charts import Figure, Row
from ahx.text.printing import printable

_USUAL_WIDTH = 6.4  # inches; wider figures take the whole width

# No address but data that the page holds itself.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


@dataclass
class Section:
    """A part of a page, with a heading of its own."""

    title: str
    parts: list[str] = field(default_factory=list)  # HTML

    def text(self, sentence: str) -> None:
        """Add a paragraph."""
        self.parts.append(f"<p>{plain(sentence)}</p>")

    def figure(self, figure: Figure) -> None:
        """Add a figure, with its numbers in a table that opens."""
        name = plain(figure.title)
        large = ' class="large"' if figure.size[0] > _USUAL_WIDTH else ""
        note = f"<br><small>{plain(figure.note)}</small>" if figure.note else ""
        kinds = "".join(f'<button data-save="{kind}">{kind.upper()}</button>' for kind in ("svg", "png", "csv"))
        svg = figure.svg().replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
        self.parts.append(
            f'<figure data-name="{name}"{large}><figcaption><b>{name}</b>{note}</figcaption>{svg}'
            f"<details><summary>Numbers</summary>{table(figure.columns, figure.rows)}</details>"
            f'<div class="save" role="group" aria-label="Save {name}">{kinds}</div></figure>'
        )

    def table(self, columns: Sequence[str], rows: Sequence[Row], links: Sequence[str] = ()) -> None:
        """Add a table that can be sorted. `links` are addresses for the first cell of each row."""
        self.parts.append(table(columns, rows, links))

    def code(self, text: str) -> None:
        """Add lines as they are."""
        self.parts.append(f"<code>{plain(text)}</code>")


def plain(text: str) -> str:
    """Any text as HTML; characters that would not be seen are escaped."""
    return escape(printable(text))


def shown(value: str | float | None) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    return value if isinstance(value, str) else f"{value:,}"


def table(columns: Sequence[str], rows: Sequence[Row], links: Sequence[str] = ()) -> str:
    """A table; numbers are aligned on the right."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f'<th scope="col">{plain(name)}</th>' for name in columns)
    lines = ["".join(map(_cell, row)) for row in rows]
    for at, (row, link) in enumerate(zip(rows, links, strict=False)):
        first = f'<td><a href="{plain(link)}">{plain(shown(row[0]))}</a></td>'
        lines[at] = first + "".join(map(_cell, row[1:]))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Table">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: str | float | None) -> str:
    if isinstance(value, str) or value is None:
        return f"<td>{plain(shown(value))}</td>"
    return f'<td class="n" data-value="{value!r}">{shown(value)}</td>'


def html(title: str, summary: Sequence[str], sections: Sequence[Section], refresh_seconds: int = 0) -> str:
    """The whole page; one of a server is loaded again every `refresh_seconds`."""
    return "".join(_lines(title, summary, sections, refresh_seconds))


def _lines(title: str, summary: Sequence[str], sections: Sequence[Section], refresh: int) -> Iterator[str]:
    own = files("ahx.report")
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    if refresh:
        yield f'<meta http-equiv="refresh" content="{refresh}">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{plain(title)}</title><style>{(own / 'page.css').read_text('utf-8')}</style></head><body><main>"
    yield f"<h1>{plain(title)}</h1>"
    yield from (f"<p>{plain(sentence)}</p>" for sentence in summary)
    for number, section in enumerate(sections):
        parts = "".join(section.parts)
        yield f'<section aria-labelledby="s{number}"><h2 id="s{number}">{plain(section.title)}</h2>{parts}</section>'
    yield f"</main><script>{(own / 'page.js').read_text('utf-8')}</script></body></html>\n"
