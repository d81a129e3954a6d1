"""Hooks of mkdocs (mkdocs.yml): README.md is the first page, and sources that pages link to are pages too."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add README.md as index.md, and a page for each file or folder outside docs/ that a page links to."""
    readme = (ROOT / "README.md").read_text("utf-8")
    pages = {"index.md": re.sub(r"\]\(docs/", "](", readme)}
    texts = {"README.md": readme}
    texts |= {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    for place, text in texts.items():
        for _, target, _ in _LINK.findall(text):
            source = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
            if not source.startswith(("docs/", "..")) and (ROOT / source).exists():
                pages[_page_of(source)] = _shown(source)
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(text: str, page: Any, config: Any, files: Files) -> str:
    """Links to sources lead to their pages."""
    here = page.file.src_uri
    base = "" if here == "index.md" else posixpath.join("docs", posixpath.dirname(here))

    def led(found: re.Match[str]) -> str:
        source = posixpath.normpath(posixpath.join(base, found[2]))
        if _page_of(source) not in files.src_uris:
            return found[0]
        return f"{found[1]}{posixpath.relpath(_page_of(source), posixpath.dirname(here) or '.')})"

    return text if here.startswith("source/") else _LINK.sub(led, text)


def _page_of(source: str) -> str:
    return f"source/{source.rstrip('/')}.md"


def _shown(source: str) -> str:
    """A file in a block of code; the names in a folder."""
    path = ROOT / source
    if path.is_dir():
        names = sorted(one.name for one in path.iterdir() if one.name[0] not in "._")
        return f"# {source}\n\n" + "\n".join(f"- {name}" for name in names) + "\n"
    kind = {".py": "python", ".sh": "bash", ".toml": "toml", ".md": "markdown"}.get(path.suffix, "text")
    return f"# {source}\n\n````{kind}\n{path.read_text('utf-8')}\n````\n"
