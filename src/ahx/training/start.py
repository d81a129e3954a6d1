"""What a run starts with: the optimiser, and a new model, or that of another run, if its vocabulary and size fit."""

import os
import shutil
from typing import Any

import torch
import torch.distributed as dist

from ahx.data.tokenizer import Tokenizer
from ahx.errors import CheckpointError, InputError
from ahx.model import checkpoint
from ahx.model.build import configure
from ahx.model.positions.schemes import SCHEMES
from ahx.model.transformer import Transformer
from ahx.rules.parse import interpreter_kind
from ahx.training.data import TrainingData
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings
from ahx.training.step import CompiledStep, TrainingStep

_NGRAMS = 2048  # rows in each table by default, where tables pay


def first_model(hp: Hyperparameters, data: TrainingData, given: checkpoint.Saved | None) -> Transformer:
    """A new model, or the one in hp.model_in, which is `given`. Raises CheckpointError and InputError."""
    source = data.source
    config = configure(
        source.tokenizer, pos=data.pos, n_layer=hp.n_layer, n_head=hp.n_head, n_embd=hp.n_embd,
        block_size=hp.block_size or source.longest_row, dropout=hp.dropout,
        heads=_heads(hp), reads=source.teacher.reads, lookups=source.teacher.lookups,
        sees_all=source.teacher.sees_all,
        offsets=(0,) if hp.certify and interpreter_kind(hp.rule) == "substitution" else None,
        ngrams=_ngrams(hp, data, given),
    )  # fmt: skip
    if given is None:
        torch.manual_seed(hp.seed)
        return Transformer(config)
    if given.tokenizer.to_json() != source.tokenizer.to_json():
        raise CheckpointError(
            f"{hp.model_in} was trained with another vocabulary, {_difference(given.tokenizer, source.tokenizer)}; "
            "train on the same alphabet and rule, or without --model-in"
        )
    unlike = [
        f"{name} {getattr(given.model.config, name)}"
        for name in ("pos", "n_layer", "n_head", "n_embd", "heads", "ngrams")
        if getattr(given.model.config, name) != getattr(config, name)
    ]
    if unlike:
        raise InputError(f"{hp.model_in} has another architecture ({', '.join(unlike)}); give the same options")
    limit = given.model.config.limit
    if limit is not None and limit < source.longest_row:
        raise InputError(
            f"{hp.model_in} has {data.pos} positions for {limit} tokens (its block_size), and "
            f"these data have rows of {source.longest_row}; train on shorter strings, or without --model-in"
        )
    return given.model


def first_step(hp: Hyperparameters, data: TrainingData, model: Transformer, device: torch.device) -> TrainingStep:
    """The step that trains `model`, with an optimiser that has seen nothing. Raises InputError."""
    flat = FlatParameters(model)
    settings = OptimizerSettings(hp.learning_rate, hp.muon_learning_rate, hp.weight_decay, hp.optimizer == "muon")
    half = hp.precision == "bfloat16" or (
        hp.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    tokenizer = data.source.tokenizer
    arguments: dict[str, Any] = {"grad_clip": hp.grad_clip, "autocast": half, "seed": hp.seed}
    arguments["restart"] = tokenizer.configuration
    optimizer = Optimizer(flat, settings)
    if not hp.compile:
        return TrainingStep(model, flat, optimizer, tokenizer.separator, **arguments)
    if dist.is_initialized():
        raise InputError("compile works in one process only; leave out --compile, or torchrun")
    if device.type == "cpu" and shutil.which(os.environ.get("CXX", "c++")) is None:
        raise InputError(
            "compile needs a C++ compiler and finds none; install g++ (or name one in CXX), or leave out --compile"
        )
    return CompiledStep(
        model, flat, optimizer, data.source.tokenizer.separator, length=data.source.longest_row, **arguments
    )


def _difference(given: Tokenizer, needed: Tokenizer, most: int = 5) -> str:
    """How the vocabulary `given` differs from the one that the rows need."""
    lacking = set(needed.tokens) - set(given.tokens)
    if not lacking:
        return "where the cursor starts elsewhere"
    names = sorted(token.symbol + ("" if token.move is None else f"{token.move:+}") for token in lacking)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"with no token for {', '.join(map(repr, names[:most]))}{more}"


def _ngrams(hp: Hyperparameters, data: TrainingData, given: checkpoint.Saved | None) -> int:
    """Rows that hp.ngrams gives, or those of the given model; else what suits the data (docs/LOG.md)."""
    if hp.ngrams is not None:
        return hp.ngrams
    if given is not None:
        return given.model.config.ngrams
    return _NGRAMS if hp.infile and not hp.rule and SCHEMES[data.pos].coupled else 0


def _heads(hp: Hyperparameters) -> tuple[str, ...]:
    """The kinds that hp.heads gives; () leaves them to the position scheme."""
    if hp.heads:
        return tuple(hp.heads.split("/"))
    if not hp.certify:
        return ()
    all_c, kind = "c" * hp.n_head, interpreter_kind(hp.rule)
    if kind is None:
        return (all_c,)
    return all_c if kind == "substitution" else "s" + all_c[1:], "p" * hp.n_head
