"""The questions of an interpreter's certificate: none that comes up is missing, and each can be run."""

import numpy as np
import pytest
import torch

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.turing_contexts import Questions, Rules, questions
from ahx.data.programs.turing_examples import example
from ahx.data.programs.turing_machines import Sizes
from ahx.data.programs.turing_writer import TuringWriter
from ahx.data.tokenizer import Tokenizer
from ahx.model.build import token_table, window_offsets
from ahx.model.positions.coupling import Coupling
from ahx.rules import parse_rule
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

Asked = tuple[int, ...]  # the two newest tokens, the window, the action, the answer


class Small:
    def __init__(self) -> None:
        rule = parse_rule("turing-interpreter; states=3; symbols=2")
        assert isinstance(rule, TuringInterpreter)
        self.rule, self.tokenizer = rule, TuringWriter.vocabulary(rule)
        self.rules, self.questions = Rules(rule, self.tokenizer), questions(rule, self.tokenizer)
        self.coupling = Coupling(token_table(self.tokenizer), window_offsets(rule.reads))
        self.known = set(map(tuple, rows(self.questions).tolist()))


@pytest.fixture(scope="module")
def small() -> Small:
    return Small()


def rows(asked: Questions) -> np.ndarray:  # type: ignore[type-arg]
    return np.column_stack([asked.context_NX, asked.action_N, asked.answer_N])


def asked_in(small: Small, row: list[int]) -> list[Asked]:
    """The questions that a row of tokens puts, read off the tokens and the places that the heads of a model look at."""
    tokenizer: Tokenizer = small.tokenizer
    names, keys = tokenizer.tokens, small.coupling.keys(torch.tensor([row]))[0].tolist()
    bar = row.index(tokenizer.configuration)
    program = dict(zip(row[1:bar:2], row[2:bar:2], strict=True))
    found = []
    for place in range(row.index(tokenizer.separator), len(row) - 1):
        window = tuple(row[key] if key >= 0 else -1 for key in keys[place])
        action = -1
        for token in window:
            if token >= 0 and len(symbol := names[token].symbol) == 2 and symbol[0] in "ABC":
                rule = program.get(tokenizer.number(symbol + ":"))
                action = -1 if rule is None else int(np.flatnonzero(small.rules.actions == rule)[0])
        found.append((row[place - 1], row[place], *window, action, row[place + 1]))
    return found


def test_every_question_of_a_run_is_among_them(small: Small) -> None:
    writer, rng = TuringWriter(small.rule, small.tokenizer), np.random.default_rng(3)
    for lengths in ((1, 3), (2, 6), (20, 20)):
        machines = writer.draw(rng, 300, Sizes((2, 3), (2, 2), (0.0, 0.6)), testing=False)
        programs, runs = writer.rules(rng, machines), writer.runs(rng, machines, Runs(1, 6, lengths))
        for own, run in zip(programs, runs, strict=True):
            assert set(asked_in(small, [small.tokenizer.begin, *map(int, own), *map(int, run)])) <= small.known


def test_each_comes_up_in_a_run_that_one_can_make(small: Small) -> None:
    """The list is no longer than it must be."""
    table, rng = rows(small.questions), np.random.default_rng(4)
    for n in rng.integers(0, len(table), 200).tolist():
        shown = example(small.rules, small.questions, n)
        assert shown is not None
        row = small.tokenizer.encode_input(small.rule.prompt(f"{shown.program}|{shown.configuration}"))
        configuration = shown.configuration
        for _ in range(shown.steps):
            row += small.tokenizer.encode_steps(small.rule.steps(f"{shown.program}|{configuration}"))
            configuration = small.rule.apply(f"{shown.program}|{configuration}")
        assert tuple(table[n].tolist()) in asked_in(small, row), shown
