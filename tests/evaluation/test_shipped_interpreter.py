"""The interpreter of Turing machines that is part of the package: it loads, runs, and is the one that is certified.

`ahx verify`, which proves it again, is run with the examples of the usage.
"""

import itertools
import json
import re

import pytest

from ahx.evaluation.interpreting import interpret
from ahx.evaluation.trained import SHIPPED, Trained, load_trained
from ahx.evaluation.verification import is_certified
from ahx.model import checkpoint
from ahx.model.scoring import score
from ahx.rules import parse_rule
from ahx.rules.families.turing import TuringMachine
from ahx.rules.families.universal_machines import BiTag, neary_woods_64_configuration, neary_woods_64_word
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter, program_of
from entrypoints.main import main


@pytest.fixture(scope="module")
def shipped() -> Trained:
    return load_trained(None, trusted=None)


def test_it_is_small_and_certified(shipped: Trained) -> None:
    assert is_certified(shipped)
    assert sum(parameter.numel() for parameter in shipped.model.parameters()) <= 110_000
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 500_000


def test_it_runs_a_machine_without_any_training(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["interpret", "--machine", "1RB1LB_1LA0LC_1RZ1LD_1RD0RA", "--show", "0", "--require-exact"]
    assert main(words) == 0
    assert "halted after 107 steps: nothing changes 1Z0111111111111; 13 ones" in capsys.readouterr().out


def test_it_runs_a_universal_machine_of_six_states_and_four_symbols(shipped: Trained) -> None:
    letters: list[BiTag] = [("a", 1), ("e", 1)]
    start = neary_woods_64_configuration(1, 2, {(1, 1): (1, 2)}, letters)
    machine = parse_rule("utm64")
    assert isinstance(machine, TuringMachine)
    run = list(itertools.islice(interpret(shipped, program_of(machine.table), start), 146))
    assert run == list(itertools.islice(machine.trace(start), 1, 147))
    before, after = run[-1].split("A")
    program, _ = start.split("A")
    assert before == program + "1111"  # the letter in front has been dealt with
    assert after == neary_woods_64_word(1, 2, letters[::-1])  # and is the last one now


def test_the_worst_question_is_as_hard_as_the_certificate_says(shipped: Trained) -> None:
    certificate = json.loads((SHIPPED / checkpoint.CERTIFICATE).read_text())
    found = re.fullmatch(r"--program '(.+)' --tape (\S+) --steps 1", certificate["least_lead_at"])
    assert found is not None
    program, tape = found.groups()
    rule, tokenizer = shipped.rule, shipped.tokenizer
    assert isinstance(rule, TuringInterpreter)
    text = f"{program}|{tape}"
    row = tokenizer.encode_input(rule.prompt(text)) + tokenizer.encode_steps(rule.steps(text))
    margin = score(shipped.model, [row], tokenizer.separator).margin
    assert margin == pytest.approx(certificate["least_margin"], abs=0.05)
