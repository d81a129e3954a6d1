"""The questions of the certificate for substitutions: none that comes up is missing, and what is shown comes up."""

import re

import numpy as np
import pytest
import torch

from ahx.data.programs.lookup_task import LookupTask
from ahx.data.programs.program_writer import Runs
from ahx.data.programs.substitution_task import substitution_task
from ahx.data.programs.substitution_writer import SubstitutionWriter
from ahx.data.tokenizer import Tokenizer
from ahx.model.build import token_table
from ahx.model.positions.coupling import Coupling
from ahx.rules import parse_rule
from ahx.rules.interpreters.string_interpreter import LETTER_NAMES
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter

Asked = tuple[int, ...]  # the newest token, the cell at the cursor, the token to fetch, the answer
Small = tuple[SubstitutionInterpreter, Tokenizer, LookupTask]


@pytest.fixture(scope="module")
def small() -> Small:
    rule = parse_rule("substitution-interpreter; letters=3; rules=3")
    assert isinstance(rule, SubstitutionInterpreter)
    tokenizer = SubstitutionWriter.vocabulary(rule)
    return rule, tokenizer, substitution_task(rule, tokenizer)


def table(task: LookupTask) -> np.ndarray:  # type: ignore[type-arg]
    asked = task.questions
    fetched_N = task.tokens_2M[1, asked.fetched_N]
    return np.column_stack([asked.newest_N, asked.window_NK[:, 0], fetched_N, asked.answer_N])


def asked_in(small: Small, row: list[int]) -> list[Asked]:
    """The questions that a row of tokens puts, read off the tokens and the places that the heads of a model look at."""
    _, tokenizer, task = small
    names, keys = tokenizer.tokens, Coupling(token_table(tokenizer), task.offsets).keys(torch.tensor([row]))[0, :, 0]
    program = {names[token].state[:2]: token for token in row[1 : row.index(tokenizer.configuration)]}
    found = []
    for place in range(row.index(tokenizer.separator), len(row) - 1):
        newest, cell = row[place], row[int(keys[place])]
        ended = cell in (tokenizer.separator, tokenizer.stop)
        wanted = "" if ended else names[cell].symbol + (names[newest].state or LETTER_NAMES[0])
        found.append((newest, cell, program.get(wanted, tokenizer.begin), row[place + 1]))
    return found


def test_every_question_of_a_run_is_among_them(small: Small) -> None:
    rule, tokenizer, task = small
    known = set(map(tuple, table(task).tolist()))
    assert len(known) == len(task.questions.answer_N)
    writer, rng, met = SubstitutionWriter(rule, tokenizer), np.random.default_rng(3), set()
    for lengths in ((0, 2), (1, 8)):
        programs = writer.draw(rng, 400, writer.usual, testing=False)
        rules, runs = writer.rules(rng, programs), writer.runs(rng, programs, Runs(1, 3, lengths))
        for own, run in zip(rules, runs, strict=True):
            met |= set(asked_in(small, [tokenizer.begin, *map(int, own), *map(int, run)]))
    assert met <= known
    assert len(met) > 0.7 * len(known)  # the others cannot come up, or hardly ever do


def test_what_is_shown_comes_up(small: Small) -> None:
    rule, tokenizer, task = small
    shown = 0
    for n, question in enumerate(table(task).tolist()):
        options = re.fullmatch(r"--program '(.*)' --tape '(.*)' --steps 1", str(task.example(n, -1)))
        if options is not None:
            text = f"{options[1]}|{options[2]}"
            row = tokenizer.encode_input(rule.prompt(text)) + tokenizer.encode_steps(rule.steps(text))
            assert tuple(question) in asked_in(small, row), (text, question)
            shown += 1
    assert shown > 100
