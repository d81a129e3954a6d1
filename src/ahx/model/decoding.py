"""Writing with a model: greedy or sampled, many rows at once, each token's keys and values computed once.

Teacher-forced scoring (`ahx.evaluation`) answers most questions faster; this is the real thing, one token after the
other, each fed back to the model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ahx.data.rows import FlatRows
from ahx.model.positions import Pattern, distance_bias, rope_tables, sequence_keys
from ahx.model.transformer import Transformer

_NOTHING = -1  # stands where a row has no token


class KeyValueMemory:
    """The keys and values of one layer: two tensors (B, S, H, D) filled in place, S the most tokens a row may have.

    `rows` and `at_BT` say where the next tokens go: rows of different lengths each write at their own end.
    """

    def __init__(self, B: int, S: int, H: int, D: int, like: Tensor) -> None:
        self.k_BSHD, self.v_BSHD = like.new_zeros(B, S, H, D), like.new_zeros(B, S, H, D)
        self.at_BT = torch.zeros(B, 1, dtype=torch.long, device=like.device)
        self.used = 0

    def extend(self, k_BTHD: Tensor, v_BTHD: Tensor) -> tuple[Tensor, Tensor]:
        rows_B1 = torch.arange(len(self.at_BT), device=k_BTHD.device)[:, None]
        self.k_BSHD[rows_B1, self.at_BT] = k_BTHD
        self.v_BSHD[rows_B1, self.at_BT] = v_BTHD
        return self.k_BSHD[:, : self.used], self.v_BSHD[:, : self.used]

    def keep(self, rows: Tensor) -> None:
        self.k_BSHD, self.v_BSHD = self.k_BSHD[rows], self.v_BSHD[rows]


class Decoder:
    """B rows that are being written. `start` reads the prompts, `step` adds one token to each row."""

    def __init__(self, model: Transformer, B: int, S: int) -> None:
        self.model, config = model, model.config
        weight = model.norm.weight
        self.memories = [
            KeyValueMemory(B, S, config.n_head, config.n_embd // config.n_head, weight) for _ in model.blocks
        ]
        self.cursor = model.coupling.begin(B, S) if model.coupling is not None else None
        self.kinds = set("".join(config.heads))
        self.program: Tensor | None = None

    def start(self, prompt_BT: Tensor, length_B: Tensor) -> Tensor:
        """Read prompts, padded on the right to (B, T); logits for the token after each: (B, V)."""
        model, (B, T) = self.model, prompt_BT.shape
        at_T = torch.arange(T, device=prompt_BT.device)
        if self.cursor is not None and model.coupling is not None:
            for t in range(T):  # padding is a step that neither writes nor moves: it changes nothing
                self.cursor, _ = model.coupling.advance(self.cursor, prompt_BT[:, t], at_T[t].expand(B))
        x_BTC = model.embed(prompt_BT, at_T)
        pattern = model.pattern(prompt_BT)
        if pattern.program_1TP is not None:
            self.program = pattern.program_1TP[:, :, -1:]  # what comes after the program sees all of it
        x_BTC = self._blocks(x_BTC, pattern, at_T.expand(B, T), T)
        self.length_B, self.longest = length_B.clone(), T
        last_BC = x_BTC[torch.arange(B, device=prompt_BT.device), length_B - 1]
        return model.score(last_BC)

    def step(self, token_B: Tensor) -> Tensor:
        """Add one token to each row; logits for the next: (B) -> (B, V)."""
        model, config, at_B1 = self.model, self.model.config, self.length_B[:, None]
        S = self.memories[0].k_BSHD.shape[1]
        # Global heads look at the keys so far. Windows name theirs, and may as well be given the memory as a whole.
        self.longest = S if "g" not in self.kinds else min(self.longest + 1, S)
        coupled_BTK = None
        if self.cursor is not None and model.coupling is not None:
            self.cursor, coupled_BTK = model.coupling.advance(self.cursor, token_B, self.length_B)
        key_at_S = torch.arange(self.longest, device=token_B.device)
        bias = None
        if "g" in self.kinds and config.pos.endswith("alibi"):
            bias = distance_bias(config.pos, config.n_head, at_B1[:, None], key_at_S)
        elif "g" in self.kinds:
            bias = torch.zeros(len(token_B), 1, 1, self.longest, dtype=model.norm.weight.dtype, device=token_B.device)
            bias.masked_fill_((key_at_S > at_B1)[:, None, None], float("-inf"))
        pattern = Pattern(
            sequence_keys(at_B1, config.window) if "s" in self.kinds else None,
            coupled_BTK,
            bias,
            rope_tables(at_B1, config.n_embd // config.n_head) if config.pos == "rope" else None,
            program_1TP=self.program,
        ).in_batch(self.longest)
        x_B1C = model.embed(token_B[:, None], at_B1)
        x_B1C = self._blocks(x_B1C, pattern, at_B1, self.longest)
        self.length_B = self.length_B + 1
        return model.score(x_B1C[:, 0])

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows only."""
        for memory in self.memories:
            memory.keep(rows)
        self.length_B = self.length_B[rows]
        if self.cursor is not None:
            self.cursor = type(self.cursor)(*(part[rows] for part in self.cursor))
        if self.program is not None:
            self.program = self.program[rows]

    def _blocks(self, x_BTC: Tensor, pattern: Pattern, at_BT: Tensor, used: int) -> Tensor:
        for block, memory in zip(self.model.blocks, self.memories, strict=True):
            memory.at_BT, memory.used = at_BT, used
            x_BTC = block(x_BTC, pattern, False, memory)
        return x_BTC


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    stop: int,
    max_new_tokens: int | Sequence[int],
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """What the model writes after each prompt, with the stop token; rows that reach the limit end without one.

    Greedy at temperature 0; otherwise tokens are drawn with probability softmax(logits / temperature). Prompts of
    similar length are best given together: shorter ones are padded.
    """
    if not prompts:
        return []
    model.eval()
    device = model.norm.weight.device
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
    rows = FlatRows.of(prompts)
    length_B, prompt_BT = torch.from_numpy(rows.lengths).to(device), torch.from_numpy(rows.padded()).to(device)
    S = int(length_B.max()) + max(limits)
    if model.positions is not None:
        S = min(S, model.config.block_size)  # learned positions end there, and so does the text
    limit_B = torch.minimum(torch.tensor(limits, device=device), S - length_B)
    decoder = Decoder(model, len(prompts), S)
    logits_BV = decoder.start(prompt_BT, length_B)
    most = int(limit_B.max().clamp_min(0))
    written_BN = torch.full((len(prompts), most), _NOTHING, device=device)
    alive = torch.arange(len(prompts), device=device)
    done_B = limit_B <= 0
    for count in range(1, most + 1):
        if temperature > 0:
            cooled_BV = logits_BV / max(temperature, 1e-6)  # below that it is greedy anyway, and would overflow
            token_B = torch.multinomial(cooled_BV.softmax(1), 1, generator=generator)[:, 0]
        else:
            token_B = logits_BV.argmax(1)
        written_BN[alive, count - 1] = token_B.where(~done_B, _NOTHING)
        done_B = done_B | (token_B == stop) | (limit_B[alive] <= count)
        left = int((~done_B).sum())
        if left == 0:
            break
        if left <= 0.75 * len(alive):  # finished rows cost as much as others: drop them when there are many
            going = torch.nonzero(~done_B)[:, 0]
            decoder.keep(going)
            alive, token_B, done_B = alive[going], token_B[going], done_B[going]
        # A finished row keeps writing at its end until it is dropped; it may not run over the end of the memory.
        decoder.length_B = decoder.length_B.clamp_max(S - 1)
        logits_BV = decoder.step(token_B)
    lengths = (written_BN != _NOTHING).sum(1).tolist()
    return [row[:length] for row, length in zip(written_BN.tolist(), lengths, strict=True)]
