"""A model whose last layer looks rules up and does nothing else, as what it is: a function of a few tokens.

What leaves layer 1 at a place depends on the two newest tokens and the tokens in the window (`place`). Layer 2 adds
what its heads fetch from the program (`keys_values`), whose tokens depend on themselves and the token before them. So
"places" are numbers of tokens, as in windows.py: the code of training answers any number of questions at once.

Shapes as in transformer.py: C = H * D channels; M tokens that a program may have; N questions.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ahx.data.programs.lookup_task import LookupTask
from ahx.errors import InputError
from ahx.model import fast_path
from ahx.model.positions.pattern import Pattern
from ahx.model.transformer import Block, Transformer
from ahx.model.windows import Vocabulary

NOTHING = -1  # no token


class Found(NamedTuple):
    """Keys and values of all tokens that a program may have: (M, H, D)."""

    key_MHD: Tensor
    value_MHD: Tensor


class ProgramFunction:
    """`model` as a function of what `task` lists. Raises InputError for a model that looks at more than that."""

    def __init__(self, model: Transformer, task: LookupTask) -> None:
        config = model.config
        kinds = [set(word) for word in config.heads]
        fits = len(kinds) == 2 and kinds[0] <= set(task.heads) and kinds[1] == {"p"}
        if not fits or not config.scheme.coupled or config.offsets != task.offsets or config.window != 2:
            raise InputError(
                f"a model with heads {'/'.join(config.heads)} cannot be certified as an interpreter: the first layer "
                f"must have {' and '.join(task.heads)} heads, and the second p heads; train with --certify"
            )
        self.model, self.begin = model, task.begin
        self.first, self.last = (block for block in model.blocks if isinstance(block, Block))
        self.H, self.D = config.n_head, config.n_embd // config.n_head

    def place(self, previous_N: Tensor, newest_N: Tensor, window_NK: Tensor) -> Tensor:
        """What leaves layer 1 after these tokens, -1 for none: (N), (N), (N, 3) -> (N, C)."""
        every_1V = torch.arange(self.model.config.vocab_size, device=newest_N.device)[None]
        memory, y = Vocabulary(), self.first.norm_attention(self.model.embed(every_1V, every_1V))
        qkv_1V3HD = self.first.attention.qkv(y).view(1, -1, 3, self.H, self.D)
        memory.extend(qkv_1V3HD[:, :, 1], qkv_1V3HD[:, :, 2])
        sequence_NK = torch.stack([newest_N, previous_N], 1)
        pattern = Pattern({"s": sequence_NK[None], "c": window_NK[None]})
        x_1NC = self.model.embed(newest_N[None], newest_N[None])
        return fast_path.block(self.first, x_1NC, pattern, memory=memory)[0]

    def program_place(self, previous_M: Tensor, token_M: Tensor) -> Tensor:
        """The same for tokens of a program, from which the cursor is where the row begins: -> (M, C)."""
        window_MK = torch.full((len(token_M), len(self.model.config.offsets)), NOTHING, device=token_M.device)
        window_MK[:, 0] = self.begin
        return self.place(previous_M, token_M, window_MK)

    def keys_values(self, x_MC: Tensor) -> Found:
        """What tokens of the program offer to layer 2."""
        _, k, v = self._projected(x_MC)
        return Found(k, v)

    def queries(self, x_NC: Tensor) -> Tensor:
        """What layer 2 asks for, scaled: the product with a key is a score. (N, C) -> (N, H, D)."""
        q_NHD, _, _ = self._projected(x_NC)
        scaled_NHD: Tensor = q_NHD * self.last.attention.bias["p0"].exp() / math.sqrt(self.D)
        return scaled_NHD

    def finish(self, x_NC: Tensor, mixed_NHD: Tensor) -> Tensor:
        """Logits when the heads of layer 2 have fetched these values: -> (N, V)."""
        y_NC: Tensor = x_NC + self.last.attention.out(mixed_NHD.flatten(-2))
        return self.model.score(self.think(y_NC))

    def think(self, y_NC: Tensor) -> Tensor:
        """What the feed-forward network makes of that; scores are made from it."""
        z_NC: Tensor = y_NC + self.last.feed_forward(self.last.norm_feed_forward(y_NC))
        return z_NC

    def _projected(self, x_NC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        qkv_N3HD = self.last.attention.qkv(self.last.norm_attention(x_NC)).view(-1, 3, self.H, self.D)
        q, k, v = qkv_N3HD.unbind(1)
        return q, k, v


class Sensitivity:
    """By how much logits can change when what the heads of layer 2 have fetched changes by a little.

    From a change of length e before the feed-forward network to the logits: LayerNorm has slope 1 / s at most, where s
    is the standard deviation of what it normalises, and s itself changes by e / sqrt(C) at most; a matrix stretches by
    its largest singular value at most; GELU has slope 1.13 at most. (docs/turing.md has the derivation.)
    """

    GELU = 1.13

    def __init__(self, function: ProgramFunction) -> None:
        model, last = function.model, function.last
        self.function, self.root = function, math.sqrt(model.config.n_embd)
        out_HCD = last.attention.out.weight.view(-1, function.H, function.D).transpose(0, 1)
        self.out_H = _norm(out_HCD)
        widen = last.feed_forward.widen.weight * last.norm_feed_forward.weight
        self.inner = _norm(widen) * _norm(last.feed_forward.narrow.weight)
        head_VC = model.head.table() * model.norm.weight
        self.apart_V = torch.cdist(head_VC, head_VC, compute_mode="donot_use_mm_for_euclid_dist").amax(1)

    def __call__(self, y_NC: Tensor, z_NC: Tensor, answer_N: Tensor, e_N: Tensor) -> Tensor:
        """The most that the lead of these answers can lose.

        `y_NC` goes into the feed-forward network and `z_NC` comes out of it; `e_N` is the length of the change of y.
        """
        first_N = _slope(y_NC, e_N, self.root)
        change_N = e_N + self.GELU * self.inner * first_N * e_N
        return self.apart_V[answer_N] * _slope(z_NC, change_N, self.root) * change_N


def _norm(x: Tensor) -> Tensor:
    """The largest singular value."""
    norm: Tensor = torch.linalg.matrix_norm(x, 2)
    return norm


def _slope(x_NC: Tensor, e_N: Tensor, root: float) -> Tensor:
    """The largest slope of LayerNorm (weight apart) within a distance e of x."""
    deviation_N = (x_NC.var(-1, unbiased=False) + 1e-5).sqrt() - e_N / root
    return torch.where(deviation_N > 0, 1 / deviation_N, torch.inf)
