"""Interpreters of string rules against the rules that their programs spell, and errors for invalid programs."""

import random
import re

import pytest

from ahx.errors import InputError
from ahx.rules import parse_rule
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.transducer import NEXT, written

SUBSTITUTION, MARKOV = parse_rule("substitution-interpreter"), parse_rule("markov-interpreter")


def word(rng: random.Random, least: int, most: int) -> str:
    return "".join(rng.choices("ABCDE", k=rng.randint(least, most)))


@pytest.mark.parametrize("seed", range(40))
def test_a_substitution_in_the_prompt_does_what_the_rule_does(seed: int) -> None:
    rng = random.Random(seed)
    rules = [f"{left}->{word(rng, 0, 3)}" for left in rng.sample("ABCDE", rng.randint(1, 4))]
    text = word(rng, 0, 9)
    expected = parse_rule(", ".join(rule.replace("->", " -> ") for rule in rules)).apply(text)
    rng.shuffle(rules)
    assert SUBSTITUTION.apply(f"{''.join(rule + ',' for rule in rules)}|{text}") == expected


@pytest.mark.parametrize("seed", range(40))
def test_a_markov_algorithm_in_the_prompt_does_what_the_rule_does(seed: int) -> None:
    rng = random.Random(seed)
    lefts = list(dict.fromkeys(word(rng, 1, 2) for _ in range(5)))
    rules = [(left, rng.choice(["->", "->."]), word(rng, 0, 3)) for left in lefts]
    algorithm = "markov: " + ", ".join(" ".join(parts) for parts in rules)
    program = "".join("".join(parts) + "," for parts in rules)
    text = word(rng, 0, 9)
    _, *run = parse_rule(algorithm + "; steps=8").trace(text)
    for expected in run:
        text = MARKOV.apply(f"{program}|{text}")
        assert text.removesuffix(".") == expected
    if len(run) < 8:  # at its end, a run stays there
        assert MARKOV.apply(f"{program}|{text}") == text


def test_a_rule_that_fits_further_to_the_right_may_come_first() -> None:
    assert MARKOV.apply("CC->A,BA->AB,|BACC") == "BAA"
    assert MARKOV.apply("BA->AB,CC->A,|BACC") == "ABCC"


def test_a_final_rule_leaves_a_dot_and_nothing_is_done_behind_one() -> None:
    assert MARKOV.apply("A->.B,|CAA") == "CBA."
    assert MARKOV.apply("A->.B,|CBA.") == "CBA."
    assert MARKOV.apply("A->.,|A") == "."
    assert MARKOV.apply("A->.,|.") == "."


def test_each_step_needs_only_its_state_what_is_at_the_cursor_and_one_rule() -> None:
    """The cursor follows the text: to its left end, and then cell by cell."""
    steps = MARKOV.steps("BA->CCC,|ABAB")
    assert steps is not None
    cursor, seen = 3, []
    for step in steps[:-1]:
        seen.append(cursor)
        cursor += step.move
    assert seen == [3, 2, 1, 0, -1, 0, 1, 1, 1, 3]
    assert cursor == 4  # behind the last cell
    assert steps[-1].symbol == NEXT
    assert written(steps[:-1]) == "ACCCB"


@pytest.mark.parametrize("rule", [SUBSTITUTION, MARKOV])
def test_its_prompt_spells_its_input(rule: Interpreter) -> None:
    text = "A->BC,B->,C->CCC,|ABBA"
    assert "".join(symbol for symbol, _, _ in rule.prompt(text)) == text
    states = [state for _, move, state in rule.prompt(text) if move is None and state]
    assert len(set(states)) == len(states)


def test_final_rules_are_spelt_too() -> None:
    text = "AB->.,C->.CA,|A."
    assert "".join(symbol for symbol, _, _ in MARKOV.prompt(text)) == text


@pytest.mark.parametrize(
    ("rule", "text", "named"),
    [
        (SUBSTITUTION, "A->B|A", "A->B"),
        (SUBSTITUTION, "A->B,A", "'A->B,A' is not a program"),
        (SUBSTITUTION, "A->B,A->C,|A", "'A' has a rule already"),
        (SUBSTITUTION, "AB->C,|A", "up to 1 letters on this side of ->, not 'AB'"),
        (SUBSTITUTION, "A->BBBB,|A", "'BBBB'"),
        (SUBSTITUTION, "A->.B,|A", "only Markov algorithms"),
        (SUBSTITUTION, "A->B,|AX", "not 'X'"),
        (SUBSTITUTION, "A->B,|A.", "not '.'"),
        (MARKOV, "ABA->B,|A", "'ABA'"),
        (MARKOV, "A->F,|A", "the letters ABCDE, not 'F'"),
        (MARKOV, "A->,B->,C->,D->,E->,AA->,|A", "up to 5 rules, not 6"),
    ],
)
def test_what_is_no_program_is_named(rule: Interpreter, text: str, named: str) -> None:
    with pytest.raises(InputError, match=re.escape(named)):
        rule.apply(text)


def test_its_text_reads_back() -> None:
    for spec in ("interpreter: substitution", "interpreter: markov; letters=4; rules=3"):
        assert parse_rule(spec).spec == spec
        assert parse_rule(parse_rule(spec).spec) == parse_rule(spec)
