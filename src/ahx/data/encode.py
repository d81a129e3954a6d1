"""Lines of a file to rows of tokens, a block at a time.

The steps of an alignment and the plain ones follow from lengths alone, so numpy finds them for a whole block at once.
A machine has to be run, line by line; lines that occur again are remembered.

Both give exactly what `Tokenizer.encode_input` and `encode_steps` give for each line.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ahx.data.align import Alignment, Start
from ahx.data.blocks import Block, Problems
from ahx.data.spans import Codes, Ints, inside, offsets_of, places_of, totals_of
from ahx.data.teacher import AlignmentTeacher, PlainTeacher, Teacher
from ahx.data.tokenizer import Token, Tokenizer
from ahx.errors import InputError
from ahx.rules.transducer import SILENT, STOP, Step

Tokens = npt.NDArray[np.uint16]
MAX_VOCABULARY = 1 << 16
_CODE_POINTS = 0x110000
_SILENT_CODE = 0  # a NUL is no symbol of a data file
_REMEMBERED = 100_000


class Moves(NamedTuple):
    """How each step of a vectorised teacher moves and which state it is in; a step's kind is its place here."""

    moves: list[tuple[int, str]]

    def step(self, kind: int, code: int) -> Step:
        """The step of this kind that writes the symbol with this code point."""
        return Step(chr(code) if code != _SILENT_CODE else SILENT, *self.moves[kind])


def moves_of(teacher: Teacher) -> Moves | None:
    """The kinds of steps that `teacher` takes, or None when only running it would tell."""
    match teacher:
        case PlainTeacher():
            return Moves([(0, "")])
        case AlignmentTeacher(alignment):
            longest = max(alignment.lengths.values(), default=0)
            return Moves([(alignment.move, ""), *((0, str(written)) for written in range(1, longest))])
    return None


class BlockSteps(NamedTuple):
    """The steps of all lines of a block, laid end to end, without the stops."""

    per_line: Ints
    kind: Ints
    code: Codes


def steps_of(block: Block, teacher: Teacher) -> tuple[BlockSteps, npt.NDArray[np.bool_]]:
    """The steps of the lines that fit a plain or alignment teacher, and which lines these are."""
    if isinstance(teacher, AlignmentTeacher):
        written = _written(block, teacher.alignment)
        fits = _fits(block, written)
        if not fits.all():
            block = block.select(fits)
            written = _written(block, teacher.alignment)
        return _aligned(block, written, teacher.alignment.start), fits
    kind = np.zeros(len(block.outputs), dtype=np.int64)
    return BlockSteps(block.output_lengths, kind, block.outputs), np.ones(len(block), dtype=np.bool_)


def _written(block: Block, alignment: Alignment) -> Ints:
    """How many symbols each symbol of the inputs writes; -1 for those that the alignment does not know."""
    greatest = max(int(block.inputs.max(initial=0)), *map(ord, alignment.lengths), 0)
    table = np.full(greatest + 1, -1, dtype=np.int64)
    for symbol, length in alignment.lengths.items():
        table[ord(symbol)] = length
    return table[block.inputs]


def _fits(block: Block, written: Ints) -> npt.NDArray[np.bool_]:
    """Which lines have outputs of the length that their inputs call for."""
    fits: npt.NDArray[np.bool_] = totals_of(written, block.input_lengths) == block.output_lengths
    if (written < 0).any():
        fits &= totals_of((written < 0).astype(np.int64), block.input_lengths) == 0
    return fits


def _aligned(block: Block, written: Ints, start: Start) -> BlockSteps:
    if start == "right":
        ends = offsets_of(block.input_lengths)[1:]
        written = written[np.repeat(ends, block.input_lengths) - 1 - places_of(block.input_lengths)]
    # A symbol that writes nothing still takes a step, a silent one.
    taken = np.maximum(written, 1)
    last = np.cumsum(taken) - 1
    kind = places_of(taken) + 1
    kind[last] = 0
    # The outputs of all lines, laid end to end, are the chunks laid end to end.
    code = block.outputs
    silent = last[written == 0]
    if len(silent):
        speaks = np.ones(len(kind), dtype=np.bool_)
        speaks[silent] = False
        code = np.full(len(kind), _SILENT_CODE, dtype=block.outputs.dtype)
        code[speaks] = block.outputs
    return BlockSteps(totals_of(taken, block.input_lengths), kind, code)


class Encoder:
    """Encodes blocks of lines with one teacher and one tokenizer. Raises InputError for more than 65,536 tokens."""

    def __init__(self, teacher: Teacher, tokenizer: Tokenizer) -> None:
        if len(tokenizer) > MAX_VOCABULARY:
            raise InputError(
                f"the data needs {len(tokenizer):,} different tokens and a cache holds {MAX_VOCABULARY:,}; "
                "use fewer symbols or states"
            )
        self._teacher, self._tokenizer = teacher, tokenizer
        self._remembered: dict[tuple[str, str], Tokens] = {}
        self._moves = moves_of(teacher)
        if self._moves is not None:
            self._tables(self._moves)

    def encode(self, block: Block, problems: Problems) -> tuple[Tokens, Ints]:
        """The rows of all lines laid end to end, and the length of each; lines without a row go to `problems`."""
        if self._moves is not None:
            steps, fits = steps_of(block, self._teacher)
            if fits.all():
                rows = self._assemble(block, steps)
                if rows is not None:
                    return rows
        return self._one_by_one(block, problems)

    def row(self, text: str, output: str) -> list[int]:
        """One line's tokens. Raises InputError when the tokenizer or the teacher has no answer to it."""
        steps = self._tokenizer.encode_steps(self._teacher.steps(text, output))
        return self._tokenizer.encode_input(text) + steps

    def _tables(self, moves: Moves) -> None:
        """Token numbers by code point and by kind of step; -1 where there is no such token."""
        number = {token: at for at, token in enumerate(self._tokenizer.tokens)}
        self._input_token = np.full(_CODE_POINTS, -1, dtype=np.int32)
        self._column = np.zeros(_CODE_POINTS, dtype=np.int32)  # of the table of steps; 0 is for unknown symbols
        written = sorted({token.symbol for token in number if token.move is not None and token.symbol != STOP})
        written = [symbol for symbol in written if len(symbol) <= 1]
        self._columns = len(written) + 1
        self._step_token = np.full(len(moves.moves) * self._columns, -1, dtype=np.int32)
        for token, at in number.items():
            if token.move is None and len(token.symbol) == 1:
                self._input_token[ord(token.symbol)] = at
        for column, symbol in enumerate(written, 1):
            code = ord(symbol) if symbol else _SILENT_CODE
            self._column[code] = column
            for kind in range(len(moves.moves)):
                self._step_token[kind * self._columns + column] = number.get(Token(*moves.step(kind, code)), -1)
        self._stop = number[Token(*Step(STOP))]

    def _assemble(self, block: Block, steps: BlockSteps) -> tuple[Tokens, Ints] | None:
        """Begin, input, separator, steps and stop of every line; None when a token is missing."""
        inputs = self._input_token[block.inputs]
        answers = self._step_token[steps.kind * self._columns + self._column[steps.code]]
        if inputs.min(initial=0) < 0 or answers.min(initial=0) < 0:
            return None
        row_lengths = block.input_lengths + steps.per_line + 3
        offsets = offsets_of(row_lengths)
        start, end = offsets[:-1], offsets[1:]
        separator = start + 1 + block.input_lengths
        rows = np.empty(offsets[-1], dtype=np.uint16)
        rows[start] = self._tokenizer.begin
        rows[inside(start + 1, separator, len(rows))] = inputs
        rows[separator] = self._tokenizer.separator
        rows[inside(separator + 1, end - 1, len(rows))] = answers
        rows[end - 1] = self._stop
        return rows, row_lengths

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
