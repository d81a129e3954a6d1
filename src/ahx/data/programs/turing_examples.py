"""A question of a certificate as a program and a tape, so that one can see for oneself what a model answers."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from ahx.data.programs.turing_contexts import NOTHING, Questions, Rules
from ahx.data.ragged import Ints

_CELLS = 4  # tapes with so many cells show every context (a test compares)


class Example(NamedTuple):
    program: str
    configuration: str
    steps: int  # of the machine; the question comes up in the last one

    def __str__(self) -> str:
        return f"--program '{self.program}' --tape {self.configuration} --steps {self.steps}"


def example(rules: Rules, questions: Questions, n: int, rival: int = -1) -> Example | None:
    """Question `n` as it comes up in a run; None where it cannot, or where there is no room in the program.

    `rival` is a token that the program is to have as well, numbered as `program_tokens` does.
    """
    previous, newest, key, action = (
        int(x[n]) for x in (questions.previous_N, questions.newest_N, questions.key_N, questions.action_N)
    )
    at, after, before = map(int, questions.window_NK[n])
    program = {key: action} if action >= 0 else {}
    if rival >= 0:
        program = _with_rival(rules, program, key, rival)
    tokenizer = rules.tokenizer
    begin, separator, stop = tokenizer.configuration, tokenizer.separator, tokenizer.stop
    ends = (begin, separator), (separator, stop), (stop, stop)
    context = previous, newest, at, after, before
    gone: list[int] = (
        np.flatnonzero(rules.right == 1).tolist() if key < 0 else []
    )  # a rule that led the head out of sight
    for (steps, (left, right)), acted in product(enumerate(ends), [action, *gone]):
        for cells in _tapes(rules, (before, at, after)):
            key_M = rules.key(rules.head(*cells.T))
            fits_M = key_M == key if key >= 0 else (key_M >= 0) | (acted < 0)
            found_M = fits_M & _meets(rules, cells, left, right, np.where(fits_M, acted, -1), context)
            for tape, own in zip(cells[found_M], key_M[found_M], strict=True):
                whole = {**program, int(own): acted} if acted >= 0 else {**program}
                made = _from_the_start(rules, whole, list(map(int, tape)), steps)
                if made is not None:
                    return made
    return None


def _with_rival(rules: Rules, program: dict[int, int], key: int, rival: int) -> dict[int, int]:
    """The program with the token `rival`, where a program can have both."""
    K, A = len(rules.keys), len(rules.actions)
    if rival < K * A:  # an action after its key
        return {**program, rival // A: rival % A} if rival // A != key else program
    before, name = divmod(rival - K * A, K)  # a key after an action, or after `<`
    free = next((k for k in range(K) if k not in (key, name)), None)
    if (name == key and not program) or free is None:
        return program
    named = {name: program.get(name, 0)}
    if before == A:
        return {**named, **program}
    return {**{k: a for k, a in program.items() if k != name}, free: before, **named}


def _tapes(rules: Rules, window: tuple[int, int, int]) -> Iterator[Ints]:
    """Short tapes that have the cells of the window side by side: arrays (M, n)."""
    inside = [token for token in window if rules.symbol[token] >= 0]
    heads = np.concatenate([rules.heads.reshape(-1), rules.grown])
    for length in range(max(1, len(inside)), _CELLS + 1):
        for where in range(length - len(inside) + 1):
            parts: list[list[int]] = [[*rules.cells] for _ in range(length)]
            for i, token in enumerate(inside):
                parts[where + i] = [token]
            if any(rules.state[token] >= 0 for token in inside):
                yield np.array(list(product(*parts)))
                continue
            free = [i for i in range(length) if not where <= i < where + len(inside)]
            for i in free:  # the head stands at one of the others
                yield np.array(list(product(*parts[:i], heads, *parts[i + 1 :])))


def _meets(rules: Rules, cells: Ints, left: int, right: int, action_M: Ints, context: tuple[int, ...]) -> Ints:
    """Which of the tapes have the context somewhere: a mask."""
    M, n = cells.shape
    left_M1, right_M1, beyond_M1 = (np.full((M, 1), token) for token in (left, right, NOTHING))
    full = np.concatenate([left_M1, cells, right_M1, beyond_M1], 1)
    previous, newest, at, rows = cells[:, -1], np.full(M, right), np.ones(M, np.int64), np.arange(M)
    grown = rules.is_grown[cells]
    # A head that has left a tape is at an end, and not on the tape that is given.
    legal = ~grown[:, 1:-1].any(1) & ~(grown.any(1) & ((left == rules.tokenizer.configuration) | (n == 1)))
    found = np.zeros(M, bool)
    for _ in range(n + 2):
        before, here, after = (full[rows, np.minimum(at + x, n + 2)] for x in (-1, 0, 1))
        now = np.column_stack([previous, newest, here, after, before])
        found |= (now == np.array(context)).all(1)
        near = rules.head(before, here, after) != NOTHING
        answer = rules.answer(newest, before, here, after, np.where(near, action_M, -1))
        previous, newest = newest, answer
        at = at + ~rules.is_grown[answer] * (at <= n)
    met: Ints = found & legal
    return met


def _from_the_start(rules: Rules, program: dict[int, int], tape: list[int], steps: int) -> Example | None:
    """A program that comes to `tape` after so many steps from one that can be given."""
    K, Q = len(rules.keys), len(rules.grown)
    head = next((i for i, token in enumerate(tape) if rules.state[token] >= 0), None)
    if head is None:
        return None
    key = int(rules.key(np.array(tape[head])))
    state, symbols = int(rules.state[tape[head]]), [int(rules.symbol[token]) for token in tape]
    grown = bool(rules.is_grown[tape[head]])
    if steps and len(tape) == 1 and key in program:
        return None  # after a step there are two cells
    for _ in range(steps if len(tape) > 1 else 0):
        free = next((k for k in range(K) if k not in program and k != key), None)
        if free is None:
            return None
        q, s = divmod(free, len(rules.cells))
        came_right = head > 0 and not (grown and head == 0)
        origin = head - 1 if came_right else head + 1
        if origin >= len(symbols):
            return None
        program[free] = (symbols[origin] * 2 + came_right) * Q + state
        symbols[origin] = s
        if grown:
            del symbols[head]
            origin -= head == 0
        head, state, grown = origin, q, False
    states = [rules.tokenizer.tokens[int(token)].symbol[0] for token in rules.grown]
    text = "".join(map(str, symbols[:head])) + states[state] + "".join(map(str, symbols[head:]))
    names = rules.tokenizer.tokens
    rows = [names[int(rules.keys[k])].symbol + names[int(rules.actions[a])].symbol for k, a in program.items()]
    return Example("".join(rows), text, steps + 1)
