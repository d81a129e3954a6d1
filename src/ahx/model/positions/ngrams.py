"""Features of neighbouring tokens: n-grams, hashed into tables of vectors (Svenstrup et al. 2017, arXiv 1709.03933).

A token's own vector says nothing about its neighbours: attention must find out. An n-gram has a vector of its own, so
what "th" sounds like is one look-up. All n-grams of a token lie side by side in its vector; those with equal hashes
share theirs. Shapes as in pattern.py; G n-grams of each token.
"""

import torch
from torch import Tensor

from ahx.model.config import TransformerConfig

LAST = 2  # every token has an n-gram of itself and the one before it
_AROUND = ((-1, 0), (0, 1), (-1, 0, 1))  # offsets from the cursor, of the n-grams where there is one
_FACTOR, _PRIME = 1_000_003, 2**31 - 1


def shape(config: TransformerConfig) -> tuple[int, int]:
    """Of all G tables, one below the other. Their rows side by side are as wide as the model, or a little wider."""
    G = 1 + len(_AROUND) * ("c" in config.kinds)
    return G * config.ngrams, -(-config.n_embd // G)


def numbers(config: TransformerConfig, tokens_BS: Tensor, last_BTK: Tensor, cells_BTK: Tensor | None) -> Tensor:
    """The rows of the n-grams in the tables, which lie one below the other: (B, T, G).

    `last_BTK` are the places of the last tokens among `tokens_BS`, the newest first, and `cells_BTK` of those around
    the cursor.
    """
    members = [list(_read(tokens_BS, last_BTK).flip(-1).unbind(-1))]  # from left to right, as around the cursor
    if cells_BTK is not None:
        cells = dict(zip(config.offsets, _read(tokens_BS, cells_BTK).unbind(-1), strict=True))
        members += [[cells[offset] for offset in offsets] for offsets in _AROUND]
    hashes = []
    for g, tokens in enumerate(members):
        hash_BT = torch.zeros_like(tokens[0])
        for token_BT in tokens:
            hash_BT = (hash_BT * _FACTOR + token_BT + 1) % _PRIME
        hashes.append(hash_BT % config.ngrams + g * config.ngrams)
    return torch.stack(hashes, dim=-1)


def _read(tokens_BS: Tensor, places_BTK: Tensor) -> Tensor:
    """The tokens at these places of their rows, 0 for the place -1: (B, T, K)."""
    found_BTK = tokens_BS.gather(1, places_BTK.clamp_min(0).flatten(1)).view(places_BTK.shape)
    return found_BTK.where(places_BTK >= 0, 0)
