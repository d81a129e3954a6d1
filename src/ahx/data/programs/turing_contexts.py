"""Every question that a model can be asked while it follows a Turing machine, whatever the machine, tape and step.

A token of a configuration depends on the two newest tokens, on the three cells of the window, and on the rule for the
head where one of the three is the head. `questions` walks along all tapes at once: it begins with every way in which a
tape can begin, writes what the rule says, moves the cursor, and takes every cell that may come next into the window,
until nothing new is met. What it meets is all that can be met on any tape, of any length (docs/turing.md).
"""

from typing import NamedTuple

import numpy as np

from ahx.data.programs.turing_writer import TuringWriter
from ahx.data.ragged import Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

NO_RULE = -1  # no rule fits the head, or no head is near
NOTHING = -1  # in a window: beyond the end of the configuration

_PREVIOUS, _NEWEST, _BEFORE, _AT, _AFTER, _ACTION, _SEEN, _FIRST = range(8)  # the columns of a place on a tape


class Questions(NamedTuple):
    """N questions, each a context with what the rule for the head says, and the right answer."""

    previous_N: Ints  # the newest token but one
    newest_N: Ints
    window_NK: Ints  # the cells at the cursor, after it and before it: offsets 0, 1, -1
    key_N: Ints  # the number of the head's key in `Rules.keys`; -1 where no head is near, or it has halted
    action_N: Ints  # the number of the rule's action in `Rules.actions`, or NO_RULE
    answer_N: Ints

    def select(self, which: Ints | slice) -> "Questions":
        """Some of the questions."""
        return Questions(*(part[which] for part in self))

    @property
    def context_NX(self) -> Ints:
        """What a question is about, its action apart."""
        return np.column_stack([self.previous_N, self.newest_N, self.window_NK])


class Rules:
    """The tokens of programs and configurations as tables, and the step that a rule demands."""

    def __init__(self, rule: TuringInterpreter, tokenizer: Tokenizer) -> None:
        writer = TuringWriter(rule, tokenizer)
        self.tokenizer, V = tokenizer, len(tokenizer)
        self.keys, self.actions = writer.key_QS.reshape(-1), writer.action_SMQ.reshape(-1)
        self.cells, self.heads, self.grown = writer.cell_S, writer.head_QS, writer.grown_Q
        (Q, S), (_, moves, targets) = self.heads.shape, writer.action_SMQ.shape
        action = np.arange(len(self.actions))
        self.write, self.right, self.target = action // (moves * targets), action // targets % moves, action % targets
        # What a token is, by its number; one more entry, so that NOTHING (-1) is none of all this.
        self.symbol, self.state = np.full(V + 1, -1), np.full(V + 1, -1)
        self.symbol[self.cells] = np.arange(S)
        self.symbol[self.heads] = np.arange(S)
        self.state[self.heads] = np.arange(Q)[:, None]
        self.symbol[self.grown], self.state[self.grown] = 0, np.arange(Q)
        self.is_grown = np.isin(np.arange(V + 1), self.grown)
        self.halting = Q - 1  # the state Z

    def key(self, token: Ints) -> Ints:
        """The numbers of the keys of heads; -1 for other tokens, and for heads in the state Z."""
        state = self.state[token]
        return np.where((state >= 0) & (state < self.halting), state * len(self.cells) + self.symbol[token], -1)

    def head(self, *near: Ints) -> Ints:
        """The one of these tokens that is a head, or NOTHING."""
        found = np.full(near[0].shape, NOTHING)
        for token in near:
            found = np.where(self.state[token] >= 0, token, found)
        return found

    def answer(self, newest: Ints, before: Ints, at: Ints, after: Ints, action: Ints) -> Ints:
        """The next token. `turing_interpreter.steps` writes a configuration at once; a test holds the two together.

        A head that leaves the tape is written before the last cell that it leaves (left) or behind it (right); that
        it has been written is seen from the newest token.
        """
        tokenizer, state, symbol = self.tokenizer, self.state, self.symbol
        ended = (at == tokenizer.separator) | (at == tokenizer.stop)
        copied = np.where(state[at] >= 0, self.heads[state[at], symbol[at]], at)
        answer = np.where(ended, tokenizer.stop, copied)
        acts, target = action >= 0, self.target[action]
        right, left = acts & (self.right[action] == 1), acts & (self.right[action] == 0)
        answer = np.where(acts & (state[at] >= 0), self.cells[self.write[action]], answer)
        come = (right & (state[before] >= 0) | left & (state[after] >= 0)) & ~ended
        answer = np.where(come, self.heads[target, symbol[at]], answer)
        begins = (state[at] >= 0) & (symbol[before] < 0)  # the head is the first cell
        grows = left & begins | right & ended & (state[before] >= 0)
        answer_N: Ints = np.where(grows & ~self.is_grown[newest], self.grown[target], answer)
        return answer_N


def questions(rule: TuringInterpreter, tokenizer: Tokenizer) -> Questions:
    """All questions, each once."""
    rules = Rules(rule, tokenizer)
    codes = _Codes(len(tokenizer), len(rules.actions))
    new = met = codes.of(_beginnings(rules))
    while len(new):
        new = codes.of(_following(rules, codes, codes.places(new)))
        new = new[met[np.searchsorted(met, new) % len(met)] != new]
        met = np.sort(np.concatenate([met, new]), kind="stable")  # two sorted runs
    place = codes.places(met)
    place[:, [_SEEN, _FIRST]] = 0
    previous, newest, before, at, after, action = codes.places(codes.of(place)).T[:6]
    return Questions(
        previous_N=previous,
        newest_N=newest,
        window_NK=np.column_stack([at, after, before]),
        key_N=rules.key(rules.head(before, at, after)),
        action_N=action,
        answer_N=rules.answer(newest, before, at, after, action),
    )


def _beginnings(rules: Rules) -> Ints:
    """The first place of every tape: the newest token is the one that ended it, the one before that its last cell."""
    tokenizer, parts = rules.tokenizer, []
    symbols, heads = rules.cells, rules.heads.reshape(-1)
    for left, right in (
        (tokenizer.configuration, tokenizer.separator),  # the configuration that is given
        (tokenizer.separator, tokenizer.stop),  # the first that is written
        (tokenizer.stop, tokenizer.stop),  # a later one
    ):
        first = left == tokenizer.configuration
        grown = rules.grown[:0] if first else rules.grown  # a head that has just left the tape it was on
        pairs = [
            (heads, [right], None),  # a tape of one cell
            (np.concatenate([heads, grown]), symbols, symbols),
            (symbols, heads, np.append(symbols, NOTHING)),  # NOTHING: there are two cells, the last is it
            (symbols, grown if left == tokenizer.separator else grown[:0], None),  # it was of one cell, so it was given
            (symbols, symbols, np.concatenate([symbols, heads, grown])),
        ]
        for at, after, last in pairs:
            ends = np.array([NOTHING]) if last is None else last
            at, after, last = (x.reshape(-1) for x in np.meshgrid(at, np.asarray(after), ends, indexing="ij"))
            last = np.where(last != NOTHING, last, np.where(rules.symbol[after] >= 0, after, at))
            place = np.zeros((len(at), 8), np.int64)
            place[:, _PREVIOUS], place[:, _NEWEST], place[:, _BEFORE] = last, right, left
            place[:, _AT], place[:, _AFTER], place[:, _ACTION], place[:, _FIRST] = at, after, NO_RULE, first
            parts.append(_met_head(rules, place, np.maximum(rules.state[at], rules.state[after]) >= 0))
    places = np.concatenate(parts)
    single = (places[:, _AFTER] == tokenizer.stop) & (places[:, _ACTION] != NO_RULE)
    possible: Ints = places[~single]  # a step of a rule makes a tape of two cells at least: one of one cell has halted
    return possible


def _met_head(rules: Rules, place: Ints, met: Ints) -> Ints:
    """Where the head comes into sight, each action that its rule may have, or none."""
    place[:, _SEEN] |= met
    runs = place[met & (rules.key(rules.head(place[:, _AT], place[:, _AFTER])) >= 0)]
    n = len(rules.actions)
    acting = np.repeat(runs, n, 0)
    acting[:, _ACTION] = np.tile(np.arange(n), len(runs))
    return np.concatenate([place, acting])


def _following(rules: Rules, codes: "_Codes", place: Ints) -> Ints:
    """Where the answers at these places lead, with every cell that can come into sight."""
    answer = rules.answer(*(place[:, x] for x in (_NEWEST, _BEFORE, _AT, _AFTER, _ACTION)))
    goes_on = answer != rules.tokenizer.stop
    place, answer = place[goes_on].copy(), answer[goes_on]
    place[:, _PREVIOUS], place[:, _NEWEST] = place[:, _NEWEST], answer
    waits = rules.is_grown[answer]
    stays, place = place[waits], place[~waits]
    place[:, _BEFORE], place[:, _AT], place[:, _AFTER] = place[:, _AT], place[:, _AFTER], NOTHING
    place[rules.head(place[:, _BEFORE], place[:, _AT]) == NOTHING, _ACTION] = NO_RULE  # the head is out of sight
    place = codes.places(codes.of(place))  # many are the same now
    first, seen = place[:, _FIRST] == 1, place[:, _SEEN] == 1
    at_end = rules.symbol[place[:, _AT]] < 0
    last = rules.is_grown[place[:, _AT]]  # a head that left the tape is its last cell
    right = np.where(first, rules.tokenizer.separator, rules.tokenizer.stop)[:, None]
    parts = [
        (at_end, np.array([[NOTHING]])),
        (~at_end & seen, right[~at_end & seen]),
        (~at_end & ~last, rules.cells[None]),
        (~at_end & ~seen, rules.heads.reshape(1, -1)),
        (~at_end & ~seen & ~first, rules.grown[None]),
    ]
    found = [stays]
    for chosen, after in parts:
        after = np.broadcast_to(after, (int(chosen.sum()), after.shape[1]))
        longer = np.repeat(place[chosen], after.shape[1], 0)
        longer[:, _AFTER] = after.reshape(-1)
        found.append(_met_head(rules, longer, rules.state[longer[:, _AFTER]] >= 0))
    return np.concatenate(found)


class _Codes:
    """Places as single numbers."""

    def __init__(self, n_tokens: int, n_actions: int) -> None:
        # The columns begin at NOTHING, NO_RULE, or no.
        self.sizes = [*[n_tokens + 1] * 5, n_actions + 1, 2, 2]
        self.least = np.array([*[-1] * 6, 0, 0])

    def of(self, place_NX: Ints) -> Ints:
        """Each place once, in order."""
        code = np.zeros(len(place_NX), np.int64)
        for size, column, least in zip(self.sizes, place_NX.T, self.least, strict=True):
            code *= size
            code += column - least
        code.sort()
        return code[np.diff(code, prepend=-1) > 0]

    def places(self, code_N: Ints) -> Ints:
        place_NX, rest = np.empty((len(code_N), len(self.sizes)), np.int64), code_N
        for x, size in reversed(list(enumerate(self.sizes))):
            rest, place_NX[:, x] = np.divmod(rest, size)
        place_NX += self.least
        return place_NX
