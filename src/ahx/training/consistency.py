"""Checks of hyperparameters over several fields: which values do not go together."""

from typing import TYPE_CHECKING

from ahx.model.positions.schemes import SCHEMES
from ahx.rules.parse import interpreter_kind
from ahx.training.tracking.choice import tracker_fault

if TYPE_CHECKING:
    from ahx.training.hyperparameters import Hyperparameters


def faults(hp: "Hyperparameters") -> list[str]:
    """A sentence about each fault."""
    wrong = []
    if not hp.rule and not hp.infile:
        wrong.append("rule: nothing to learn yet; give a rule (such as double_a) or an infile")
    if not hp.epoch_size and not hp.infile:
        wrong.append("epoch_size: 0 means the whole file, but there is no infile; give a number of samples")
    if hp.tokens != "characters" and (hp.rule or not hp.infile):
        wrong.append(f"tokens: {hp.tokens} is for files without a rule, and a rule rewrites characters; leave it out")
    if hp.ngrams and (hp.rule or not hp.infile):
        wrong.append(
            f"ngrams: {hp.ngrams} is for files without a rule, whose machine reads symbols one by one; leave it out"
        )
    if hp.certify:
        wrong += _not_certifiable(hp)
    if hp.min_len > hp.max_len:
        wrong.append(f"min_len ({hp.min_len}) must not be greater than max_len ({hp.max_len})")
    if hp.n_embd % hp.n_head:
        wrong.append(
            f"n_embd ({hp.n_embd}) must be a multiple of n_head ({hp.n_head})"
            f"; {hp.n_embd + -hp.n_embd % hp.n_head} is the next"
        )
    elif hp.pos != "auto" and SCHEMES[hp.pos].angle and hp.n_embd // hp.n_head % 2:
        wrong.append(f"n_embd ({hp.n_embd}) must be an even multiple of n_head ({hp.n_head}) for pos {hp.pos}")
    if hp.max_steps is not None and hp.warmup_steps >= hp.max_steps:
        wrong.append(f"warmup_steps ({hp.warmup_steps}) must be smaller than max_steps ({hp.max_steps})")
    if hp.heads is not None:
        wrong += _wrong_heads(hp, hp.heads)
    if why := tracker_fault(hp.track):
        wrong.append(f"track: {why}")
    return wrong


def _not_certifiable(hp: "Hyperparameters") -> list[str]:
    wrong = []
    if not hp.rule or hp.infile:
        wrong.append("certify: only a rule has windows to prove; give a rule, and no infile")
    if (kind := interpreter_kind(hp.rule)) is not None:
        if kind == "markov":
            wrong.append(f"certify: of interpreters, {hp.rule!r} has no proof yet; leave it out")
        if hp.n_layer != 2:
            wrong.append(f"certify: an interpreter has two layers (got n_layer {hp.n_layer}); leave it out")
        words = (hp.heads or "c/p").split("/")
        first = "sc" if kind == "turing" else "c"
        if len(words) == 2 and not (set(words[0]) <= set(first) and set(words[1]) == {"p"}):
            wrong.append(
                f"certify: the heads of {hp.rule!r} must be {' and '.join(first)}, then p (got heads "
                f"{hp.heads!r}); leave them out"
            )
        return wrong + _inexact(hp)
    if hp.n_layer != 1:
        wrong.append(
            f"certify: a model of one layer is a function of its window (got n_layer {hp.n_layer}); leave it out"
        )
    if hp.heads is not None and set(hp.heads) != {"c"}:
        wrong.append(f"certify: all heads must be coupled (c), to see nothing but the window (got heads {hp.heads!r})")
    return wrong + _inexact(hp)


def _inexact(hp: "Hyperparameters") -> list[str]:
    """What no certificate can be made of, whatever the rule."""
    wrong = []
    if hp.pos not in ("auto", "coupled"):
        wrong.append(f"certify: positions must be coupled (got pos {hp.pos})")
    if hp.precision == "bfloat16":
        wrong.append("certify: margins are checked in float32; leave out precision")
    return wrong


def _wrong_heads(hp: "Hyperparameters", heads: str) -> list[str]:
    words = heads.split("/")
    if len(words) != hp.n_layer or any(len(word) != hp.n_head for word in words):
        return [f"heads: {heads!r} must be {hp.n_layer} words (n_layer) of {hp.n_head} letters (n_head)"]
    if odd := sorted(set("".join(words)) - set("scgp")):
        return [f"heads: {odd[0]!r} in {heads!r} is not a kind of head; use the letters s, c, g and p"]
    if "p" in heads and interpreter_kind(hp.rule) is None:
        return [f"heads: {heads!r} has program heads (p), which need rules in the prompt: an interpreter"]
    if "c" in heads and hp.pos not in ("auto", "coupled"):
        return [f"heads: {heads!r} has coupled heads (c), which need pos coupled (got {hp.pos})"]
    return []
