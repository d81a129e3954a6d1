"""A model of one layer with coupled heads only, as a function of a few tokens.

Such a model has no other sense of position: its output depends on the newest token and on those in the window of the
cursor. Keys and values of a token depend on the token alone. So they are computed once for the whole vocabulary, the
keys in a pattern are token numbers, and the code of training evaluates any number of windows at once.
"""

from typing import cast

import torch
from torch import Tensor

from ahx.errors import InputError
from ahx.model import fast_path
from ahx.model.positions.pattern import Pattern
from ahx.model.transformer import Block, Transformer

_AT_ONCE = 8192


class Vocabulary:
    """Keys and values of all tokens, from the first call on."""

    kept: tuple[Tensor, Tensor] | None = None

    def extend(self, k_BTHD: Tensor, v_BTHD: Tensor) -> tuple[Tensor, Tensor]:
        self.kept = self.kept or (k_BTHD, v_BTHD)
        return self.kept


class WindowFunction:
    """`model` as a function. Raises InputError for a model that depends on more than a window."""

    def __init__(self, model: Transformer) -> None:
        config = model.config
        reads_window = config.offsets == tuple(range(len(config.offsets)))  # the cells that a queue machine reads
        if config.n_layer != 1 or config.kinds != {"c"} or not config.scheme.coupled or not reads_window:
            heads, offsets = "/".join(config.heads), ", ".join(map(str, config.offsets))
            raise InputError(
                f"a model with heads {heads}, positions {config.pos} and offsets {offsets} is no function of a window; "
                "train with --certify"
            )
        self.model, self.memory = model.eval(), Vocabulary()
        every_V = torch.arange(config.vocab_size, device=model.norm.weight.device)
        with torch.inference_mode():
            self._ask(every_V, every_V[:, None].expand(-1, len(config.offsets)))

    @torch.inference_mode()
    def logits(self, last_N: Tensor, window_NK: Tensor) -> Tensor:
        """Logits of the next token, from the newest tokens and those in their windows: (N), (N, K) -> (N, V)."""
        pieces = range(0, len(last_N), _AT_ONCE)
        return torch.cat([self._ask(last_N[a : a + _AT_ONCE], window_NK[a : a + _AT_ONCE]) for a in pieces])

    def _ask(self, last_N: Tensor, window_NK: Tensor) -> Tensor:
        (block,) = self.model.blocks
        x_1NC = self.model.embed(last_N[None], last_N[None])
        pattern = Pattern({"c": window_NK[None]})
        return self.model.score(fast_path.block(cast(Block, block), x_1NC, pattern, memory=self.memory)[0])
