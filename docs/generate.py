"""Write docs/hyperparameters.md, docs/cli.md and the tables of members in docs/embedded-aws.md from the code.

`--check` only says whether they are up to date.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ahx.training.hyperparameters import SECTIONS, Hyperparameters
from ahx.training.messages import accepted
from entrypoints.main import VERBS, program_help, verb_parser
from infra.embedded.sagemaker.training.members import TRAINING_JOB
from infra.embedded.sagemaker.tuning.members import TUNING_JOB

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Generated from the code by docs/generate.py; `make docs` writes it anew. -->"


def hyperparameters_page() -> str:
    """A table for each group of fields."""
    lines = [
        "# Hyperparameters",
        "",
        NOTE,
        "",
        "Each can be written in four places; the first that has it counts:",
        "",
        "1. the command line: `ahx train --n_layer 2` (`--n-layer` is the same)",
        "2. a TOML file: `ahx train --config run.toml` with a line `n_layer = 2`",
        "3. an environment variable: `SM_HP_N_LAYER=2`",
        "4. a JSON file as SageMaker writes it: `ahx train --hyperparameters_json hyperparameters.json`",
        "",
        'Names under "also" are accepted in all of them. Defaults that depend on other values are told in words.',
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


def cli_page() -> str:
    """The help of `ahx` and of each verb."""
    lines = ["# The command line", "", NOTE, "", "```text", program_help().rstrip(), "```"]
    for parser in (parser for verb in VERBS for parser in family(verb_parser(verb))):
        lines += ["", f"## {parser.prog}", "", "```text", parser.format_help().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def embedded_aws_page() -> str:
    """The page as it is, with the tables of members anew, each between two comments."""
    page = (HERE / "embedded-aws.md").read_text(encoding="utf-8")
    for members in (TRAINING_JOB, TUNING_JOB):
        begin, end = f"<!-- {members.operation}: written by docs/generate.py -->\n", "<!-- end -->"
        between = re.compile(f"(?<={re.escape(begin)}).*?(?={end})", re.DOTALL)
        page, times = between.subn("\n".join(["", *members.rows(), "", ""]).replace("\\", r"\\"), page)
        if times != 1:
            sys.exit(f"docs/embedded-aws.md has {times} places for the members of {members.operation}, not one")
    return page


def family(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and, depth first, its sub-parsers."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                yield from family(child)


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    stale = []
    pages = {
        "hyperparameters.md": hyperparameters_page(),
        "cli.md": cli_page(),
        "embedded-aws.md": embedded_aws_page(),
    }
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
