"""Decoding one row of any length in constant memory and constant time per token.

Heads of the kinds s, c and p see the last few tokens, the configuration before the one that is being written, and the
program. All other keys and values are dropped, and the logits are exactly those of the whole row.

For a single token, calling an operation of torch takes longer than the operation. So this is the forward pass of
`transformer.py` for one token, in NumPy and plain numbers; a test compares the two.

Shapes as there: C = H * D channels, K keys in a window, P tokens of the program. S tokens fit into the memory.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ahx.model.positions.coupling import PROGRAM, Cursor
from ahx.model.transformer import Block, Transformer

Array = npt.NDArray[np.floating[Any]]

_LEAST_ROOM = 64
_NO_BIAS = np.zeros((1, 1), np.float32)


class SlidingDecoder:
    """A row that gets one token after the other. `logits_V` are those of the next token.

    Raises ValueError for a model with global heads, and for a program that is not at the beginning of the row.
    """

    def __init__(self, model: Transformer, prompt: Sequence[int]) -> None:
        config, coupling = model.config, model.coupling
        if "g" in config.kinds or coupling is None or coupling.queue:
            raise ValueError("a window can slide over coupled, sequence and program heads only")
        self.cursor, self.window = Cursor(coupling), config.window
        self.embedding_VC, self.head_VC = _array(model.tokens.table()), _array(model.head.table())
        self.norm_C = _array(model.norm.weight)
        self.layers = [Layer(cast(Block, block), self.window, len(config.offsets)) for block in model.blocks]
        self.is_program = [role == PROGRAM for role in coupling.role.tolist()]
        self.length = self.n_program = 0  # tokens in memory, and how many of them are the program
        for token in prompt:
            self.logits_V = self.write(token)

    @property
    def room(self) -> int:
        """S: how many tokens fit into the memory. It grows with the length of configurations, not with their number."""
        return self.layers[0].room

    def write(self, token: int) -> Array:
        """Add one token; logits for the next: (V)."""
        if self.length == self.room:
            self._forget()
        at = self.length
        if at == 0 or self.is_program[token]:  # the first token of the row is kept with the program
            if at != self.n_program:
                raise ValueError("the program must stand at the beginning of the row")
            self.n_program = at + 1
        places = [at - i if i <= at else -1 for i in range(self.window)] + self.cursor.advance(token, at)
        x_C = self.embedding_VC[token]
        for layer in self.layers:
            x_C = layer(x_C, at, places, self.n_program)
        self.length += 1
        self.logits_V = self.head_VC.dot(_normalised(x_C, self.norm_C))
        return self.logits_V

    def _forget(self) -> None:
        """Keep the program and the keys that a window may still need, in a larger memory if these are most of it."""
        begin = max(self.n_program, min(self.cursor.begin, self.length - self.window + 1))
        gone = begin - self.n_program
        room = max(_LEAST_ROOM, 2 * (self.length - gone))
        for layer in self.layers:
            layer.keep(self.n_program, slice(begin, self.length), room)
        self.cursor.forget(gone)
        self.length -= gone


class Layer:
    """A block of the model for one token at a time, with the keys and values of earlier tokens."""

    def __init__(self, block: Block, window: int, n_offsets: int) -> None:
        attention, C = block.attention, block.attention.qkv.in_features
        self.D, self.H = attention.D, C // attention.D
        scale_H = np.full(self.H, 1 / math.sqrt(self.D))
        # The keys of `s` and of `c` heads are fetched together, with -inf for those of the other kind.
        bias_HK = np.full((self.H, window + n_offsets), -math.inf)
        for kind, a, b in attention.groups:
            bias = _array(attention.bias[f"{kind}{a}"])
            if kind == "p":
                scale_H[a:b] *= np.exp(bias[:, 0])
                bias_HK[a:b] = 0.0  # the result of these heads is replaced below
            elif kind == "s":
                bias_HK[a:b, :window] = bias
            else:
                bias_HK[a:b, window:] = bias
        self.program_heads = [(a, b) for kind, a, b in attention.groups if kind == "p"]
        qkv_3HDC = _array(attention.qkv.weight).reshape(3, self.H, self.D, C).copy()
        qkv_3HDC[0] *= scale_H[:, None, None]
        self.qkv, self.out = qkv_3HDC.reshape(3 * C, C), _array(attention.out.weight)
        self.widen, self.narrow = _array(block.feed_forward.widen.weight), _array(block.feed_forward.narrow.weight)
        self.norm_attention_C = _array(block.norm_attention.weight)
        self.norm_feed_forward_C = _array(block.norm_feed_forward.weight)
        self.bias_HK = bias_HK.astype(self.qkv.dtype)
        self.memory_2HSD = np.zeros((2, self.H, _LEAST_ROOM, self.D), self.qkv.dtype)

    @property
    def room(self) -> int:
        return self.memory_2HSD.shape[2]

    def __call__(self, x_C: Array, at: int, places: Sequence[int], P: int) -> Array:
        """The token at place `at`, whose windows have their keys at `places` (-1 for none): (C) -> (C)."""
        qkv_3HD = self.qkv.dot(_normalised(x_C, self.norm_attention_C)).reshape(3, self.H, self.D)
        q_HD, memory_2HSD = qkv_3HD[0], self.memory_2HSD
        memory_2HSD[:, :, at] = qkv_3HD[1:]
        bias_HK = self.bias_HK
        if -1 in places:
            there = [i for i, place in enumerate(places) if place >= 0]
            places, bias_HK = [places[i] for i in there], bias_HK[:, there]
        k_HKD, v_HKD = memory_2HSD.take(places, 2)
        mix_HD = attend(q_HD, k_HKD, v_HKD, bias_HK)
        for a, b in self.program_heads:
            k_HPD, v_HPD = memory_2HSD[:, a:b, :P]
            mix_HD[a:b] = attend(q_HD[a:b], k_HPD, v_HPD, _NO_BIAS)
        x_C = x_C + self.out.dot(mix_HD.reshape(-1))
        wide = self.widen.dot(_normalised(x_C, self.norm_feed_forward_C))
        out_C: Array = x_C + self.narrow.dot(_gelu(wide))
        return out_C

    def keep(self, n_program: int, kept: slice, room: int) -> None:
        """Keep the program and the places `kept`, one after the other, in a memory for `room` tokens."""
        old, end = self.memory_2HSD, n_program + kept.stop - kept.start
        self.memory_2HSD = np.zeros((2, self.H, room, self.D), old.dtype)
        self.memory_2HSD[:, :, :n_program] = old[:, :, :n_program]
        self.memory_2HSD[:, :, n_program:end] = old[:, :, kept]


def attend(q_HD: Array, k_HKD: Array, v_HKD: Array, bias_HK: Array) -> Array:
    """Softmax over K keys: (H, D). The scale of the scores is in the queries."""
    score_HK = (k_HKD @ q_HD[:, :, None])[:, :, 0] + bias_HK
    weight_HK = np.exp(score_HK - np.maximum.reduce(score_HK, 1, keepdims=True))
    mix_HD: Array = (weight_HK[:, None] @ v_HKD)[:, 0] / np.add.reduce(weight_HK, 1, keepdims=True)
    return mix_HD


def _normalised(x_C: Array, weight_C: Array) -> Array:
    """LayerNorm without bias."""
    x_C = x_C - np.add.reduce(x_C) / len(x_C)
    normalised_C: Array = x_C * weight_C / math.sqrt(x_C.dot(x_C) / len(x_C) + 1e-5)
    return normalised_C


def _gelu(x_C: Array) -> Array:
    erf_C: Array = torch.special.erf(torch.from_numpy(x_C * math.sqrt(0.5))).numpy()  # NumPy has none
    return x_C * (erf_C + 1) * 0.5


def _array(x: Tensor) -> Array:
    array: Array = x.detach().cpu().numpy()
    return array
