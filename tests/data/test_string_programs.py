"""Random programs that rewrite strings: a split that ignores the names of letters, and rows that match the rules."""

from itertools import permutations

import numpy as np
import pytest

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.string_programs import Programs, Sizes, canonical_hash, draw_programs, draw_split
from ahx.data.programs.writers import vocabulary, writer_of
from ahx.rules.interpreters.markov_interpreter import MarkovInterpreter
from ahx.rules.interpreters.string_interpreter import StringInterpreter
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter

SUBSTITUTION, MARKOV = SubstitutionInterpreter(4, 4), MarkovInterpreter(4, 4)
BOTH = pytest.mark.parametrize("rule", [SUBSTITUTION, MARKOV])


def renamed(programs: Programs, letters: tuple[int, ...]) -> Programs:
    """The same programs, with letter a renamed to letters[a]."""
    to = np.array([*letters, -1])
    return programs._replace(left_NRL=to[programs.left_NRL], right_NRK=to[programs.right_NRK])


def reversed_rules(programs: Programs) -> Programs:
    """The same rules, from the last to the first."""
    order_NR = np.argsort(np.where(programs.has_rule_NR, -np.arange(programs.left_NRL.shape[1]), 99), 1)
    left, right = (np.take_along_axis(x, order_NR[..., None], 1) for x in (programs.left_NRL, programs.right_NRK))
    return programs._replace(
        left_NRL=left, right_NRK=right, final_NR=np.take_along_axis(programs.final_NR, order_NR, 1)
    )


@BOTH
def test_letters_do_not_matter_for_the_split(rule: StringInterpreter) -> None:
    programs = draw_programs(np.random.default_rng(1), 500, Sizes(), rule)
    own = canonical_hash(programs, rule.has_final)
    for letters in permutations(range(4)):
        assert (canonical_hash(renamed(programs, letters), rule.has_final) == own).all()


def test_the_order_of_rules_matters_for_markov_algorithms_only() -> None:
    for rule in (SUBSTITUTION, MARKOV):
        programs = draw_programs(np.random.default_rng(2), 2_000, Sizes(rules=(3, 4)), rule)
        several = programs.select(programs.n_rules_N > 1)
        same = canonical_hash(reversed_rules(several), rule.has_final) == canonical_hash(several, rule.has_final)
        assert same.all() if rule is SUBSTITUTION else same.mean() < 0.01


def test_programs_that_differ_are_told_apart() -> None:
    programs = draw_programs(np.random.default_rng(3), 3_000, Sizes((4, 4), (4, 4)), MARKOV)
    own = canonical_hash(programs, True)
    rules = {tuple(map(bytes, parts)) for parts in zip(*programs[:3], strict=True)}
    assert len(np.unique(own)) > 0.99 * len(rules)
    assert (canonical_hash(programs._replace(final_NR=~programs.final_NR), True) != own).all()


@BOTH
def test_training_and_testing_share_no_program(rule: StringInterpreter) -> None:
    # There are so few programs of two letters and two rules that most come up: none on both sides.
    training, testing = (
        canonical_hash(
            draw_split(np.random.default_rng(4), 5_000, Sizes((2, 2), (1, 2)), rule, testing), rule.has_final
        )
        for testing in (False, True)
    )
    assert len(training) == len(testing) == 5_000
    assert len(np.unique(testing)) > 10
    assert len(np.intersect1d(training, testing)) == 0


@BOTH
def test_no_two_rules_have_the_same_left_side(rule: StringInterpreter) -> None:
    programs = draw_programs(np.random.default_rng(5), 500, Sizes(), rule)
    assert set(programs.n_rules_N.tolist()) == {1, 2, 3, 4}
    for lefts, n in zip(programs.left_NRL, programs.n_rules_N, strict=True):
        assert len({tuple(left) for left in lefts[:n].tolist()}) == n
        assert (lefts[:n, 0] >= 0).all()
        assert (lefts[n:] == -1).all()


@BOTH
def test_rows_are_what_the_rule_writes(rule: StringInterpreter) -> None:
    rng, tokenizer = np.random.default_rng(6), vocabulary(rule)
    maker, shape = writer_of(rule, tokenizer), Runs(runs=3, steps=3, lengths=(0, 7))
    compared = changed = ended = 0
    for row in maker.rows(rng, maker.draw(rng, 60, Sizes(), False), shape):
        assert len(row) <= maker.longest_row(shape)
        program, *runs = np.split(row, np.flatnonzero(row == tokenizer.configuration))
        assert len(runs) == shape.runs
        for run in runs:
            begin, *ends = np.flatnonzero((run == tokenizer.separator) | (run == tokenizer.stop))
            assert ends[-1] == len(run) - 1
            before = tokenizer.decode(run[1:begin])
            given = f"{tokenizer.spell(program.tolist())}|{before}"
            assert tokenizer.encode_input(rule.prompt(given)) == [*program, *run[: begin + 1]]
            for end in ends:
                steps = rule.steps(f"{tokenizer.spell(program.tolist())}|{before}")
                assert tokenizer.encode_steps(steps) == run[begin + 1 : end + 1].tolist()
                after = tokenizer.decode(run[begin + 1 : end])
                compared, changed, ended = compared + 1, changed + (after != before), ended + after.endswith(".")
                before, begin = after, end
    assert compared == 60 * 3 * 3
    assert changed > 200
    assert (ended > 20) == rule.has_final
