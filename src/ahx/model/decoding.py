"""Autoregressive decoding with a key-value cache: greedy or sampled, many rows at once.

To find out whether outputs are right, teacher-forced scoring (scoring.py) is faster.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ahx.data.token_rows import FlatRows
from ahx.model import fast_path
from ahx.model.positions.pattern import Pattern, Steps
from ahx.model.transformer import Transformer

_NOTHING = -1  # where a row has no token


class KeyValueMemory:
    """The keys and values of one layer, in two tensors that are filled in place, S columns for each of B rows.

    With `by_head`, each head's are contiguous, as the matrix products of global heads need them. The first `blank`
    columns start as zeros: they may be read before they are written, and are masked, but must be finite.
    """

    def __init__(self, B: int, S: int, H: int, D: int, blank: int, by_head: bool, like: Tensor) -> None:
        self.by_head = by_head
        shape = (B, H, S, D) if by_head else (B, S, H, D)
        self.k, self.v = like.new_empty(shape), like.new_empty(shape)
        for y_BSHD in self.columns():
            y_BSHD[:, :blank] = 0
        self.begin = self.used = 0  # the column for the next key, and how many columns are read

    def columns(self) -> tuple[Tensor, Tensor]:
        """Keys and values as (B, S, H, D)."""
        return (self.k.transpose(1, 2), self.v.transpose(1, 2)) if self.by_head else (self.k, self.v)

    def extend(self, k_BTHD: Tensor, v_BTHD: Tensor) -> tuple[Tensor, Tensor]:
        k_BSHD, v_BSHD = self.columns()
        new = slice(self.begin, self.begin + k_BTHD.shape[1])
        k_BSHD[:, new], v_BSHD[:, new] = k_BTHD, v_BTHD
        return k_BSHD[:, : self.used], v_BSHD[:, : self.used]

    def keep(self, rows: Tensor) -> None:
        self.k, self.v = self.k.index_select(0, rows), self.v.index_select(0, rows)


class Decoder:
    """B rows that are being written: `start` reads the prompts, `step` adds one token to each row, in one column."""

    def __init__(self, model: Transformer, B: int, S: int) -> None:
        self.model, config = model, model.config
        H, D = config.n_head, config.n_embd // config.n_head
        # Torch computes products of fewer than 400 multiplications by a plain loop, which is slower than more keys.
        self.least_used = -(-400 // D)
        self.S = max(S, self.least_used)
        self.memories = [
            KeyValueMemory(B, self.S, H, D, self.least_used, set(heads) == {"g"}, model.norm.weight)
            for heads in config.heads
        ]

    def start(self, prompt_BT: Tensor, length_B: Tensor) -> Tensor:
        """Read prompts, padded on the right to (B, T); logits for the token after each: (B, V)."""
        model, (B, T) = self.model, prompt_BT.shape
        # The last token of each is the first step. Of those before it, only keys and values are needed.
        last_B = prompt_BT[torch.arange(B, device=prompt_BT.device), length_B - 1]
        length_B, self.column = length_B - 1, max(T - 1, 1)
        prompt_BT = prompt_BT[:, : self.column]
        self.steps = Steps(model.config, model.coupling, prompt_BT, length_B, self.S)
        at_T = torch.arange(self.column, device=prompt_BT.device)
        x_BTC = model.embed(prompt_BT, at_T, self.steps.prompt.grams)
        self._blocks(x_BTC, self.steps.prompt, 0, self.column, asked_R=length_B[:0])
        return self.step(last_B)

    def step(self, token_B: Tensor) -> Tensor:
        """Add one token to each row; logits for the next: (B) -> (B, V)."""
        model, column = self.model, self.column
        # Global heads read the keys so far. Windows name theirs, so they get the whole memory.
        used = max(column + 1, self.least_used) if "g" in model.config.kinds else self.S
        at_B1, pattern = self.steps.step(token_B, column, used)
        x_B1C = self._blocks(model.embed(token_B[:, None], at_B1, pattern.grams), pattern, column, used)
        self.column += 1
        return model.score(x_B1C[:, 0])

    def keep(self, rows: Tensor) -> None:
        """Continue with some of the rows only."""
        for memory in self.memories:
            memory.keep(rows)
        self.steps.keep(rows)

    def _blocks(self, x_BTC: Tensor, pattern: Pattern, begin: int, used: int, asked_R: Tensor | None = None) -> Tensor:
        """The output of the blocks for tokens at the columns from `begin` on; only for tokens `asked_R` if given."""
        for memory in self.memories:
            memory.begin, memory.used = begin, used
        return fast_path.blocks(self.model, x_BTC, pattern, used, asked_R, self.memories)


class Decoded(NamedTuple):
    """What the model wrote after one prompt."""

    tokens: list[int]  # with the stop token; rows that reach the limit end without one
    log_probability: float  # of these tokens after the prompt, in nats


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    stop: int,
    max_new_tokens: int | Sequence[int],
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """The tokens that `decode` gives."""
    return [found.tokens for found in decode(model, prompts, stop, max_new_tokens, temperature, generator)]


@torch.inference_mode()
def decode(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    stop: int,
    max_new_tokens: int | Sequence[int],
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    calibration: float = 1.0,
) -> list[Decoded]:
    """What the model writes after each prompt, until the stop token or the limit.

    Greedy at temperature 0; otherwise tokens are drawn with probability softmax(logits / temperature). Probabilities
    are those of softmax(logits / calibration). Prompts are padded to the longest.
    """
    if not prompts:
        return []
    decoder, logits_BV, limit_B = begin(model, prompts, max_new_tokens)
    most, device = int(limit_B.max().clamp_min(0)), limit_B.device
    written_BN = torch.full((len(prompts), most), _NOTHING, device=device)
    log_B = torch.zeros(len(prompts), dtype=precise(device), device=device)
    alive = torch.arange(len(prompts), device=device)
    done_B = limit_B <= 0
    for count in range(1, most + 1):
        if temperature > 0:
            cooled_BV = logits_BV / max(temperature, 1e-6)  # smaller ones would overflow, and are greedy
            token_B = torch.multinomial(cooled_BV.softmax(1), 1, generator=generator)[:, 0]
        else:
            token_B = logits_BV.argmax(1)
        written_BN[alive, count - 1] = token_B.where(~done_B, _NOTHING)
        own_B = log_probabilities(logits_BV, calibration).gather(1, token_B[:, None])[:, 0]
        log_B[alive] += own_B.to(log_B.dtype).masked_fill(done_B, 0.0)
        done_B = done_B | (token_B == stop) | (limit_B[alive] <= count)
        left = int((~done_B).sum())
        if left == 0:
            break
        if left <= 0.75 * len(alive):  # finished rows cost as much as others, so drop them when there are many
            going = torch.nonzero(~done_B)[:, 0]
            decoder.keep(going)
            alive, token_B, done_B = alive[going], token_B[going], done_B[going]
        logits_BV = decoder.step(token_B)
    lengths = (written_BN != _NOTHING).sum(1).tolist()
    rows = zip(written_BN.tolist(), lengths, log_B.tolist(), strict=True)
    return [Decoded(row[:length], log) for row, length, log in rows]


def begin(
    model: Transformer, prompts: Sequence[Sequence[int]], max_new_tokens: int | Sequence[int]
) -> tuple[Decoder, Tensor, Tensor]:
    """A decoder that has read `prompts`, the logits that follow (B, V), and the most tokens of each answer (B)."""
    model.eval()
    device = model.norm.weight.device
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    rows = FlatRows.of(prompts)
    length_B, prompt_BT = torch.from_numpy(rows.lengths).to(device), torch.from_numpy(rows.padded()).to(device)
    limit_B = torch.tensor(limits, device=device)
    if model.config.limit is not None:
        limit_B = limit_B.minimum(model.config.limit - length_B)
    decoder = Decoder(model, len(prompts), prompt_BT.shape[1] + int(limit_B.max().clamp_min(0)))
    return decoder, decoder.start(prompt_BT, length_B), limit_B


def log_probabilities(logits_BV: Tensor, calibration: float) -> Tensor:
    """Of each next token, in nats: (B, V)."""
    logits_BV = logits_BV.float() if logits_BV.dtype in (torch.bfloat16, torch.float16) else logits_BV
    return (logits_BV if calibration == 1.0 else logits_BV / calibration).log_softmax(1)


def precise(device: torch.device) -> torch.dtype:
    """For sums over a whole answer."""
    return torch.float32 if device.type == "mps" else torch.float64  # which has no float64
