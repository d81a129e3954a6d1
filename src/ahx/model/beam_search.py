"""Beam search: the most probable answers that a search of limited width finds, with their probabilities.

Shapes: B prompts, W hypotheses of each, V tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ahx.model.decoding import Decoded, begin, log_probabilities, precise
from ahx.model.transformer import Transformer

_NEVER = float("-inf")


@torch.inference_mode()
def beam_search(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    stop: int,
    max_new_tokens: int | Sequence[int],
    width: int,
    n_best: int,
    calibration: float = 1.0,
) -> list[list[Decoded]]:
    """Up to `n_best` answers after each prompt, the most probable first; see `decode` for the rest.

    At every step the `width` most probable of all continuations and ended answers are kept. An answer that has ended
    keeps its place, and no continuation is more probable than what it continues: once the first `n_best` have ended,
    they are final. Answers that reach the limit end without a stop token.
    """
    if not prompts:
        return []
    decoder, logits_BV, limit_B = begin(model, prompts, max_new_tokens)
    (B, V), W, device = logits_BV.shape, width, logits_BV.device
    results = [[Decoded([], 0.0)] for _ in prompts]  # where the limit is 0
    alive = torch.arange(B, device=device)
    decoder.keep(alive.repeat_interleave(W))
    logits_BV = logits_BV.repeat_interleave(W, 0)
    log_BW = torch.full((B, W), _NEVER, dtype=precise(device), device=device)
    log_BW[:, 0] = 0.0  # the others do not exist yet
    ended_BW = (limit_B <= 0)[:, None].expand(B, W).clone()
    written_BWN = torch.zeros((B, W, 0), dtype=torch.long, device=device)
    length_BW = torch.zeros((B, W), dtype=torch.long, device=device)
    for count in range(1, int(limit_B.max().clamp_min(0)) + 1):
        B = len(alive)
        # Continuations of what goes on, and in a last column what has ended.
        next_BWV = log_probabilities(logits_BV, calibration).to(log_BW.dtype).view(B, W, V) + log_BW[..., None]
        next_BWV = next_BWV.masked_fill(ended_BW[..., None], _NEVER)
        same_BW1 = log_BW.masked_fill(~ended_BW, _NEVER)[..., None]
        log_BW, chosen_BW = torch.cat((next_BWV, same_BW1), 2).flatten(1).topk(W, 1)
        parent_BW, token_BW = chosen_BW // (V + 1), chosen_BW % (V + 1)
        goes_on_BW = token_BW < V
        token_BW = token_BW.where(goes_on_BW, stop)
        written_BWN = torch.cat((_of(written_BWN, parent_BW), token_BW[..., None]), 2)
        length_BW = length_BW.gather(1, parent_BW) + goes_on_BW
        ended_BW = ~goes_on_BW | (token_BW == stop) | (limit_B[alive] <= count)[:, None]
        done_B = (ended_BW | (log_BW == _NEVER))[:, : min(n_best, W)].all(1)
        for b in torch.nonzero(done_B)[:, 0].tolist():
            rows = zip(written_BWN[b].tolist(), length_BW[b].tolist(), log_BW[b].tolist(), strict=True)
            results[int(alive[b])] = [Decoded(row[:n], log) for row, n, log in rows if log > _NEVER][:n_best]
        going = torch.nonzero(~done_B)[:, 0]
        if not len(going):
            break
        rows_R = (going[:, None] * W + parent_BW[going]).flatten()
        decoder.keep(rows_R)
        alive, log_BW, ended_BW, token_BW, written_BWN, length_BW = (
            y[going] for y in (alive, log_BW, ended_BW, token_BW, written_BWN, length_BW)
        )
        logits_BV = decoder.step(token_BW.flatten())
    return results


def _of(x_BWN: Tensor, parent_BW: Tensor) -> Tensor:
    """What the parent of each hypothesis has written."""
    return x_BWN.gather(1, parent_BW[..., None].expand(-1, -1, x_BWN.shape[2]))
