"""Beam search against all answers there are, and against greedy decoding."""

import pytest
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.beam_search import beam_search
from ahx.model.decoding import decode
from ahx.model.transformer import Transformer
from ahx.rules.transducer import STOP, Step


@pytest.fixture(scope="module")
def stop(tokenizer: Tokenizer) -> int:
    return tokenizer.encode_steps([Step(STOP)])[0]


def _all_answers(model: Transformer, prompt: list[int], stop: int, limit: int) -> list[tuple[list[int], float]]:
    """Every answer of at most `limit` tokens with its probability in logarithm, the most probable first."""
    going, ended = [([], 0.0)], []
    for _ in range(limit):
        rows = torch.tensor([prompt + answer for answer, _ in going])
        log_BV = model(rows, reference=True)[:, -1].log_softmax(1).tolist()
        longer = [([*a, v], p + q) for (a, p), log_V in zip(going, log_BV, strict=True) for v, q in enumerate(log_V)]
        ended += [answer for answer in longer if answer[0][-1] == stop]
        going = [answer for answer in longer if answer[0][-1] != stop]
    return sorted(ended + going, key=lambda answer: -answer[1])


@torch.inference_mode()
def test_a_beam_as_wide_as_the_space_finds_all_answers(scheme, make_model, tokenizer, stop):
    model, V = make_model(scheme), len(tokenizer)
    prompts, limits = [tokenizer.encode_input(text) for text in ("ABC", "", "CA")], [2, 1, 2]
    width = 1 + (V - 1) * V
    for prompt, limit, found in zip(
        prompts, limits, beam_search(model, prompts, stop, limits, width, width), strict=True
    ):
        expected = _all_answers(model, prompt, stop, limit)
        assert len(found) == len(expected) == (width if limit == 2 else V)
        assert [one.tokens for one in found] == [tokens for tokens, _ in expected]
        assert [one.log_probability for one in found] == pytest.approx([log for _, log in expected], abs=1e-9)


def test_a_beam_of_one_is_greedy_and_rows_do_not_depend_on_each_other(scheme, make_model, tokenizer, stop):
    prompts = [tokenizer.encode_input(text) for text in ("ABC", "", "CABB", "A")]
    for seed in range(3):
        model, limits = make_model(scheme, seed=seed), [9, 3, 0, 12]
        greedy = decode(model, prompts, stop, limits)
        narrow = [found[0] for found in beam_search(model, prompts, stop, limits, 1, 1)]
        assert [one.tokens for one in narrow] == [one.tokens for one in greedy]
        assert [one.log_probability for one in narrow] == pytest.approx([one.log_probability for one in greedy])
        wide = beam_search(model, prompts, stop, limits, 6, 4)
        assert all(len(found) == 4 for found, limit in zip(wide, limits, strict=True) if limit)
        for found, prompt, limit in zip(wide, prompts, limits, strict=True):
            [alone] = beam_search(model, [prompt], stop, limit, 6, 4)
            assert [one.tokens for one in found] == [one.tokens for one in alone]
            assert [one.log_probability for one in found] == sorted((o.log_probability for o in found), reverse=True)


def test_a_probability_is_that_of_the_tokens(make_model, tokenizer, stop):
    model, prompt = make_model(dtype=torch.float32), tokenizer.encode_input("ABC")
    [greedy] = decode(model, [prompt], stop, 9, calibration=2.0)
    with torch.inference_mode():
        log_TV = (model(torch.tensor([prompt + greedy.tokens]), reference=True)[0] / 2.0).log_softmax(1)
    own = [float(log_TV[len(prompt) - 1 + i, token]) for i, token in enumerate(greedy.tokens)]
    assert greedy.log_probability == pytest.approx(sum(own), abs=1e-4)
