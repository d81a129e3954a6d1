"""Heads that see the rules in the prompt, as a model is run: whole rows, the plain reference, token by token."""

import numpy as np
import pytest
import torch

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.turing_machines import Sizes, draw_split
from ahx.data.programs.writers import vocabulary, writer_of
from ahx.data.tokenizer import Tokenizer
from ahx.model.build import configure
from ahx.model.decoding import Decoder, generate
from ahx.model.positions.coupling import PROGRAM, Coupling
from ahx.model.transformer import Transformer
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

RULE = TuringInterpreter(3, 2)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return vocabulary(RULE)


@pytest.fixture(scope="module")
def rows(tokenizer: Tokenizer) -> list[list[int]]:
    rng = np.random.default_rng(0)
    machines = draw_split(rng, 6, Sizes((2, 3), (2, 2)), 3, 2, testing=False)
    return [row.tolist() for row in writer_of(RULE, tokenizer).rows(rng, machines, Runs(2, 3, (1, 4)))]


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(configure(tokenizer, pos="coupled", n_layer=2, n_head=4, n_embd=16, block_size=0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return model.double().eval()


def padded(rows: list[list[int]]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


@torch.inference_mode()
def test_whole_rows_are_computed_as_the_reference_does(model: Transformer, rows: list[list[int]]) -> None:
    assert model.config.heads == ("sccc", "ccpp")
    tokens_BT = padded(rows)
    torch.testing.assert_close(model(tokens_BT), model(tokens_BT, reference=True))


@torch.inference_mode()
def test_no_token_sees_what_comes_after_it(model: Transformer, rows: list[list[int]]) -> None:
    row = torch.tensor(rows[0])
    whole = model(row[None])[0]
    for n in range(1, len(row), 3):
        torch.testing.assert_close(model(row[None, :n])[0], whole[:n])


@torch.inference_mode()
def test_what_a_program_head_sees_is_the_program(model: Transformer, tokenizer: Tokenizer) -> None:
    head = tokenizer.encode_input(RULE.prompt("A0:1RB,|0A0"))
    other = tokenizer.encode_input(RULE.prompt("A0:0LB,|0A0"))
    first, second = (model(torch.tensor([row]))[0] for row in (head, other))
    assert not torch.allclose(first[-1], second[-1])
    assert isinstance(model.coupling, Coupling)
    seen = model.coupling.program(torch.tensor([head])) == 0
    assert seen[0, 0, -1].tolist() == [True, True, True]  # <, A0: and 1RB, which the last token sees
    assert [int(model.coupling.role[number]) == PROGRAM for number in head[:3]] == [False, True, True]


@torch.inference_mode()
def test_token_by_token_is_as_whole_rows(model: Transformer, tokenizer: Tokenizer, rows: list[list[int]]) -> None:
    begin = [row.index(tokenizer.separator) + 1 for row in rows]
    length_B = torch.tensor(begin)
    decoder = Decoder(model, len(rows), max(map(len, rows)))
    logits = [decoder.start(padded([row[:n] for row, n in zip(rows, begin, strict=True)]), length_B)]
    steps = min(len(row) - n for row, n in zip(rows, begin, strict=True))
    for k in range(steps - 1):
        logits.append(decoder.step(torch.tensor([row[n + k] for row, n in zip(rows, begin, strict=True)])))
    for i, (row, n) in enumerate(zip(rows, begin, strict=True)):
        whole = model(torch.tensor([row]))[0]
        for k, logits_BV in enumerate(logits):
            torch.testing.assert_close(logits_BV[i], whole[n - 1 + k])


def test_an_answer_ends_with_one_configuration(model: Transformer, tokenizer: Tokenizer) -> None:
    prompts = [
        tokenizer.encode_input(RULE.prompt(text)) for text in ("A0:1RB,|0A0", "|B1", "A0:1RB,B0:1LA,B1:0RA,|A00110")
    ]
    together = generate(model, prompts, tokenizer.stop, 9)
    assert together == [generate(model, [prompt], tokenizer.stop, 9)[0] for prompt in prompts]
    assert all(tokenizer.stop not in answer[:-1] for answer in together)
