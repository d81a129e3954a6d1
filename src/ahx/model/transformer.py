"""A decoder-only transformer, from scratch: everything between token numbers and logits is in this file.

Read it from top to bottom: the configuration, attention, the feed-forward network, a block, the model. Only torch
is imported, and of torch only tensors, parameters and the functions of textbooks. The one neighbour is
`positions.py`, which says where each head may look; decoding, checkpoints and training have files of their own.

A legend for the names of tensors; the suffix gives the shape:

    B  rows of a batch          H  heads                      V  tokens of the vocabulary
    T  tokens of a row          D  channels of one head       F  features (see `Embedding`)
    C  channels = H * D         K  keys in a window           R  places that are scored
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ahx.model.positions import Coupling, Pattern, TokenTable, distance_bias, pack, rope_tables, rotate, sequence_keys


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a model. Two models with equal configurations have the same parameters, in the same order."""

    vocab_size: int
    block_size: int = 64  # the longest row, for `learned` positions; the other schemes have no limit
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 48
    dropout: float = 0.0
    pos: str = "learned"
    heads: tuple[str, ...] = ()  # one letter a head and one word a layer, as in ("sccc", "cccc"); () means all "g"
    window: int = 4  # K of the `s` heads
    offsets: tuple[int, ...] = (0, 1, -1, 2)  # around the cursor: K of the `c` heads is their number
    table: TokenTable | None = None  # needed by `c` heads
    features: tuple[tuple[int, ...], ...] = ()  # the features of each token; () gives each token one of its own

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd ({self.n_embd}) must be a multiple of n_head ({self.n_head})")
        if not self.heads:
            object.__setattr__(self, "heads", ("g" * self.n_head,) * self.n_layer)
        if len(self.heads) != self.n_layer or any(len(word) != self.n_head for word in self.heads):
            raise ValueError(f"heads {'/'.join(self.heads)!r} must be {self.n_layer} words of {self.n_head} letters")
        if odd := set("".join(self.heads)) - set("gscp"):
            raise ValueError(f"{min(odd)!r} is not a kind of head; use the letters g, s, c and p")
        if {"c", "p"} & set("".join(self.heads)) and self.table is None:
            raise ValueError("coupled heads and program heads need a token table")


class Memory(Protocol):
    """Keys and values of the tokens before these, for decoding one token at a time (see decoding.py)."""

    def extend(self, k_BTHD: Tensor, v_BTHD: Tensor) -> tuple[Tensor, Tensor]: ...


class Embedding(nn.Module):
    """Token numbers to vectors, or vectors to logits, through features.

    A token such as (A, move on, state 1) has several features, and its vector is the sum of theirs. So what is learnt
    of "A" serves every token that has an A (factorised embeddings). With one feature a token this is a plain table.
    """

    incidence_VF: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        V = config.vocab_size
        features = config.features or tuple((v,) for v in range(V))
        n_features = 1 + max(f for own in features for f in own)
        self.weight_FC = nn.Parameter(torch.empty(n_features, config.n_embd))
        self.plain = n_features == V and all(own == (v,) for v, own in enumerate(features))
        incidence_VF = torch.zeros(V, n_features)
        for v, own in enumerate(features):
            incidence_VF[v, list(own)] = 1.0
        self.register_buffer("incidence_VF", incidence_VF, persistent=False)

    def table(self) -> Tensor:
        """One vector for each token: (V, C)."""
        return self.weight_FC if self.plain else self.incidence_VF @ self.weight_FC


class Attention(nn.Module):
    """Each token gathers what it needs from other tokens (Vaswani et al. 2017, arXiv 1706.03762).

    A head is of one of four kinds, named by a letter:
        g  global: every earlier token (this is GPT)
        s  sequence: the last K tokens
        c  coupled: the K cells around the cursor
        p  program: the rules in the prompt, wherever they stand, with a trained factor on its scores
    `s` and `c` heads have a trained bias for each of their K places instead of any other sense of position.
    """

    def __init__(self, config: TransformerConfig, heads: str) -> None:
        super().__init__()
        C = config.n_embd
        self.D = C // config.n_head
        self.dropout = config.dropout
        # Neighbouring heads of one kind are computed together: "sccc" -> [("s", 0, 1), ("c", 1, 4)].
        starts = [i for i in range(len(heads)) if i == 0 or heads[i] != heads[i - 1]]
        self.groups = [(heads[a], a, b) for a, b in zip(starts, [*starts[1:], len(heads)], strict=True)]
        self.qkv = nn.Linear(C, 3 * C, bias=False)  # one matrix for the three projections of all heads
        self.out = nn.Linear(C, C, bias=False)
        self.bias = nn.ParameterDict()
        for kind, a, b in self.groups:
            if kind != "g":
                self.bias[f"{kind}{a}"] = Pattern.first_bias(kind, b - a, config.window, len(config.offsets))

    def forward(self, x_BTC: Tensor, pattern: Pattern, reference: bool = False, memory: Memory | None = None) -> Tensor:
        """(B, T, C) -> the same; (R, C) where the pattern names R places that ask."""
        B, T, C = x_BTC.shape
        # (B, T, 3C) -> three times (B, T, H, D): head h owns the channels from h * D to (h + 1) * D
        q_BTHD, k_BTHD, v_BTHD = self.qkv(x_BTC).view(B, T, 3, C // self.D, self.D).unbind(2)
        if pattern.rotation is not None:
            q_BTHD, k_BTHD = rotate(q_BTHD, pattern.rotation), rotate(k_BTHD, pattern.rotation)
        if memory is not None:
            k_BTHD, v_BTHD = memory.extend(k_BTHD, v_BTHD)  # all keys so far: (B, S, H, D)
        sizes, asked_R, mixed = [b - a for _, a, b in self.groups], pattern.asked_R, []
        if asked_R is not None and not len(asked_R):
            return x_BTC.new_empty(0, C)  # only the memory was wanted
        qkv = (y.split(sizes, dim=2) for y in (q_BTHD, k_BTHD, v_BTHD))
        for (kind, a, b), q, k, v in zip(self.groups, *qkv, strict=True):
            if kind == "g":
                dropout = self.dropout if self.training else 0.0
                mix = pick(global_attention(q, k, v, pattern.bias(a, b, q.dtype), dropout, reference), asked_R)
            elif kind == "p":
                P, q, seen_1TP = pattern.n_program, q * self.bias[f"p{a}"].exp(), pattern.program(q.dtype)
                mix = pick(global_attention(q, k[:, :P], v[:, :P], seen_1TP, 0.0, reference), asked_R)
            else:
                keys_BTK, bias_HK = pattern.keys(kind), self.bias[f"{kind}{a}"]
                if reference:
                    mix = pick(windowed_attention_reference(q, k, v, keys_BTK, bias_HK), asked_R)
                else:
                    mix = windowed_attention(pick(q, asked_R), k, v, pick(keys_BTK, asked_R), bias_HK)
            mixed.append(mix.flatten(-2))  # (..., H, D) -> (..., H * D): heads side by side
        out: Tensor = self.out(torch.cat(mixed, dim=-1) if len(mixed) > 1 else mixed[0])
        return out


def pick(x: Tensor, asked_R: Tensor | None) -> Tensor:
    """What stands at the places `asked_R` of the flattened B * T: (B, T, ...) -> (R, ...); everything for None."""
    return x if asked_R is None else x.flatten(0, 1).index_select(0, asked_R)


def global_attention(q: Tensor, k: Tensor, v: Tensor, bias_HTS: Tensor | None, drop: float, reference: bool) -> Tensor:
    """Softmax over all earlier tokens: q (B, T, H, D), k and v (B, S, H, D) -> (B, T, H, D)."""
    plain = reference or q.shape[1] == 1  # for a single query two products take half of the fused kernel's time
    # On a CPU that kernel takes keys by 16 and the rest one by one: 31 take twice as long as 32. So some more, unseen.
    if bias_HTS is None and k.is_cpu and not plain and k.shape[1] % 16 >= 8:
        k, v = (F.pad(y, (0, 0, 0, 0, 0, -y.shape[1] % 16)) for y in (k, v))
        bias_HTS = Pattern.causal(q, k)
    q_BHTD, k_BHSD, v_BHSD = (y.transpose(1, 2) for y in (q, k, v))  # heads become part of the batch
    if plain:
        score_BHTS = q_BHTD @ k_BHSD.transpose(2, 3) / math.sqrt(q.shape[3])
        mix_BHTD = (score_BHTS + (Pattern.causal(q, k) if bias_HTS is None else bias_HTS)).softmax(3) @ v_BHSD
    else:
        mix_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, bias_HTS, drop, bias_HTS is None)
    return mix_BHTD.transpose(1, 2)


def windowed_attention(q: Tensor, k: Tensor, v: Tensor, keys_BTK: Tensor, bias_HK: Tensor) -> Tensor:
    """Softmax over K keys that are fetched from their places: q (B, T, H, D), k and v (B, S, H, D) -> (B, T, H, D).

    The work is T * K instead of T * T, and the memory too. R queries with their windows (R, K) may stand for (B, T).
    """
    H, D = k.shape[2:]
    keys_KBT = keys_BTK.movedim(-1, 0)  # with K in front, a sum over it is a sum of whole tensors, which is fast
    places = keys_KBT.clamp_min(0).flatten()
    k_KBTHD = k.reshape(-1, H * D).index_select(0, places).view(*keys_KBT.shape, H, D)
    v_KBTHD = v.reshape(-1, H * D).index_select(0, places).view(*keys_KBT.shape, H, D)
    bias_KBTH = bias_HK.T.view(-1, *[1] * (q.dim() - 2), H)  # the same for all rows and tokens
    score_KBTH = (q * k_KBTHD).sum(-1) / math.sqrt(D) + bias_KBTH
    score_KBTH = score_KBTH.masked_fill((keys_KBT < 0)[..., None], float("-inf"))  # excluded, not merely disliked
    return (score_KBTH.softmax(0)[..., None] * v_KBTHD).sum(0)


def windowed_attention_reference(q: Tensor, k: Tensor, v: Tensor, keys_BTK: Tensor, bias_HK: Tensor) -> Tensor:
    """The same, as ordinary attention under a dense mask: slower, and plain. A test holds the two together."""
    B, T, H, D = q.shape
    K, S = keys_BTK.shape[2], k.shape[1]
    # In mask[b, h, t, s] is the bias of the place of s in the window of t, or -inf; absent keys fill a spare last s.
    mask_BHTS = torch.full((B, H, T, S + 1), float("-inf"), dtype=q.dtype, device=q.device)
    at_BHTK = torch.where(keys_BTK < 0, S, keys_BTK % S)[:, None].expand(B, H, T, K)
    mask_BHTS = mask_BHTS.scatter(3, at_BHTK, bias_HK[None, :, None].expand(B, H, T, K))[..., :S]
    score_BHTS = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(D)
    return torch.einsum("bhts,bshd->bthd", (score_BHTS + mask_BHTS).softmax(3), v)


class FeedForward(nn.Module):
    """Each token thinks for itself: widen fourfold, bend, narrow again (GELU: Hendrycks & Gimpel, arXiv 1606.08415)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.widen = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.narrow = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        out_BTC: Tensor = self.narrow(F.gelu(self.widen(x_BTC)))
        return out_BTC


class Block(nn.Module):
    """Talk, then think; both are added to what was there, so gradients have a straight way back.

    The norm comes before each part ("pre-norm": Xiong et al. 2020, arXiv 2002.04745), which trains without care.
    LayerNorm without bias: RMSNorm would do as well, but it has no fused kernel on a CPU and takes 1.8 times as long.
    """

    def __init__(self, config: TransformerConfig, heads: str) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.n_embd, bias=False)
        self.attention = Attention(config, heads)
        self.norm_feed_forward = nn.LayerNorm(config.n_embd, bias=False)
        self.feed_forward = FeedForward(config)
        self.dropout = config.dropout

    def forward(self, x_BTC: Tensor, pattern: Pattern, reference: bool = False, memory: Memory | None = None) -> Tensor:
        heard = self.attention(self.norm_attention(x_BTC), pattern, reference, memory)
        x = pick(x_BTC, pattern.asked_R) + self.drop(heard)  # (B, T, C), or (R, C) where only some places ask
        return x + self.drop(self.feed_forward(self.norm_feed_forward(x)))

    def drop(self, x_BTC: Tensor) -> Tensor:
        return F.dropout(x_BTC, self.dropout) if self.training and self.dropout else x_BTC


class Transformer(nn.Module):
    """Token numbers in, a score for every possible next token out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config)
        self.positions = nn.Embedding(config.block_size, config.n_embd) if config.pos == "learned" else None
        self.blocks = nn.ModuleList(Block(config, heads) for heads in config.heads)
        self.norm = nn.LayerNorm(config.n_embd, bias=False)
        self.head = Embedding(config)
        self.coupling = Coupling(config.table, config.offsets) if config.table is not None else None
        self.windows_only = config.pos == "coupled" and not {"g", "p"} & set("".join(config.heads))
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
        """Logits for the token after each token: (B, T) -> (B, T, V).

        With `scored_R`, numbers of places in the flattened B * T, only those are scored: -> (R, V). Rows are padded on
        the right; no token sees what comes after it, so padding needs no mask. Raises ValueError for a row longer than
        block_size where positions are learned.
        """
        begin_BT = None
        if scored_R is not None and self.windows_only and not reference:
            # Padding costs as much as tokens, and where rows have all lengths half is padding. Windows name their keys
            # one by one, so the rows may as well lie end to end, as one long row.
            tokens_BT, begin_BT, scored_R = pack(tokens_BT, scored_R)
        pattern = self.pattern(tokens_BT, begin_BT)
        x_BTC = self.embed(tokens_BT, torch.arange(tokens_BT.shape[1], device=tokens_BT.device))
        *before, last = self.blocks
        for block in before:
            x_BTC = block(x_BTC, pattern, reference)
        return self.score(last(x_BTC, pattern._replace(asked_R=scored_R), reference))

    def embed(self, tokens: Tensor, at: Tensor) -> Tensor:
        """A vector for each token, and for its position where those are learned: (...) -> (..., C)."""
        x = F.embedding(tokens, self.tokens.table())
        if self.positions is None:
            return x
        if self.config.block_size < tokens.shape[1]:
            raise ValueError(f"a row of {tokens.shape[1]} tokens is longer than block_size {self.config.block_size}")
        return x + F.embedding(at, self.positions.weight)

    def score(self, x: Tensor) -> Tensor:
        """Logits from the vectors that leave the last block: (..., C) -> (..., V)."""
        return F.linear(self.norm(x), self.head.table())

    def pattern(self, tokens_BT: Tensor, begin_BT: Tensor | None = None) -> Pattern:
        """Where the heads may look. It depends on the tokens only, so all layers share it. `begin_BT` as in `pack`."""
        config, kinds = self.config, set("".join(self.config.heads))
        at_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        return Pattern(
            sequence_keys(at_T.expand_as(tokens_BT), config.window, begin_BT) if "s" in kinds else None,
            self.coupling.keys(tokens_BT, begin_BT) if self.coupling is not None else None,
            distance_bias(config.pos, config.n_head, at_T, at_T) if config.pos.endswith("alibi") else None,
            rope_tables(at_T, config.n_embd // config.n_head) if config.pos == "rope" else None,
            program_1TP=self.coupling.program(tokens_BT) if self.coupling is not None and "p" in kinds else None,
        ).in_batch(tokens_BT.shape[1])
