"""Writing with a model: greedy or sampled, many rows at once, each token's keys and values computed once.

Teacher-forced scoring (`ahx.evaluation`) answers most questions faster; this is the real thing, one token after the
other, each fed back to the model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ahx.data.token_rows import FlatRows
from ahx.model.positions import Pattern, distance_bias, rope_tables, sequence_keys
from ahx.model.transformer import Transformer

_NOTHING = -1  # stands where a row has no token


class KeyValueMemory:
    """The keys and values of one layer, in two tensors that are filled in place, S columns for each of B rows.

    They lie as heads read them: `by_head`, each head's in one piece, for global heads, which multiply them as they are.
    The first `blank` columns start as zeros: what is looked at before it is written is hidden, but must be a number.
    """

    def __init__(self, B: int, S: int, H: int, D: int, blank: int, by_head: bool, like: Tensor) -> None:
        self.by_head = by_head
        shape = (B, H, S, D) if by_head else (B, S, H, D)
        self.k, self.v = like.new_empty(shape), like.new_empty(shape)
        for y_BSHD in self.columns():
            y_BSHD[:, :blank] = 0
        self.begin = self.used = 0  # the column for the next key, and how many columns are looked at

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
    """B rows that are being written. `start` reads the prompts, `step` adds one token to each row.

    Prompts are padded on the right to T tokens, and all rows write from column T of the memory on: so a step fills one
    column. The padding between is hidden from the heads, and positions and windows are counted without it.
    """

    def __init__(self, model: Transformer, B: int, S: int) -> None:
        self.model, config = model, model.config
        H, D = config.n_head, config.n_embd // config.n_head
        # Torch leaves products of fewer than 400 multiplications to a plain loop, which is slower than more keys are.
        self.least_used = -(-400 // D)
        self.S = max(S, self.least_used)
        self.memories = [
            KeyValueMemory(B, self.S, H, D, self.least_used, set(heads) == {"g"}, model.norm.weight)
            for heads in config.heads
        ]
        self.cursor = model.coupling.begin(B, self.S) if model.coupling is not None else None
        self.kinds = set("".join(config.heads))
        self.program: Tensor | None = None

    def start(self, prompt_BT: Tensor, length_B: Tensor) -> Tensor:
        """Read prompts, padded on the right to (B, T); logits for the token after each: (B, V)."""
        model, (B, T) = self.model, prompt_BT.shape
        # The last token of each is the first step. Of those before it, the last layer is to remember keys and values.
        last_B = prompt_BT[torch.arange(B, device=prompt_BT.device), length_B - 1]
        length_B, T = length_B - 1, max(T - 1, 1)
        prompt_BT, at_T = prompt_BT[:, :T], torch.arange(T, device=prompt_BT.device)
        known_BT = at_T < length_B[:, None]
        self.T, self.column, self.gap_B1 = T, T, T - length_B[:, None]
        # Added to the scores of global heads: hides the columns that hold nothing, or padding.
        self.bias_BS = model.norm.weight.new_full((B, self.S), float("-inf"))
        self.bias_BS[:, :T].masked_fill_(known_BT, 0.0)
        if self.cursor is not None and model.coupling is not None:
            padded_BT = prompt_BT * known_BT  # padding (token 0) neither writes nor moves: it changes nothing
            for t in range(T):
                self.cursor, _ = model.coupling.advance(self.cursor, padded_BT[:, t], at_T[t].expand(B))
        pattern = model.pattern(prompt_BT)
        if pattern.program_1TP is not None:
            self.program = pattern.program_1TP[:, :, -1:]  # what comes after the program sees all of it
        self._blocks(model.embed(prompt_BT, at_T), pattern, 0, T, asked_R=length_B[:0])
        return self.step(last_B)

    def step(self, token_B: Tensor) -> Tensor:
        """Add one token to each row; logits for the next: (B) -> (B, V)."""
        model, config, column, gap_B1 = self.model, self.model.config, self.column, self.gap_B1
        at_B1 = column - gap_B1
        if model.positions is not None:
            at_B1 = at_B1.clamp_max(config.block_size - 1)  # rows that have ended go on until they are dropped
        # Global heads look at the keys so far. Windows name theirs, and may as well be given the memory as a whole.
        used = max(column + 1, self.least_used) if "g" in self.kinds else self.S
        sequence_BTK = coupled_BTK = bias = None
        if "s" in self.kinds:
            key_at_B1K = sequence_keys(at_B1, config.window)
            own_B1K = key_at_B1K >= (self.T - gap_B1)[:, None]  # what the row wrote stands behind the padding
            sequence_BTK = key_at_B1K + own_B1K * gap_B1[:, None]
        if self.cursor is not None and model.coupling is not None:
            self.cursor, coupled_BTK = model.coupling.advance(self.cursor, token_B, torch.full_like(token_B, column))
        if "g" in self.kinds:
            self.bias_BS[:, column] = 0.0
            bias = self.bias_BS[:, None, None, :used]
            if config.pos.endswith("alibi"):
                key_S = torch.arange(used, device=token_B.device)
                key_at_BS = torch.where(key_S < self.T, key_S, key_S - gap_B1)
                bias = bias + distance_bias(config.pos, config.n_head, at_B1[:, None], key_at_BS[:, None, None])
        pattern = Pattern(
            sequence_BTK,
            coupled_BTK,
            bias,
            rope_tables(at_B1, config.n_embd // config.n_head) if config.pos == "rope" else None,
            program_1TP=self.program,
        ).in_batch(used)
        x_B1C = model.embed(token_B[:, None], at_B1)
        x_B1C = self._blocks(x_B1C, pattern, column, used)
        self.column += 1
        return model.score(x_B1C[:, 0])

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows only."""
        for memory in self.memories:
            memory.keep(rows)
        self.gap_B1, self.bias_BS = self.gap_B1[rows], self.bias_BS[rows]
        if self.cursor is not None:
            self.cursor = type(self.cursor)(*(part[rows] for part in self.cursor))
        if self.program is not None:
            self.program = self.program[rows]

    def _blocks(self, x_BTC: Tensor, pattern: Pattern, begin: int, used: int, asked_R: Tensor | None = None) -> Tensor:
        """What leaves the last block, for tokens at the columns from `begin` on; only of places `asked_R` if given."""
        patterns = [*[pattern] * (len(self.memories) - 1), pattern._replace(asked_R=asked_R)]
        for block, memory, own in zip(self.model.blocks, self.memories, patterns, strict=True):
            memory.begin, memory.used = begin, used
            x_BTC = block(x_BTC, own, False, memory)
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
    limit_B = torch.tensor(limits, device=device)
    if model.positions is not None:
        limit_B = limit_B.minimum(model.config.block_size - length_B)  # learned positions end there, so does the text
    most = int(limit_B.max().clamp_min(0))
    decoder = Decoder(model, len(prompts), prompt_BT.shape[1] + most)
    logits_BV = decoder.start(prompt_BT, length_B)
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
        logits_BV = decoder.step(token_B)
    lengths = (written_BN != _NOTHING).sum(1).tolist()
    return [row[:length] for row, length in zip(written_BN.tolist(), lengths, strict=True)]
