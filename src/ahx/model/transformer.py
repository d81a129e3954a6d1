"""A decoder-only transformer from scratch: everything between token numbers and logits, in plain form.

Read it from top to bottom: embeddings, attention, the feed-forward network, a block, the model. `positions/` says where
each head may look. The same computation in less time is in `fast_path.py`, which the model uses unless it is called
with `reference=True`; tests compare the two. The suffix of a tensor's name gives its shape:

    B  rows of a batch     H  heads                   V  tokens of the vocabulary
    T  tokens of a row     D  channels of one head    F  features (see `Embedding`)
    C  channels = H * D    K  keys in a window        R  tokens that are scored
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ahx.model.config import TransformerConfig, neighbours
from ahx.model.fast_path import fast_logits
from ahx.model.positions import ngrams
from ahx.model.positions.coupling import Coupling
from ahx.model.positions.pattern import Pattern, causal, first_bias, whole_rows


class Embedding(nn.Module):
    """Token numbers to vectors, or vectors to logits, through features (factorised embeddings).

    A token such as (A, move on, state 1) has several features, and its vector is the sum of theirs. So what is learnt
    about "A" serves every token that has an A. With one feature a token this is a plain table.
    """

    incidence_VF: Tensor  # 1 where a token has a feature

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        one_each = tuple((v,) for v in range(config.vocab_size))
        features = config.features or one_each
        self.plain, n_features = features == one_each, 1 + max(f for own in features for f in own)
        self.weight_FC = nn.Parameter(torch.empty(n_features, config.n_embd))
        incidence_VF = torch.zeros(config.vocab_size, n_features)
        for v, own in enumerate(features):
            incidence_VF[v, list(own)] = 1.0
        self.register_buffer("incidence_VF", incidence_VF, persistent=False)

    def table(self) -> Tensor:
        """One vector for each token: (V, C)."""
        return self.weight_FC if self.plain else self.incidence_VF @ self.weight_FC


def attend(q_BTHD: Tensor, k_BTHD: Tensor, v_BTHD: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k / sqrt(D) + mask) v, where the mask is -inf for what must not be seen: (B or 1, H or 1, T, T)."""
    q, k, v = (y.transpose(1, 2) for y in (q_BTHD, k_BTHD, v_BTHD))  # (B, H, T, D): products for each row and head
    score_BHTT = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (B, H, T, D) @ (B, H, D, T) -> (B, H, T, T)
    mix_BHTD = (score_BHTT + mask).softmax(3) @ v  # (B, H, T, T) @ (B, H, T, D) -> (B, H, T, D)
    return mix_BHTD.transpose(1, 2)


def window_mask(keys_BTK: Tensor, bias_HK: Tensor, T: int) -> Tensor:
    """The trained bias of each of K keys at the place where that key is, and -inf elsewhere: (B, H, T, T)."""
    at_BHTK = torch.where(keys_BTK < 0, T, keys_BTK)[:, None].expand(-1, len(bias_HK), -1, -1)
    mask_BHTT = bias_HK.new_full((*at_BHTK.shape[:3], T + 1), float("-inf"))  # missing keys (-1) are at a spare place T
    return mask_BHTT.scatter(3, at_BHTK, bias_HK[None, :, None].expand_as(at_BHTK))[..., :T]


class Attention(nn.Module):
    """Multi-head causal self-attention (Vaswani et al. 2017, arXiv 1706.03762).

    A head is of one of four kinds, named by a letter, which differ in the mask on their scores:
        g  global: every earlier token (as in GPT)
        s  sequence: the last K tokens
        c  coupled: the K cells around the cursor
        p  program: the rules in the prompt, wherever they stand, with a trained factor on its scores
    `s` and `c` heads have a trained bias for each of their K keys, and no other sense of position.
    """

    def __init__(self, config: TransformerConfig, heads: str) -> None:
        super().__init__()
        C = config.n_embd
        self.D = C // config.n_head
        self.dropout = config.dropout  # of the weights of global heads, in fast_path.py
        self.groups = neighbours(heads)  # "sccc" -> [("s", 0, 1), ("c", 1, 4)]
        self.qkv = nn.Linear(C, 3 * C, bias=False)  # one matrix for the three projections of all heads
        self.out = nn.Linear(C, C, bias=False)
        self.bias = nn.ParameterDict()
        for kind, a, b in self.groups:
            if kind != "g":
                self.bias[f"{kind}{a}"] = nn.Parameter(first_bias(kind, b - a, config))

    def forward(self, x_BTC: Tensor, pattern: Pattern) -> Tensor:
        q_BTHD, k_BTHD, v_BTHD = self.project(x_BTC, pattern)
        mixed, T = [], x_BTC.shape[1]
        for kind, a, b in self.groups:
            q, k, v = q_BTHD[:, :, a:b], k_BTHD[:, :, a:b], v_BTHD[:, :, a:b]
            if kind in "sc":
                mask = window_mask(pattern.windows[kind], self.bias[f"{kind}{a}"], T)
            else:
                own_mask = pattern.mask(kind, a, b, q.dtype)
                mask = causal(q, k) if own_mask is None else own_mask
            if kind == "p":
                q, mask = q * self.bias[f"p{a}"].exp(), F.pad(mask, (0, T - mask.shape[-1]), value=float("-inf"))
            mixed.append(attend(q, k, v, mask))
        out_BTC: Tensor = self.out(torch.cat(mixed, dim=2).flatten(2))  # (B, T, H, D) -> (B, T, C): heads side by side
        return out_BTC

    def project(self, x_BTC: Tensor, pattern: Pattern) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values: (B, T, C) -> (B, T, 3C) -> three times (B, T, H, D)."""
        B, T, C = x_BTC.shape
        q_BTHD, k_BTHD, v_BTHD = self.qkv(x_BTC).view(B, T, 3, C // self.D, self.D).unbind(2)
        return pattern.rotate(q_BTHD), pattern.rotate(k_BTHD), v_BTHD


class FeedForward(nn.Module):
    """A multilayer perceptron on each token by itself, with GELU (Hendrycks & Gimpel 2016, arXiv 1606.08415)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.widen = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.narrow = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        out_BTC: Tensor = self.narrow(F.gelu(self.widen(x_BTC)))
        return out_BTC


class Block(nn.Module):
    """Attention, then feed-forward, each with a residual connection.

    The norm comes before each part ("pre-norm": Xiong et al. 2020, arXiv 2002.04745), which makes training stable.
    LayerNorm without bias: RMSNorm would do as well, but it has no fused kernel on a CPU and takes 1.8 times as long.
    """

    def __init__(self, config: TransformerConfig, heads: str) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.n_embd, bias=False)
        self.attention = Attention(config, heads)
        self.norm_feed_forward = nn.LayerNorm(config.n_embd, bias=False)
        self.feed_forward = FeedForward(config)
        self.dropout = config.dropout

    def forward(self, x_BTC: Tensor, pattern: Pattern) -> Tensor:
        x_BTC = x_BTC + self.drop(self.attention(self.norm_attention(x_BTC), pattern))
        return x_BTC + self.drop(self.feed_forward(self.norm_feed_forward(x_BTC)))

    def drop(self, x_BTC: Tensor) -> Tensor:
        return F.dropout(x_BTC, self.dropout) if self.training and self.dropout else x_BTC


class Transformer(nn.Module):
    """Token numbers in, a score for every possible next token out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config)
        self.positions = nn.Embedding(config.block_size, config.n_embd) if config.scheme.trained else None
        self.ngrams = nn.Embedding(*ngrams.shape(config)) if config.ngrams else None
        self.blocks = nn.ModuleList(Block(config, heads) for heads in config.heads)
        self.norm = nn.LayerNorm(config.n_embd, bias=False)
        self.head = Embedding(config)
        self.coupling = Coupling(config.table, config.offsets) if config.table is not None else None
        self.initialise()

    def initialise(self) -> None:
        """Small random matrices; those that write to the residual stream start smaller, as there are 2 n_layer of them
        (GPT-2). The head starts at zero: all tokens equally likely. Programs need larger tokens (docs/LOG.md)."""
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "narrow.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * self.config.n_layer) ** 0.5)
            elif name == "head.weight_FC":
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2 and ".bias." not in name:
                nn.init.normal_(parameter, std=0.2 if "p" in self.config.heads[-1] and "tokens" in name else 0.02)

    def forward(self, tokens_BT: Tensor, scored_R: Tensor | None = None, reference: bool = False) -> Tensor:
        """Logits for the token after each token: (B, T) -> (B, T, V), or (R, V) for tokens of the flattened B * T.

        Rows are padded on the right: no token sees later ones. Raises ValueError for rows longer than the limit.
        """
        if not reference:
            return fast_logits(self, tokens_BT, scored_R)
        pattern = whole_rows(self.config, self.coupling, tokens_BT)  # depends on tokens only, so all layers share it
        x_BTC = self.embed(tokens_BT, torch.arange(tokens_BT.shape[1], device=tokens_BT.device), pattern.grams)
        for block in self.blocks:
            x_BTC = block(x_BTC, pattern)
        logits_BTV = self.score(x_BTC)
        return logits_BTV if scored_R is None else logits_BTV.flatten(0, 1)[scored_R]

    def embed(self, tokens: Tensor, at: Tensor, grams: Tensor | None = None) -> Tensor:
        """A vector for each token, with its n-grams, and with its position where the scheme adds one: (B, T, C)."""
        limit, vector = self.config.limit, self.config.scheme.vector
        if limit is not None and limit < tokens.shape[1]:
            raise ValueError(f"a row of {tokens.shape[1]} tokens is longer than block_size {limit}")
        x_BTC = F.embedding(tokens, self.tokens.table())
        if self.ngrams is not None and grams is not None:
            x_BTC = x_BTC + self.ngrams(grams).flatten(-2)[..., : self.config.n_embd]
        return x_BTC if vector is None else x_BTC + vector(at, self.config.n_embd, self.positions)

    def score(self, x: Tensor) -> Tensor:
        """Logits from the vectors that leave the last block: (..., C) -> (..., V)."""
        return F.linear(self.norm(x), self.head.table())
