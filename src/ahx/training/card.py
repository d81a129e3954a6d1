"""The model card of a trained model (Mitchell et al. 2019, arXiv 1810.03993)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ahx.rules.parse import interpreter_kind
from ahx.safe_files.atomic import atomic_files
from ahx.text.plural import counted
from ahx.text.printing import one_line
from ahx.training.hyperparameters import Hyperparameters

NAME = "README.md"

_SHOWN = {
    "val_exact": ("validation samples rewritten exactly", "{:.2%}"),
    "val_loss": ("validation loss, nats per token", "{:.4g}"),
    "val_margin": ("least margin, logits", "{:.4g}"),
    "train_loss": ("training loss, nats per token", "{:.4g}"),
    "seconds": ("seconds of training", "{:.1f}"),
}


def write(folder: Path, about: Mapping[str, Any], hp: Hyperparameters) -> None:
    """Write the card into the model's folder. `about` is the content of its config.json. Raises StorageError."""
    with atomic_files([folder / NAME]) as [file]:
        file.write(text(about, hp).encode("utf-8"))


def text(about: Mapping[str, Any], hp: Hyperparameters) -> str:
    """The card as Markdown."""
    learnt = f"the rule {_code(about['rule'])}" if about["rule"] else f"the examples in {_code(hp.infile)}"
    lengths = f" on inputs of {hp.min_len} to {hp.max_len} symbols" if not (hp.infile or hp.certify) else ""
    chosen = hp.model_dump(mode="json", exclude_defaults=True, exclude={"model_out", "model_in", "resume", "track"})
    metrics = about["metrics"]
    lines = [
        "# A transformer that rewrites strings",
        "",
        f"Trained from scratch for {counted(about['step'], 'step')} on {learnt}{lengths}.",
        "It rewrites inputs over the same alphabet as it was trained to; for other inputs its output has no meaning.",
        "",
        "| measured | |",
        "|---|---|",
        *(f"| {name} | {form.format(metrics[key])} |" for key, (name, form) in _SHOWN.items() if key in metrics),
        "",
        "Use it with ahx-transformer, in this folder:",
        "",
        "```",
        *_commands(about, hp),
        "```",
        "",
        f"`config.json` holds the architecture, the vocabulary and all hyperparameters. Not the defaults: "
        f"{', '.join(_code(f'{name}={value}') for name, value in chosen.items())}.",
        "Made by ahx-transformer {version} with torch {torch}, numpy {numpy} and Python {python}.".format_map(about),
    ]
    return "\n".join(lines) + "\n"


def _code(text: object) -> str:
    """Any `text` as one code span, without markup (CommonMark 0.31, 6.1)."""
    shown = one_line(str(text))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if shown.strip("` ") != shown or not shown else f"{fence}{shown}{fence}"


def _commands(about: Mapping[str, Any], hp: Hyperparameters) -> list[str]:
    if hp.certify:
        run = {
            None: "ahx exec . --steps 1000",
            "turing": "ahx interpret . --machine 1RB1LB_1LA1RZ",
            "substitution": "ahx interpret . --program 'B->A,A->AB,' --tape A --steps 6",
        }
        return ["ahx verify .", run[interpreter_kind(hp.rule)]]
    by_length = about["rule"] and not hp.infile
    return [
        "ahx interactive --model .",
        "ahx eval --model . --lengths" if by_length else "ahx eval --model . --data FILE",
    ]
