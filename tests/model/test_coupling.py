"""What coupled heads may look at is what the machine behind a rule reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.build import default_heads, token_table, window_offsets
from ahx.model.fast_path import pack
from ahx.model.positions.coupling import Coupling, TokenTable
from ahx.rules.transducer import LEFT_EDGE, NEXT, RIGHT_EDGE, SILENT, STOP, Step, run

Answer = Callable[[str, Sequence[str]], Step]


@dataclass
class Machine:
    """A hand-written transducer that also notes every view it is shown."""

    answer: Answer
    reads: tuple[int, int] = (0, 0)
    start: Literal["left", "right"] = "left"
    views: list[tuple[str, ...]] = field(default_factory=list)

    def step(self, state: str, view: Sequence[str]) -> Step:
        self.views.append(tuple(view))
        return self.answer(state, view)


def _double_a(state: str, view: Sequence[str]) -> Step:
    if view[0] == RIGHT_EDGE:
        return Step(STOP)
    return Step("A", 0, "1") if view[0] == "A" and not state else Step(view[0], 1)


def _reverse(state: str, view: Sequence[str]) -> Step:
    return Step(STOP) if view[0] == LEFT_EDGE else Step(view[0], -1)


def _delete_then_mark(state: str, view: Sequence[str]) -> Step:
    """First pass: B is deleted by a silent step, A is doubled. Second: each cell tells whether its right one is A."""
    _, here, right = view
    if here == RIGHT_EDGE:
        return Step(STOP) if state == "2" else Step(NEXT, 0, "2")
    if state == "2":
        return Step("Y" if right == "A" else "N", 1, "2")
    if here == "B":
        return Step(SILENT, 1)
    return Step(here, 0, "1") if here == "A" and not state else Step(here, 1)


def _twice_from_the_right(state: str, view: Sequence[str]) -> Step:
    """Walks to the left silently, then back with double steps; a second pass reverses what the first wrote."""
    if state == "2":
        return Step(STOP) if view[2] == LEFT_EDGE else Step(view[2], -1, "2")
    if state == "back":
        if view[2] == RIGHT_EDGE:
            return Step(NEXT, 0, "2")
        return Step(view[2], 1 if view[3] == RIGHT_EDGE else 2, "back")
    return Step(SILENT, 1, "back") if view[2] == LEFT_EDGE else Step(SILENT, -1)


MACHINES = {
    "double_a": lambda: Machine(_double_a),
    "reverse": lambda: Machine(_reverse, start="right"),
    "two passes": lambda: Machine(_delete_then_mark, (-1, 1)),
    "two passes from the right": lambda: Machine(_twice_from_the_right, (-2, 3), "right"),
}
TEXTS = ("", "A", "B", "ABBA", "BBB", "AABAB", "CABBAC")


@pytest.mark.parametrize("name", MACHINES)
def test_the_window_shows_what_the_machine_reads(name):
    samples = [(text, list(run(MACHINES[name](), text))) for text in TEXTS]
    tokenizer = Tokenizer.fit(samples, "ABC", MACHINES[name]().start)
    for text, steps in samples:
        machine = MACHINES[name]()
        assert list(run(machine, text)) == steps
        offsets = range(machine.reads[0], machine.reads[1] + 1)
        prompt = tokenizer.encode_input(text)
        row = prompt + tokenizer.encode_steps(steps)
        keys_TK = Coupling(token_table(tokenizer), tuple(offsets)).keys(torch.tensor([row]))[0]
        for number, view in enumerate(machine.views):
            query = len(prompt) - 1 + number  # the token before step `number` is where that step is decided
            for offset, cell, key in zip(offsets, view, keys_TK[query].tolist(), strict=True):
                seen = tokenizer.tokens[row[key]].symbol if key >= 0 else None
                where = f"{text!r}, step {number}, offset {offset}"
                if cell in (LEFT_EDGE, RIGHT_EDGE):
                    assert seen is None or len(seen) > 1, where  # no cell at all, or a boundary token
                else:
                    assert seen == cell, where
                assert key <= query, where
    assert any(step.symbol == NEXT for _, steps in samples for step in steps) == ("passes" in name)


def test_the_edge_beside_the_last_cell_is_seen():
    """An edge is a boundary token where the cursor can stand on it, so that machine and model know when to stop."""
    tokenizer = Tokenizer.fit([("AB", [Step("A", 1), Step("B", 1)])])
    row = torch.tensor([tokenizer.encode_input("AB") + tokenizer.encode_steps([Step("A", 1), Step("B", 1)])])
    keys_TK = Coupling(token_table(tokenizer), (-1, 0, 1)).keys(row)[0]
    #  places      0 <    1 A    2 B    3 >    4 (A, +1)  5 (B, +1)
    assert keys_TK[3:].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, -1]]
    # In the input the cursor is the token's own place, and nothing after it is seen.
    assert keys_TK[:3].tolist() == [[-1, 0, -1], [0, 1, -1], [1, 2, -1]]


@pytest.mark.parametrize("start", ["left", "right"])
@pytest.mark.parametrize("offsets", [(0, 1, -1), (0, -3, 3, 1)])
def test_whole_rows_and_one_token_at_a_time_agree(start, offsets, tokenizer, make_rows, pad):
    """Random rows: several configurations, silent steps, moves far beyond the ends, padding."""
    table = token_table(Tokenizer(tokenizer.tokens, start))
    coupling = Coupling(table, offsets)
    tokens_BT = pad(make_rows(60, seed=3, n_output=24))
    assert int((tokens_BT == tokenizer.encode_steps([Step(NEXT)])[0]).sum()) > 5
    B, T = tokens_BT.shape
    state, keys = coupling.begin(B, T), []
    for t in range(T):
        state, keys_B1K = coupling.advance(state, tokens_BT[:, t], torch.full((B,), t))
        keys.append(keys_B1K)
    whole_BTK = coupling.keys(tokens_BT)
    assert torch.equal(torch.cat(keys, dim=1), whole_BTK)
    assert bool((whole_BTK <= torch.arange(T)[:, None]).all())
    assert bool((whole_BTK[..., 0] >= 0).all())  # offset 0 always finds something: no window is empty


@pytest.mark.parametrize("start", ["left", "right", "queue"])
def test_rows_end_to_end_see_what_they_see_alone(start, tokenizer, make_rows, pad):
    coupling = Coupling(token_table(Tokenizer(tokenizer.tokens, start)), (0, -3, 3, 1))
    tokens_BT = pad(make_rows(60, seed=4, n_output=24))
    places = tokens_BT.flatten().nonzero()[:, 0]
    packed_1N, begin_1N, new_N = pack(tokens_BT, places)
    assert new_N.tolist() == list(range(len(places)))
    alone_NK = coupling.keys(tokens_BT).flatten(0, 1)[places]
    moved_NK = torch.where(alone_NK < 0, -1, alone_NK + begin_1N[0, :, None])
    assert torch.equal(coupling.keys(packed_1N, begin_1N)[0], moved_NK)


def test_a_next_token_does_not_move_the_cursor():
    """As for the machine, whose cursor starts anew after NEXT."""
    table = TokenTable(roles=(0, 2, 2, 1, 1, 2), moves=(0, 0, 0, 0, 1, 1))  # pad < > A (A, +1) (next, +1)
    row = torch.tensor([[1, 3, 2, 4, 5, 4]])
    assert Coupling(table, (0,)).keys(row)[0, :, 0].tolist() == [0, 1, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("reads", "offsets"),
    [((0, 0), (0, 1, -1)), ((-1, 1), (0, 1, -1)), ((0, 3), (0, 1, -1, 2, 3)), ((-2, 2), (0, 1, -1, 2, -2))],
)
def test_windows_cover_what_the_machine_reads(reads, offsets):
    assert window_offsets(reads) == offsets


@pytest.mark.parametrize(
    ("shape", "heads"),
    [((2, 4), ("sccc", "cccc")), ((1, 2), ("sc",)), ((3, 8), ("sscccccc", "cccccccc", "cccccccc"))],
)
def test_default_heads(shape, heads):
    assert default_heads(*shape) == heads
