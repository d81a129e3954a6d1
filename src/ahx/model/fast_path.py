"""The fast paths of `transformer.py`: the same parameters and the same numbers, computed with less work.

    pack                 rows of a batch lie end to end, so that padding costs nothing
    asked_R              the last block computes only the tokens whose logits are asked for
    global_attention     torch's fused kernel, with as many keys as it takes at once
    windowed_attention   K keys are fetched instead of masking T * T scores
    Memory               keys and values of earlier tokens are kept while decoding

`Transformer.forward(..., reference=True)` is the plain computation; tests compare the two. Shapes as in transformer.py;
asked_R are R numbers of tokens in the flattened B * T, None for all of them.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ahx.model.positions.pattern import Pattern, causal, whole_rows

if TYPE_CHECKING:
    from ahx.model.transformer import Attention, Block, Transformer


class Memory(Protocol):
    """Keys and values of the tokens before these, for decoding one token at a time (see decoding.py)."""

    def extend(self, k_BTHD: Tensor, v_BTHD: Tensor) -> tuple[Tensor, Tensor]: ...


def fast_logits(model: "Transformer", tokens_BT: Tensor, scored_R: Tensor | None) -> Tensor:
    """What `Transformer.forward` returns: (B, T, V), or (R, V) for the tokens `scored_R`."""
    begin_BT = None
    if scored_R is not None and model.config.scheme.coupled and not {"g", "p"} & model.config.kinds:
        # Where rows have all lengths, half of a batch is padding. Windows name their keys one by one, so their rows may
        # lie end to end, as one long row.
        tokens_BT, begin_BT, scored_R = pack(tokens_BT, scored_R)
    pattern = whole_rows(model.config, model.coupling, tokens_BT, begin_BT)
    x_BTC = model.embed(tokens_BT, torch.arange(tokens_BT.shape[1], device=tokens_BT.device), pattern.grams)
    return model.score(blocks(model, x_BTC, pattern, tokens_BT.shape[1], scored_R))


def pack(tokens_BT: Tensor, places_R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows laid end to end without their padding (token 0), as a single row of N tokens.

    Returns the tokens (1, N), where the row of each begins (1, N), and `places_R` of the flattened B * T renumbered.
    """
    row_N, column_N = tokens_BT.nonzero(as_tuple=True)
    begin_N = torch.arange(len(row_N), device=row_N.device) - column_N
    new = (tokens_BT > 0).flatten().cumsum(0) - 1  # place i of the flattened B * T becomes place new[i]
    return tokens_BT[row_N, column_N][None], begin_N[None], new[places_R]


def blocks(
    model: "Transformer", x_BTC: Tensor, pattern: Pattern, S: int, asked_R: Tensor | None = None,
    memories: Sequence[Memory] = (),
) -> Tensor:  # fmt: skip
    """All blocks, with S keys in each row: (B, T, C) -> the same, or (R, C) for the tokens `asked_R`."""
    pattern = pattern._replace(windows={kind: _in_batch(keys, S) for kind, keys in pattern.windows.items()})
    last = len(model.blocks) - 1
    for i, module in enumerate(model.blocks):
        asked, memory = asked_R if i == last else None, memories[i] if memories else None
        x_BTC = block(cast("Block", module), x_BTC, pattern, asked, memory)
    return x_BTC


def _in_batch(keys_BTK: Tensor, S: int) -> Tensor:
    """Places in their rows as places in the flattened B * S, where row b begins at b * S."""
    if len(keys_BTK) == 1:
        return keys_BTK
    row_B11 = S * torch.arange(len(keys_BTK), device=keys_BTK.device)[:, None, None]
    return torch.where(keys_BTK < 0, keys_BTK, keys_BTK + row_B11)


def block(
    module: "Block", x_BTC: Tensor, pattern: Pattern, asked_R: Tensor | None = None, memory: Memory | None = None
) -> Tensor:
    """`Block.forward`, only for the tokens `asked_R`. Keys in the pattern are places in the flattened B * S."""
    x = pick(x_BTC, asked_R) + module.drop(
        attention(module.attention, module.norm_attention(x_BTC), pattern, asked_R, memory)
    )
    return x + module.drop(module.feed_forward(module.norm_feed_forward(x)))


def attention(
    module: "Attention", x_BTC: Tensor, pattern: Pattern, asked_R: Tensor | None, memory: Memory | None
) -> Tensor:
    """`Attention.forward`, only for the tokens `asked_R`, with the keys of `memory`."""
    q_BTHD, k_BSHD, v_BSHD = module.project(x_BTC, pattern)
    if memory is not None:
        k_BSHD, v_BSHD = memory.extend(k_BSHD, v_BSHD)  # all keys so far
    if asked_R is not None and not len(asked_R):
        return x_BTC.new_empty(0, x_BTC.shape[2])  # only the memory was needed
    sizes, mixed = [b - a for _, a, b in module.groups], []
    qkv = (y.split(sizes, dim=2) for y in (q_BTHD, k_BSHD, v_BSHD))  # type: ignore[no-untyped-call]
    for (kind, a, b), q, k, v in zip(module.groups, *qkv, strict=True):
        if kind in "sc":
            keys = pick(pattern.windows[kind], asked_R)
            mix = windowed_attention(pick(q, asked_R), k, v, keys, module.bias[f"{kind}{a}"])
        else:
            mask, dropout = pattern.mask(kind, a, b, q.dtype), module.dropout if module.training else 0.0
            if kind == "p" and mask is not None:
                P, q, dropout = mask.shape[-1], q * module.bias[f"p{a}"].exp(), 0.0
                k, v = k[:, :P], v[:, :P]  # P tokens at the beginning of a row hold its program
            mix = pick(global_attention(q, k, v, mask, dropout), asked_R)
        mixed.append(mix.flatten(-2))  # (..., H, D) -> (..., H * D): heads side by side
    out: Tensor = module.out(torch.cat(mixed, dim=-1) if len(mixed) > 1 else mixed[0])
    return out


def pick(x: Tensor, asked_R: Tensor | None) -> Tensor:
    """The tokens `asked_R` of the flattened B * T: (B, T, ...) -> (R, ...); everything for None."""
    return x if asked_R is None else x.flatten(0, 1).index_select(0, asked_R)


def global_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float = 0.0) -> Tensor:
    """Softmax over all keys: q (B, T, H, D), k and v (B, S, H, D) -> (B, T, H, D). None stands for a causal mask."""
    single = q.shape[1] == 1  # for a single query two matrix products take half of the fused kernel's time
    # On a CPU that kernel takes keys by 16 and the rest one by one: 31 take twice as long as 32. So add hidden ones.
    if mask is None and k.is_cpu and not single and k.shape[1] % 16 >= 8:
        k, v = (F.pad(y, (0, 0, 0, 0, 0, -y.shape[1] % 16)) for y in (k, v))
        mask = causal(q, k)
    q_BHTD, k_BHSD, v_BHSD = (y.transpose(1, 2) for y in (q, k, v))  # heads become part of the batch
    if single:
        score_BHTS = q_BHTD @ k_BHSD.transpose(2, 3) / math.sqrt(q.shape[3])
        mix_BHTD = (score_BHTS + (causal(q, k) if mask is None else mask)).softmax(3) @ v_BHSD
    else:
        mix_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, mask, dropout, mask is None)
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
    score_KBTH = score_KBTH.masked_fill((keys_KBT < 0)[..., None], float("-inf"))  # missing keys get no weight
    return (score_KBTH.softmax(0)[..., None] * v_KBTHD).sum(0)
