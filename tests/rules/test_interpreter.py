"""The interpreter of Turing machines against the rule `turing`, and errors for invalid programs."""

import random
import re

import pytest

from ahx.errors import InputError
from ahx.rules import parse_rule
from ahx.rules.interpreters.turing_interpreter import BAR, TuringInterpreter, program_of, read_machine
from ahx.rules.presets import presets
from ahx.rules.transducer import NEXT, written

INTERPRETER = parse_rule("turing-interpreter")


@pytest.mark.parametrize("name", ["bb3", "bb4", "bb5"])
def test_a_machine_in_the_prompt_does_what_the_rule_of_the_machine_does(name: str) -> None:
    standard = presets()[name].text.removeprefix("turing: ")
    rules = program_of(read_machine(standard)).split(",")[:-1]
    random.Random(name).shuffle(rules)
    program = "".join(rule + "," for rule in rules) + BAR
    expected = parse_rule(f"{name}; steps=60").trace("A0")
    for before, after in zip(expected, [*expected][1:], strict=False):
        assert INTERPRETER.apply(program + before) == after


def test_without_a_rule_that_fits_the_configuration_stays() -> None:
    assert INTERPRETER.apply("A0:1RZ,|1A1") == "1A1"
    assert INTERPRETER.apply("A0:1RZ,|A0") == "1Z0"
    assert INTERPRETER.apply("A0:1RZ,|1Z0") == "1Z0"


def test_the_cursor_waits_where_the_tape_grows() -> None:
    program = "A0:1RB,B0:2LA,|"
    for configuration in ("A0", "1A0", "B0", "1B0", "B01", "0A011"):
        steps = INTERPRETER.steps(program + configuration)
        assert steps[-1].symbol == NEXT
        assert written(steps[:-1]) == INTERPRETER.apply(program + configuration)
        assert sum(step.move for step in steps) == len(configuration) - 1  # the letter is no cell of its own


def test_its_text_reads_back() -> None:
    for spec in ("interpreter: turing", "interpreter: turing; states=3; symbols=2"):
        assert parse_rule(parse_rule(spec).spec) == parse_rule(spec)
        assert isinstance(parse_rule(spec), TuringInterpreter)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A0:1RB,A0", "A0:1RB,A0"),
        ("A0:1RB|A0", "A0:1RB"),
        ("A0:1RB,|A", "'A'"),
        ("A0:1RB,|A0B0", "'A0B0'"),
        ("A0:1RB,A0:1LB,|A0", "state A on 0"),
        ("A0:1RI,|A0", "'I'"),
        ("A0:1RB,|A4", "'4'"),
    ],
)
def test_what_is_no_program_is_named(text: str, named: str) -> None:
    with pytest.raises(InputError, match=re.escape(named)):
        INTERPRETER.apply(text)


@pytest.mark.parametrize("spec", ["interpreter: tag", "interpreter: turing; states=17", "interpreter: A -> B"])
def test_an_interpreter_of_something_else_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="cannot read the rule"):
        parse_rule(spec)


def test_a_machine_in_another_form_is_refused() -> None:
    with pytest.raises(InputError, match="standard format"):
        read_machine("A -> B")
