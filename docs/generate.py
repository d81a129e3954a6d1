"""Write docs/hyperparameters.md, docs/cli.md, docs/cli/*.md, the tables of members in docs/embedded-aws.md and the
contents of docs/LOG.md from the code.

`--check` only says whether they are up to date.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ahx.training.hyperparameters import SECTIONS, Hyperparameters
from ahx.training.messages import accepted
from entrypoints.main import EXIT_CODES, VERBS, summary, verb_parser
from infra.embedded.sagemaker.training.members import TRAINING_JOB
from infra.embedded.sagemaker.tuning.members import TUNING_JOB

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Generated from the code by docs/generate.py; `make docs` regenerates it. -->"


def hyperparameters_page() -> str:
    """A table for each group of fields."""
    lines = [
        "# Hyperparameters",
        "",
        NOTE,
        "",
        "Each can be given in four sources; the first that has it counts:",
        "",
        "1. the command line: `ahx train --n-layer 2` (`--n_layer` is the same)",
        "2. a TOML file: `ahx train --config run.toml` with a line `n_layer = 2`",
        "3. an environment variable: `SM_HP_N_LAYER=2`",
        "4. a JSON file as SageMaker writes it: `ahx train --hyperparameters-json hyperparameters.json`",
        "",
        'Names under "also" are accepted in all of them. The meaning names defaults that depend on other values.',
    ]
    for name, field in Hyperparameters.model_fields.items():
        if name in SECTIONS:
            lines += ["", f"## {SECTIONS[name]}", "", "| name | also | value | default | meaning |"]
            lines += ["|---|---|---|---|---|"]
        also = f"`{field.validation_alias}`" if field.validation_alias else ""
        fixed = field.default_factory is None and field.default is not None
        default = f"`{str(field.default).lower() if field.annotation is bool else field.default}`" if fixed else ""
        meaning = " ".join((field.description or "").split())
        cells = (f"`{name}`", also, accepted(field), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def cli_pages() -> dict[str, str]:
    """An index, and a page for each verb with its help and that of its actions."""
    index = ["# The command line", "", NOTE, "", "`ahx VERB --help` prints what these pages show.", "", "| verb | |"]
    index += ["|---|---|"]
    index += [f"| [`ahx {verb}`](cli/{verb}.md) | {summary(verb)} |" for verb in VERBS]
    index += ["", "## Exit codes", "", "They are the same for every verb.", "", "| code | |", "|---|---|"]
    index += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    pages = {"cli.md": index}
    for verb in VERBS:
        first, *actions = verb_parser(verb).family()
        page = [f"# {first.prog}", "", NOTE, "", *_help(first)]
        for action in actions:
            page += ["", f"## {action.prog}", "", *_help(action)]
        pages[f"cli/{verb}.md"] = page
    return {name: "\n".join(lines) + "\n" for name, lines in pages.items()}


def _help(parser: argparse.ArgumentParser) -> list[str]:
    return ["```text", parser.format_help().rstrip(), "```"]


def embedded_aws_page() -> str:
    """The page with the tables of members regenerated."""
    page = _read("embedded-aws.md")
    for members in (TRAINING_JOB, TUNING_JOB):
        page = _filled(page, members.operation, ["", *members.rows(), ""])
    return page


def log_page() -> str:
    """The log with a table of contents of its sections."""
    page = _read("LOG.md")
    titles = re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    return _filled(page, "contents", ["", *[f"- [{title}](#{_anchor(title)})" for title in titles], ""])


def _anchor(title: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _filled(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with `lines` between the comments that `name` marks."""
    begin, end = f"<!-- {name}: written by docs/generate.py -->\n", "<!-- end -->"
    between = re.compile(f"(?<={re.escape(begin)}).*?(?={end})", re.DOTALL)
    page, times = between.subn("\n".join([*lines, ""]).replace("\\", r"\\"), page)
    if times != 1:
        sys.exit(f"the page has {times} places for {name}, not one")
    return page


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    pages = {
        "hyperparameters.md": hyperparameters_page(),
        "embedded-aws.md": embedded_aws_page(),
        "LOG.md": log_page(),
        **cli_pages(),
    }
    (HERE / "cli").mkdir(exist_ok=True)
    gone = [page for page in (HERE / "cli").iterdir() if f"cli/{page.name}" not in pages]
    stale = [f"docs/cli/{page.name}" for page in gone]
    for page in gone if not check else ():
        page.unlink()
    for name, text in pages.items():
        page = HERE / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(f"docs/{name}")
            if not check:
                page.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"{' and '.join(stale)}: out of date; run `make docs`", file=sys.stderr)
        return 1
    print(f"{'wrote ' + ' and '.join(stale) if stale else 'the pages are up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
