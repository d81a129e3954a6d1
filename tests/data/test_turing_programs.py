"""Random Turing machines: a split that ignores names, and runs that match the rule."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.source import ProgramSource
from ahx.data.programs.turing_machines import Machines, Sizes, canonical_hash, draw_machines, draw_split
from ahx.data.programs.writers import vocabulary, writer_of
from ahx.data.split import held_out
from ahx.rules import parse_rule
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

RULE = TuringInterpreter(8, 4)
TOKENIZER = vocabulary(RULE)


def renamed(machines: Machines, states: list[int], symbols: list[int]) -> Machines:
    """The same machines, with state q renamed to states[q] and symbol s to symbols[s]."""
    Q = machines.write_NQS.shape[1]
    to_state, to_symbol = np.array([*states, Q]), np.array(symbols)
    write, move, target, has = (np.empty_like(part) for part in machines[:4])
    at = np.ix_(np.arange(len(write)), to_state[:Q], to_symbol)
    write[at], move[at] = to_symbol[machines.write_NQS], machines.move_NQS
    target[at], has[at] = to_state[machines.target_NQS], machines.has_rule_NQS
    return machines._replace(write_NQS=write, move_NQS=move, target_NQS=target, has_rule_NQS=has)


def test_names_do_not_matter_for_the_split() -> None:
    machines = draw_machines(np.random.default_rng(1), 300, Sizes((2, 4), (2, 4)), 4, 4)
    own = canonical_hash(machines)
    for states in permutations(range(4)):
        for symbols in permutations(range(1, 4)):
            assert (canonical_hash(renamed(machines, list(states), [0, *symbols])) == own).all()


def test_machines_that_differ_are_told_apart() -> None:
    machines = draw_machines(np.random.default_rng(2), 5_000, Sizes((4, 8), (3, 4)), 8, 4)
    assert len(np.unique(canonical_hash(machines))) == 5_000
    moved = machines._replace(move_NQS=-machines.move_NQS)
    assert (canonical_hash(moved) != canonical_hash(machines)).all()


def test_training_and_testing_share_no_machine() -> None:
    training, testing = (
        draw_split(np.random.default_rng(3), 4_000, Sizes((2, 2), (2, 2)), 8, 4, testing=testing)
        for testing in (False, True)
    )
    assert not held_out(canonical_hash(training)).any()
    assert held_out(canonical_hash(testing)).all()
    # There are so few machines of two states and symbols that most come up: none on both sides.
    assert len(np.unique(canonical_hash(training))) > 1_000
    assert len(np.intersect1d(canonical_hash(training), canonical_hash(testing))) == 0


@pytest.mark.parametrize(("states", "symbols"), [(3, 2), (16, 6)])
def test_training_draws_machines_as_large_as_the_interpreter_takes(states: int, symbols: int) -> None:
    writer = writer_of(rule := TuringInterpreter(states, symbols), vocabulary(rule))
    machines = writer.draw(np.random.default_rng(6), 500, writer.training, testing=False)
    assert (machines.n_states_N.max(), machines.n_symbols_N.max()) == (states, symbols)


def test_machines_have_the_size_asked_for() -> None:
    machines = draw_machines(np.random.default_rng(4), 500, Sizes((3, 5), (2, 3)), 8, 4)
    assert set(machines.n_states_N.tolist()) == {3, 4, 5}
    assert set(machines.n_symbols_N.tolist()) == {2, 3}
    assert (machines.has_rule_NQS.any(2).sum(1) <= machines.n_states_N).all()
    assert (machines.has_rule_NQS.any(1).sum(1) <= machines.n_symbols_N).all()
    assert len({tuple(np.flatnonzero(has.any(1))) for has in machines.has_rule_NQS}) > 50  # of all names


@pytest.mark.parametrize("sizes", [Sizes(), Sizes((2, 2), (2, 2))])
def test_rows_are_what_the_rule_writes(sizes: Sizes) -> None:
    rng = np.random.default_rng(5)
    machines = draw_split(rng, 40, sizes, 8, 4, testing=False)
    shape = Runs(runs=3, steps=5, lengths=(1, 4))
    compared = grown = halted = 0
    for row in writer_of(RULE, TOKENIZER).rows(rng, machines, shape):
        program, *runs = np.split(row, np.flatnonzero(row == TOKENIZER.configuration))
        assert len(runs) == shape.runs
        for run in runs:
            marks = np.flatnonzero((run == TOKENIZER.separator) | (run == TOKENIZER.stop))
            assert marks[-1] == len(run) - 1
            written = [TOKENIZER.decode(part[:-1].tolist()) for part in np.split(run[1:], marks)[:-1]]
            again = [old == new for old, new in pairwise(written)]
            assert not any(again[:-1])  # a run ends where nothing changes any more, or after its steps
            assert again[-1] or len(marks) == shape.steps + 1
            halted += again[-1]
            for before, begin, end in zip([0, *marks[:-2]], marks[:-1], marks[1:], strict=True):
                text = TOKENIZER.spell([*program.tolist(), *run[:1].tolist(), *run[before + 1 : begin].tolist()])
                assert TOKENIZER.encode_steps(RULE.steps(text)) == run[begin + 1 : end + 1].tolist()
                compared, grown = compared + 1, grown + (end - begin > begin - before - (not before))
    assert compared > 40 * 3 * 4
    assert grown > 20
    assert halted > 10


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    def batch(seed: int, step: int) -> list[list[int]]:
        return [row.tolist() for row in ProgramSource(RULE, TOKENIZER, 10, Runs(), seed).batch(step, 4)]

    assert batch(0, 3) == batch(0, 3)
    assert batch(0, 3) != batch(0, 4)
    assert batch(0, 3) != batch(1, 3)


def test_training_begins_with_small_machines_and_no_row_is_longer_than_said() -> None:
    samples = ProgramSource(RULE, TOKENIZER, 100, Runs(), 0)

    def longest_program(step: int) -> int:
        return max(int((row == TOKENIZER.configuration).argmax()) for row in samples.batch(step, 64))

    assert longest_program(16) <= 1 + 2 * 4 * 3 < longest_program(17)
    assert max(map(len, samples.batch(50, 400))) <= samples.longest_row


def test_an_input_is_cut_where_its_tokens_end() -> None:
    text = "B1:0LA,A0:1RZ,|01B10"
    assert [TOKENIZER.tokens[n].symbol for n in TOKENIZER.encode_input(RULE.prompt(text))[1:-1]] == [
        "B1:", "0LA,", "A0:", "1RZ,", "|", "0", "1", "B1", "0",
    ]  # fmt: skip
    assert TOKENIZER.spell(TOKENIZER.encode_input(RULE.prompt(text))) == text
    assert parse_rule("turing-interpreter").apply(text) == "0A100"
