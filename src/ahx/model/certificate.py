"""Proof by enumeration that a model computes a machine: it is tested on every context that can occur.

docs/turing.md explains why that covers runs of any length: the model is a function of the newest token and of the
tokens in its window (`WindowFunction`), there are finitely many of these (`contexts`), and its answer determines the
next ones. interpreter_certificate.py has the same for a model that follows every machine.
"""

import copy
import json
import math
import platform
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ahx.data.tokenizer import Tokenizer
from ahx.data.windows.contexts import Contexts, contexts
from ahx.errors import CheckpointError, InputError
from ahx.model.checkpoint import CERTIFICATE, WEIGHTS
from ahx.model.config_file import reason
from ahx.model.interpreter_certificate import InterpreterCheck, InterpreterChecker
from ahx.model.transformer import Transformer
from ahx.model.windows import WindowFunction
from ahx.rules import Rule
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.queue_machine import QueueMachine
from ahx.safe_files.atomic import atomic_files
from ahx.safe_files.untrusted import json_object, sha256

FORMAT = "ahx-certificate 1"

#: The least margin at every window, in logits, of the right token over the best other one.
MARGIN = 3.0

MOST_WINDOWS = 1_000_000  # of a machine that can be certified


class Check(NamedTuple):
    """A model's answers in all contexts."""

    windows: int  # in all
    right: int  # windows with a margin of at least MARGIN in every context
    contexts: int  # in all
    margin: float  # the least one; negative if an answer is wrong
    closest: str  # the window with the least margin
    rounding: float  # the greatest difference of a logit from the same model in double precision

    @property
    def complete(self) -> bool:
        """Whether the model is proved right: at all windows, with rounding far too small to change an answer."""
        return self.right == self.windows and self.rounding < self.margin / 100

    def found(self) -> dict[str, Any]:
        """What a certificate says, and what must be found again."""
        return {"windows": {"checked": self.right, "all": self.windows}, "contexts": self.contexts}

    def measured(self) -> dict[str, float]:
        """What may differ a little on another computer."""
        return {"least_margin": self.margin}

    def described(self) -> dict[str, Any]:
        """What a certificate says besides."""
        return {"least_margin_at": self.closest, "rounding": self.rounding}

    def __str__(self) -> str:
        return (
            f"{self.right:,} of {self.windows:,} windows right by {MARGIN:g} or more ({self.contexts:,} contexts), "
            f"least margin {self.margin:.2f} at {self.closest}, rounding {self.rounding:.1g}"
        )


class Checker:
    """Checks models of one machine."""

    def __init__(self, machine: QueueMachine, tokenizer: Tokenizer) -> None:
        self.machine = {"window": machine.window, "deleted": machine.deleted, "cells": list(machine.cells)}
        self.views = list(machine.steps_of)
        self.contexts = contexts(machine, tokenizer)

    def __call__(self, model: Transformer) -> Check:
        device = model.norm.weight.device
        tensors = Contexts(*(torch.from_numpy(part).to(device) for part in self.contexts))  # type: ignore[arg-type]
        logits_NV = _logits(model, tensors)
        exact_NV = _logits(copy.deepcopy(model).double(), tensors)
        rounding = float((logits_NV - exact_NV).abs().max())
        answer_N1 = torch.as_tensor(tensors.answer_N)[:, None]
        right_N = logits_NV.gather(1, answer_N1)[:, 0]
        margin_N = (right_N - logits_NV.scatter(1, answer_N1, float("-inf")).amax(1)).cpu().numpy()
        margin_of_view = np.full(len(self.views), np.inf)
        np.minimum.at(margin_of_view, self.contexts.view_N, margin_N)
        least = int(margin_of_view.argmin())
        return Check(
            windows=len(self.views),
            right=int((margin_of_view >= MARGIN).sum()),
            contexts=len(margin_N),
            margin=float(margin_of_view[least]),
            closest=" ".join(self.views[least]),
            rounding=rounding,
        )


def _logits(model: Transformer, tensors: Contexts) -> Tensor:
    return WindowFunction(model).logits(torch.as_tensor(tensors.last_N), torch.as_tensor(tensors.window_NK))


def certify(folder: Path, model: Transformer, tokenizer: Tokenizer, rule: Rule) -> Check | InterpreterCheck:
    """Check the model that was saved in `folder`, and write its certificate into that folder."""
    checker = checker_of(rule, tokenizer)
    check = checker(model)
    certificate = {
        "format": FORMAT,
        "rule": rule.spec,
        "machine": checker.machine,
        "certified": check.complete,
        **check.found(),
        **check.measured(),
        **check.described(),
        "arithmetic": f"float32, torch {torch.__version__} on {model.norm.weight.device.type}, {platform.machine()}",
        "weights_sha256": sha256(folder / WEIGHTS),
    }
    # Of a model that fails nothing may be known; JSON has neither infinity nor NaN.
    certificate = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in certificate.items()}
    with atomic_files([folder / CERTIFICATE]) as [file]:
        file.write(json.dumps(certificate, indent=1).encode() + b"\n")
    return check


def read_certificate(folder: Path) -> dict[str, Any]:
    """The certificate in a run's folder. Raises CheckpointError if it is missing or cannot be read."""
    try:
        certificate = json_object(folder / CERTIFICATE)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} has no {CERTIFICATE}; make one with: ahx train --rule RULE --certify"
        ) from None
    except (OSError, ValueError) as error:
        why = reason(error)
        raise CheckpointError(f"{folder / CERTIFICATE} cannot be read ({why}); train again with --certify") from error
    if certificate.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CERTIFICATE} is not a certificate of ours; train again with --certify")
    return certificate


def checker_of(rule: Rule, tokenizer: Tokenizer) -> Checker | InterpreterChecker:
    """What checks models of a rule. Raises InputError where there is nothing that does."""
    if isinstance(rule, Interpreter):
        return InterpreterChecker(rule, tokenizer)
    return Checker(machine_of(rule), tokenizer)


def machine_of(rule: Rule) -> QueueMachine:
    """The rule as a queue machine. Raises InputError if it is not one, or has too many windows."""
    machine = rule.queue()
    if machine is None:
        raise InputError(
            f"the rule {rule.spec!r} cannot be certified: only Turing machines, tag and lag systems, and cellular "
            "automata with fixed ends (boundary=0 or 1) have finitely many windows"
        )
    if next(islice(machine.windows(), MOST_WINDOWS, None), None) is not None:
        raise InputError(
            f"the rule {rule.spec!r} has more than {MOST_WINDOWS:,} windows of {machine.window} cells, and a "
            "certificate asks for all of them; take one that deletes or reads fewer cells, or has fewer symbols"
        )
    return machine
