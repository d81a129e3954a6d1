"""Lines of a file to rows of tokens, a block at a time.

The rows are exactly what `Tokenizer.encode_input` and `encode_steps` give for each line.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ahx.data.files.batched_teacher import BatchedTeacher, BlockSteps
from ahx.data.files.block import Block, Problems, block_of
from ahx.data.ragged import Ints, distinct, inside, offsets_of
from ahx.data.teacher import Teacher
from ahx.data.token_rows import FlatRows, row_of
from ahx.data.tokenizer import Token, Tokenizer
from ahx.errors import InputError
from ahx.rules.transducer import STOP, Step

Tokens = npt.NDArray[np.uint16]
MAX_VOCABULARY = 1 << 16
_REMEMBERED = 100_000


class Encoder:
    """Encodes blocks of lines with one teacher and one tokenizer. Raises InputError for more than 65,536 tokens."""

    def __init__(self, teacher: Teacher, tokenizer: Tokenizer) -> None:
        if len(tokenizer) > MAX_VOCABULARY:
            raise InputError(
                f"the data needs {len(tokenizer):,} different tokens and a cache holds {MAX_VOCABULARY:,}; "
                "use fewer symbols or states"
            )
        self._teacher, self._tokenizer = teacher, tokenizer
        self._batched = BatchedTeacher(teacher)
        self._number = {token: at for at, token in enumerate(tokenizer.tokens)}
        self._stop = self._number[Token(*Step(STOP))]
        self._remembered: dict[tuple[str, str], Tokens] = {}

    def encode(self, block: Block, problems: Problems) -> tuple[Tokens, Ints]:
        """The rows of all lines laid end to end, and the length of each; lines without a row go to `problems`."""
        steps = self._batched.steps(block)
        rows = None if steps is None else self._assemble(block, steps)
        return self._one_by_one(block, problems) if rows is None else rows

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> FlatRows | None:
        """The rows of all pairs of input and output, as text; None when some pair cannot be encoded in a batch."""
        cut = self._tokenizer.segmentation
        if not cut.changes_nothing:
            try:
                pairs = [(cut.source_symbols(text), cut.target_symbols(output)) for text, output in pairs]
            except InputError:
                return None
        block = block_of(pairs)
        steps = self._batched.steps(block)
        rows = None if steps is None else self._assemble(block, steps)
        return None if rows is None else FlatRows(*rows)

    def row(self, text: str, output: str) -> list[int]:
        """One line's tokens. Raises InputError for what the tokenizer or the teacher cannot express."""
        return row_of(self._teacher, self._tokenizer, text, output)

    def _assemble(self, block: Block, steps: BlockSteps) -> tuple[Tokens, Ints] | None:
        """Begin, input, separator, steps and stop of every line; None when a token is missing."""
        symbols, numbers = distinct(block.inputs), distinct(steps.numbers)
        inputs = [Token(chr(code)) for code in symbols]
        answers = [Token(*steps.step(number)) for number in numbers]
        if not self._number.keys() >= {*inputs, *answers}:
            return None
        row_lengths = block.input_lengths + steps.per_line + 3
        offsets = offsets_of(row_lengths)
        start, end = offsets[:-1], offsets[1:]
        separator = start + 1 + block.input_lengths
        rows = np.empty(offsets[-1], dtype=np.uint16)
        rows[start] = self._tokenizer.begin
        rows[inside(start + 1, separator, len(rows))] = self._table(symbols, inputs)[block.inputs]
        rows[separator] = self._tokenizer.separator
        rows[inside(separator + 1, end - 1, len(rows))] = self._table(numbers, answers)[steps.numbers]
        rows[end - 1] = self._stop
        return rows, row_lengths

    def _table(self, positions: list[int], tokens: list[Token]) -> Tokens:
        """An array that has the number of each token at its position."""
        table = np.zeros(max(positions, default=0) + 1, dtype=np.uint16)
        table[positions] = [self._number[token] for token in tokens]
        return table

    def _one_by_one(self, block: Block, problems: Problems) -> tuple[Tokens, Ints]:
        rows: list[Tokens] = []
        for number, pair in zip(block.number.tolist(), block.pairs(), strict=True):
            row = self._remembered.get(pair)
            if row is None:
                try:
                    row = np.array(self.row(*pair), dtype=np.uint16)
                except InputError as error:
                    problems.add(number, str(error))
                    continue
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[pair] = row
            rows.append(row)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.uint16), lengths
