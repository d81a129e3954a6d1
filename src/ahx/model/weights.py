"""The file of weights, which is compared with the configuration before memory is allocated for either."""

from collections.abc import Iterator
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ahx.errors import CheckpointError
from ahx.model.config import TransformerConfig, neighbours
from ahx.model.positions import ngrams

# The model has one table that is not in the file: which token has which feature. It may have _TABLE bytes, and
# _TABLE_GROWTH for each byte of weights, which is enough for vocabularies of 10,000 symbols.
_TABLE, _TABLE_GROWTH = 1 << 28, 256


def shapes(config: TransformerConfig) -> Iterator[tuple[str, list[int]]]:
    """Name and shape of every parameter of `Transformer(config)`, one after the other: there may be very many."""
    C, embedding = config.n_embd, [_features(config), config.n_embd]
    yield "tokens.weight_FC", embedding
    yield "head.weight_FC", embedding
    yield "norm.weight", [C]
    if config.scheme.trained:
        yield "positions.weight", [config.block_size, C]
    if config.ngrams:
        yield "ngrams.weight", list(ngrams.shape(config))
    for layer, heads in enumerate(config.heads):
        block = f"blocks.{layer}."
        yield f"{block}norm_attention.weight", [C]
        yield f"{block}attention.qkv.weight", [3 * C, C]
        yield f"{block}attention.out.weight", [C, C]
        yield f"{block}norm_feed_forward.weight", [C]
        yield f"{block}feed_forward.widen.weight", [4 * C, C]
        yield f"{block}feed_forward.narrow.weight", [C, 4 * C]
        for kind, a, b in neighbours(heads):
            if keys := {"s": config.window, "c": len(config.offsets), "p": 1, "g": 0}[kind]:
                yield f"{block}attention.bias.{kind}{a}", [b - a, keys]


def read(path: Path, config: TransformerConfig) -> dict[str, Tensor]:
    """The weights of `Transformer(config)`. Raises CheckpointError if the file does not hold exactly these, all finite.

    The file's header is compared with the configuration first, so no more memory is allocated than the file has bytes.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            _compare(file, config, path)
        weights = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no whole file of weights ({_short(error)}); use another checkpoint"
        ) from error
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path} holds weights that are NaN or infinite ({name}); use another checkpoint")
    return weights


def _compare(file: "safetensors.safe_open", config: TransformerConfig, path: Path) -> None:
    left: set[str] = set(file.keys())  # type: ignore[no-untyped-call]  # compiled
    for name, shape in shapes(config):
        if name not in left:
            raise _misfit(path, f"there is no {name}")
        left.remove(name)
        found = file.get_slice(name)  # type: ignore[no-untyped-call]
        if found.get_shape() != shape:
            raise _misfit(path, f"{name} has the shape {found.get_shape()}, not {shape}")
        if found.get_dtype() != "F32":
            raise _misfit(path, f"{name} is of the type {found.get_dtype()}, not F32")
    if left:
        raise _misfit(path, f"{min(left)[:80]!r} is too much")
    table = 4 * config.vocab_size * _features(config)
    if table > _TABLE + _TABLE_GROWTH * path.stat().st_size:
        raise _misfit(path, f"{config.vocab_size:,} tokens with {_features(config):,} features are too many for it")


def _features(config: TransformerConfig) -> int:
    return 1 + max(max(own) for own in config.features) if config.features else config.vocab_size


def _misfit(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"the weights in {path} do not fit their config.json ({why}); use another checkpoint")


def _short(error: Exception) -> str:
    return ascii(" ".join(str(error).split()))[1:-1][:200]
