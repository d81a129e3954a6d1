"""Two plain models of string pairs, to compare with: a GPT on characters, and an encoder-decoder.

Both are written from their papers, in float32, and trained by benchmarks/contenders/sequence_training.py. Their tokens
are characters and three marks. Shapes as in src/ahx/model/transformer.py; M is the length of the input alone.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD, BEGIN, END = 0, 1, 2  # END also ends the input
Codes = tuple[list[int], list[int]]  # input and output, each with its END


def padded(rows: list[list[int]], left: bool = False) -> Tensor:
    most = max(map(len, rows))
    return torch.tensor([[PAD] * (most - len(r)) + r if left else r + [PAD] * (most - len(r)) for r in rows])


class Attention(nn.Module):
    """Multi-head attention; keys and values of earlier calls are kept in `past` while decoding."""

    def __init__(self, C: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.n_head, self.dropout = n_head, dropout
        self.q, self.kv, self.out = nn.Linear(C, C), nn.Linear(C, 2 * C), nn.Linear(C, C)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None, past: list[Tensor] | None = None) -> Tensor:
        """`mask` is true where a query may look; None stands for a causal mask."""
        B, T, C = x.shape
        q, k, v = (
            y.view(B, -1, self.n_head, C // self.n_head).transpose(1, 2)
            for y in (self.q(x), *self.kv(source).chunk(2, 2))
        )
        if past is not None:
            k, v = (torch.cat(pair, 2) for pair in zip(past, (k, v), strict=True)) if past else (k, v)
            past[:] = [k, v]
        y = F.scaled_dot_product_attention(
            q, k, v, mask, self.dropout if self.training else 0.0, is_causal=mask is None and T > 1
        )
        out: Tensor = self.out(y.transpose(1, 2).reshape(B, T, C))
        return out


class Block(nn.Module):
    """Pre-norm; with `cross`, attention to the encoder's output stands between the two usual parts."""

    def __init__(self, C: int, n_head: int, dropout: float, cross: bool, act: type[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(C) for _ in range(3 if cross else 2))
        self.own = Attention(C, n_head, dropout)
        self.cross = Attention(C, n_head, dropout) if cross else None
        self.mlp = nn.Sequential(nn.Linear(C, 4 * C), act(), nn.Linear(4 * C, C))
        self.drop = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, past: list[Tensor] | None = None,
        source: Tensor | None = None, source_mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        h = self.norms[0](x)
        x = x + self.drop(self.own(h, h, mask, past))
        if self.cross is not None and source is not None:
            x = x + self.drop(self.cross(self.norms[1](x), source, source_mask))
        return x + self.drop(self.mlp(self.norms[-1](x)))


class GPT(nn.Module):
    """As in nanoGPT: pre-norm, GELU, learned positions, embedding and head are one matrix. Input, END, output, END.

    With 16 rows in a batch it gets further in a minute than with 32 or 64.
    """

    name, lr, betas, weight_decay, batch = "plain GPT", 1e-3, (0.9, 0.99), 0.1, 16

    def __init__(self, n_tokens: int, longest: int, C: int = 96, n_layer: int = 3, n_head: int = 4) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(n_tokens, C), nn.Embedding(longest, C)
        self.blocks = nn.ModuleList(Block(C, n_head, 0.0, False, nn.GELU) for _ in range(n_layer))
        self.norm = nn.LayerNorm(C)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(
                    parameter, std=0.02 / (2 * n_layer) ** (0.5 * name.endswith(("out.weight", "2.weight")))
                )

    def loss(self, pairs: list[Codes]) -> Tensor:
        """Mean cross-entropy of the outputs' tokens."""
        rows_BT = padded([source + target for source, target in pairs])
        next_BT = padded([[PAD] * (len(source) - 1) + target for source, target in pairs])
        logits_BTV = self.run(rows_BT[:, :-1], None, [None] * len(self.blocks))
        return F.cross_entropy(logits_BTV.flatten(0, 1), next_BT.flatten(), ignore_index=PAD)

    def run(self, new_BT: Tensor, known_BS: Tensor | None, pasts: Sequence[list[Tensor] | None]) -> Tensor:
        """Logits; `known_BS` is false at padding on the left, None where there is none."""
        T, mask, at = new_BT.shape[1], None, torch.arange(new_BT.shape[1])
        if known_BS is not None:
            S = known_BS.shape[1]
            at = (known_BS.cumsum(1) - 1).clamp_min(0)[:, S - T :]
            causal_TS = torch.ones(S, S, dtype=torch.bool).tril()[S - T :]
            mask = (causal_TS & known_BS[:, None] | torch.eye(S, dtype=torch.bool)[S - T :])[:, None]
        x = self.tokens(new_BT) + self.positions(at)
        for block, past in zip(self.blocks, pasts, strict=True):
            x = block(x, mask, past)
        return F.linear(self.norm(x), self.tokens.weight)

    def start(self, sources: list[list[int]]) -> None:
        source_BM = padded(sources, left=True)
        self.known = source_BM != PAD
        self.pasts: list[list[Tensor]] = [[] for _ in self.blocks]
        self.first = self.run(source_BM, self.known, self.pasts)[:, -1]

    def step(self, token_B: Tensor | None) -> Tensor:
        if token_B is None:
            return self.first
        self.known = F.pad(self.known, (0, 1), value=True)
        return self.run(token_B[:, None], self.known, self.pasts)[:, -1]


class EncoderDecoder(nn.Module):
    """The recipe of Wu, Cotterell & Hulden 2021 (arXiv 2005.10213), small: pre-norm, ReLU, sinusoidal positions, label
    smoothing 0.1, Adam with warm-up. Their batches of 400 leave a minute 111 steps, too few to learn anything, and
    their dropout of 0.3 is for more epochs: so here 16 rows, the best of 16, 32 and 64, and 0.1."""

    name, lr, betas, weight_decay, batch = "encoder-decoder", 1e-3, (0.9, 0.98), 0.0, 16

    def __init__(self, n_tokens: int, longest: int, C: int = 96, n_layer: int = 2, n_head: int = 4) -> None:
        super().__init__()
        self.C, self.tokens, self.drop = C, nn.Embedding(n_tokens, C), nn.Dropout(0.1)
        self.encoder = nn.ModuleList(Block(C, n_head, 0.1, False, nn.ReLU) for _ in range(n_layer))
        self.decoder = nn.ModuleList(Block(C, n_head, 0.1, True, nn.ReLU) for _ in range(n_layer))
        self.norms = nn.ModuleList(nn.LayerNorm(C) for _ in range(2))
        self.head = nn.Linear(C, n_tokens)
        nn.init.normal_(self.tokens.weight, std=C**-0.5)
        at = torch.arange(longest)[:, None] * torch.exp(torch.arange(0, C, 2) * (-math.log(10_000) / C))
        self.register_buffer("positions", torch.stack((at.sin(), at.cos()), 2).flatten(1), persistent=False)

    def embed(self, tokens_BT: Tensor, begin: int = 0) -> Tensor:
        positions = self.get_buffer("positions")[begin : begin + tokens_BT.shape[1]]
        embedded: Tensor = self.drop(self.tokens(tokens_BT) * self.C**0.5 + positions)
        return embedded

    def encode(self, source_BM: Tensor) -> tuple[Tensor, Tensor]:
        mask = (source_BM != PAD)[:, None, None]
        x = self.embed(source_BM)
        for block in self.encoder:
            x = block(x, mask)
        return self.norms[0](x), mask

    def loss(self, pairs: list[Codes]) -> Tensor:
        """Mean cross-entropy of the outputs' tokens, with label smoothing."""
        target_BT = padded([target for _, target in pairs])
        source, mask = self.encode(padded([source for source, _ in pairs]))
        x = self.embed(F.pad(target_BT[:, :-1], (1, 0), value=BEGIN))
        for block in self.decoder:
            x = block(x, None, None, source, mask)
        logits_BTV = self.head(self.norms[1](x))
        return F.cross_entropy(logits_BTV.flatten(0, 1), target_BT.flatten(), ignore_index=PAD, label_smoothing=0.1)

    def start(self, sources: list[list[int]]) -> None:
        self.source, self.mask = self.encode(padded(sources))
        self.pasts: list[list[Tensor]] = [[] for _ in self.decoder]
        self.written = 0

    def step(self, token_B: Tensor | None) -> Tensor:
        token_B = torch.full((len(self.source),), BEGIN) if token_B is None else token_B
        x = self.embed(token_B[:, None], self.written)
        self.written += 1
        for block, past in zip(self.decoder, self.pasts, strict=True):
            x = block(x, None, past, self.source, self.mask)
        return self.head(self.norms[1](x))[:, -1]  # type: ignore[no-any-return]
