"""Steps of training on the same random tokens, in the same shape, by each project's own model and optimiser.

No step reads data: the rows are in memory as tensors, full, and all their tokens are scored.
"""

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Step = Callable[[], object]


class Shape(NamedTuple):
    block: int
    embed: int
    layers: int
    heads: int
    batch: int


def build(name: str, spec: dict[str, Any]) -> tuple[Callable[[int], None], str]:
    """A function that takes n steps, and what is particular about this contender."""
    shape, vocab, peers = Shape(*spec["shape"]), int(spec["vocab"]), Path(spec["peers"])
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, vocab, (shape.batch, shape.block + 1), generator=generator)
    x, y = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    if name == "floor":
        step: Step = matrix_products(shape, vocab)
        note = "matrix products only: no softmax, norm, GELU, loss, update"
    elif name == "seed":
        step = seed(peers / "ahx-transformer" / "scripts", shape, vocab, x, y)
        note = "a matrix for each head and projection, biases, ReLU, Adam, no clipping"
    elif name == "minGPT":
        step = mingpt(peers / "minGPT", shape, vocab, x, y)
        note = "explicit attention, tanh GELU, biases, AdamW"
    elif name in ("nanoGPT", "nanoGPT compiled"):
        step = nanogpt(peers / "nanoGPT", shape, vocab, x, y, name.endswith("compiled"))
        note = "no biases, tied head, AdamW" + (", forward and backward compiled" if name.endswith("compiled") else "")
    else:
        step = ours(shape, vocab, x, y, name.endswith("compiled"))
        note = "no biases, AdamW" + (", the whole step compiled" if name.endswith("compiled") else "")

    def work(n: int) -> None:
        for _ in range(n):
            step()

    work(1)
    return work, note


def ours(shape: Shape, vocab: int, x: Tensor, y: Tensor, compiled: bool) -> Step:
    from ahx.model.batches import Batch
    from ahx.model.config import TransformerConfig
    from ahx.model.device import keep_memory
    from ahx.model.transformer import Transformer
    from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings
    from ahx.training.step import CompiledStep, TrainingStep

    keep_memory()  # as `ahx train` does
    model = Transformer(TransformerConfig(vocab, shape.block, shape.layers, shape.heads, shape.embed))
    flat = FlatParameters(model)
    optimizer = Optimizer(flat, OptimizerSettings(use_muon=False))
    if compiled:
        whole = CompiledStep(model, flat, optimizer, separator=0, length=shape.block)
        return lambda: whole.graph(x, y, optimizer.scales(1.0))
    training = TrainingStep(model, flat, optimizer, separator=0)
    batch = Batch(x, torch.arange(x.numel()), y.flatten())

    def step() -> None:
        flat.gradients.zero_()
        (training.loss(batch) / y.numel()).backward()  # type: ignore[no-untyped-call]
        flat.clip(training.grad_clip)
        optimizer.step(1.0)

    return step


def nanogpt(folder: Path, shape: Shape, vocab: int, x: Tensor, y: Tensor, compiled: bool) -> Step:
    sys.path.insert(0, str(folder))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    # bias=False is what its train.py sets.
    model = GPT(GPTConfig(shape.block, vocab, shape.layers, shape.heads, shape.embed, dropout=0.0, bias=False))
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        _, loss = forward(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def mingpt(folder: Path, shape: Shape, vocab: int, x: Tensor, y: Tensor) -> Step:
    sys.path.insert(0, str(folder))
    from mingpt.model import GPT  # type: ignore[import-not-found]

    config = GPT.get_default_config()
    config.model_type, config.vocab_size, config.block_size = None, vocab, shape.block
    config.n_layer, config.n_head, config.n_embd = shape.layers, shape.heads, shape.embed
    config.embd_pdrop = config.resid_pdrop = config.attn_pdrop = 0.0
    model = GPT(config)
    settings = types.SimpleNamespace(weight_decay=0.1, learning_rate=1e-3, betas=(0.9, 0.95))
    optimizer = model.configure_optimizers(settings)

    def step() -> None:
        _, loss = model(x, y)
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def seed(folder: Path, shape: Shape, vocab: int, x: Tensor, y: Tensor) -> Step:
    sys.path.insert(0, str(folder))
    from transformer import TransformerModel  # type: ignore[import-not-found]

    tokenizer = types.SimpleNamespace(vocab_sz=vocab)
    model = TransformerModel("cpu", tokenizer, shape.embed, shape.layers, shape.heads, shape.block, 0.0)
    model.add_optimizer(1e-3)

    def step() -> None:
        _, loss = model(x, y)
        model.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        model.optimizer.step()

    return step


def matrix_products(shape: Shape, vocab: int) -> Step:
    """Every matrix product of a step, forward and backward, into memory that is allocated once."""
    T, C, n_layer, H, B = shape
    products = [
        (left, right, torch.empty(*left.shape[:-1], right.shape[-1]))
        for left, right in [*_linear(B * T, C, vocab), *(pair for _ in range(n_layer) for pair in _layer(T, C, H, B))]
    ]

    def step() -> None:
        for left, right, out in products:
            torch.matmul(left, right, out=out)

    return step


def _layer(T: int, C: int, H: int, B: int) -> Iterator[tuple[Tensor, Tensor]]:
    for wide, narrow in ((C, 3 * C), (C, C), (C, 4 * C), (4 * C, C)):
        yield from _linear(B * T, wide, narrow)
    D = C // H
    q, k, v, mix = (torch.randn(B * H, T, D) for _ in range(4))
    weights = torch.randn(B * H, T, T)
    yield q, k.transpose(1, 2)  # scores
    yield weights, v
    yield weights.transpose(1, 2), mix  # gradient of v
    yield mix, v.transpose(1, 2)  # of the weights
    yield weights, k  # of q
    yield weights.transpose(1, 2), q  # of k


def _linear(N: int, fan_in: int, fan_out: int) -> Iterator[tuple[Tensor, Tensor]]:
    x, weight, gradient = torch.randn(N, fan_in), torch.randn(fan_out, fan_in), torch.randn(N, fan_out)
    yield x, weight.T
    yield gradient, weight  # gradient of x
    yield gradient.T, x  # of the weight
