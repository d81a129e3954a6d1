"""A model as a function of a few tokens gives the logits that it gives on whole rows."""

import numpy as np
import pytest
import torch

from ahx.data.programs.lookup_task import LookupTask
from ahx.data.programs.program_writer import Runs
from ahx.data.programs.writers import vocabulary, writer_of
from ahx.model.build import configure
from ahx.model.interpreter_certificate import lookup_task
from ahx.model.positions.pattern import whole_rows
from ahx.model.program_function import ProgramFunction, Sensitivity
from ahx.model.transformer import Transformer
from ahx.rules import parse_rule
from ahx.rules.interpreters.interpreter import Interpreter


def row_and_model(
    spec: str = "turing-interpreter; states=3; symbols=2", heads: str = "sscc"
) -> tuple[list[int], Transformer, LookupTask, int, int]:
    """A row of a random program, a random model in float64, and where the program and the first answer begin."""
    rule = parse_rule(spec)
    assert isinstance(rule, Interpreter)
    tokenizer, rng = vocabulary(rule), np.random.default_rng(1)
    writer, task = writer_of(rule, tokenizer), lookup_task(rule, tokenizer)
    programs = writer.draw(rng, 1, writer.usual, testing=False)
    row = list(map(int, writer.rows(rng, programs, Runs(1, 4, (3, 3)))[0]))
    config = configure(
        tokenizer,
        pos="coupled",
        n_layer=2,
        n_head=4,
        n_embd=16,
        block_size=99,
        heads=(heads, "pppp"),
        reads=rule.reads,
        offsets=task.offsets,
    )
    torch.manual_seed(2)
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return row, model.double().eval(), task, row.index(tokenizer.configuration), row.index(tokenizer.separator)


@torch.inference_mode()
@pytest.mark.parametrize(
    "what", [("turing-interpreter; states=3; symbols=2", "sscc"), ("substitution-interpreter; letters=3", "cccc")]
)
def test_it_is_what_the_model_computes(what: tuple[str, str]) -> None:
    row, model, task, bar, first = row_and_model(*what)
    tokens_1T = torch.tensor([row])
    keys_TK = whole_rows(model.config, model.coupling, tokens_1T).windows["c"][0]
    function = ProgramFunction(model, task)
    previous_T = torch.tensor([-1, *row[:-1]])
    found = function.keys_values(function.program_place(previous_T[:bar], tokens_1T[0, :bar]))
    window_TK = torch.where(keys_TK >= 0, tokens_1T[0][keys_TK.clamp_min(0)], -1)[first:]
    x_NC = function.place(previous_T[first:], tokens_1T[0, first:], window_TK)
    weight_NHP = torch.einsum("nhd,phd->nhp", function.queries(x_NC), found.key_MHD).softmax(2)
    logits_NV = function.finish(x_NC, torch.einsum("nhp,phd->nhd", weight_NHP, found.value_MHD))
    torch.testing.assert_close(logits_NV, model(tokens_1T)[0, first:], rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_no_change_of_a_value_costs_more_than_the_bound() -> None:
    _, model, task, _, _ = row_and_model()
    function = ProgramFunction(model, task)
    sensitivity, generator = Sensitivity(function), torch.Generator().manual_seed(3)
    y_NC = torch.randn(500, 16, generator=generator, dtype=torch.float64)
    answer_N = torch.randint(0, model.config.vocab_size, (500,), generator=generator)
    for size in (1e-6, 1e-3, 0.1):
        direction_NC = torch.randn(500, 16, generator=generator, dtype=torch.float64)
        change_NC = size * direction_NC / direction_NC.norm(dim=1, keepdim=True)
        leads = []
        for y in (y_NC, y_NC + change_NC):
            logits_NV = model.score(function.think(y))
            leads.append(logits_NV.gather(1, answer_N[:, None]) - logits_NV)  # over every other token
        lost_N = (leads[0] - leads[1]).amax(1)
        bound_N = sensitivity(y_NC, function.think(y_NC), answer_N, torch.full((500,), size, dtype=torch.float64))
        assert (lost_N <= bound_N).all()
        assert (lost_N / bound_N).max() > 0.001  # a bound that says something
