"""Writing one token at a time, with what was computed before kept, against computing everything anew each time."""

import pytest
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.decoding import Decoder, generate
from ahx.model.transformer import Transformer
from ahx.rules.transducer import STOP, Step


def _write_anew(model: Transformer, prompt: list[int], stop: int, limit: int) -> list[int]:
    """Greedy decoding without any memory."""
    row = list(prompt)
    with torch.inference_mode():
        while len(row) < len(prompt) + limit:
            row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
            if row[-1] == stop:
                break
    return row[len(prompt) :]


@pytest.fixture(scope="module")
def stop(tokenizer: Tokenizer) -> int:
    return tokenizer.encode_steps([Step(STOP)])[0]


@pytest.fixture(scope="module")
def prompts(tokenizer: Tokenizer) -> list[list[int]]:
    return [tokenizer.encode_input(text) for text in ("ABCAB", "", "C", "BACCABA", "AB", "CC")]


def test_remembered_equals_computed_anew(scheme, make_model, make_rows, pad):
    """Rows of different lengths go on, each at its own end, with given tokens; the logits agree at every step."""
    model, rows = make_model(scheme), make_rows(5, n_output=14)
    lengths = [row.index(2) + 1 + i for i, row in enumerate(rows)]  # the prompts, some with a part of the output
    rows = [row + [20 + i] * 6 for i, row in enumerate(rows)]
    with torch.inference_mode():
        decoder = Decoder(model, len(rows), 40)
        prompts = [row[:length] for row, length in zip(rows, lengths, strict=True)]
        logits_BV = decoder.start(pad(prompts), torch.tensor(lengths))
        kept = list(range(len(rows)))
        for count in range(6):
            for logits_V, i in zip(logits_BV, kept, strict=True):
                expected = model(torch.tensor([rows[i][: lengths[i] + count]]), reference=True)[0, -1]
                torch.testing.assert_close(logits_V, expected, rtol=1e-10, atol=1e-10, msg=f"row {i}, token {count}")
            if count == 2:  # rows can be dropped on the way
                decoder.keep(torch.tensor([0, 2, 4]))
                kept = [0, 2, 4]
            logits_BV = decoder.step(torch.tensor([rows[i][lengths[i] + count] for i in kept]))


def test_greedy_writing_equals_writing_anew(scheme, make_model, prompts, stop):
    prompts = [*prompts, prompts[0][:1]]  # one token is a prompt too
    for seed in range(3):
        model = make_model(scheme, seed=seed)
        limits = [12, 3, 12, 1, 0, 7, 5]
        expected = [_write_anew(model, p, stop, n) for p, n in zip(prompts, limits, strict=True)]
        assert generate(model, prompts, stop, limits) == expected
        assert generate(model, prompts[-1:], stop, limits[-1:]) == expected[-1:]


def test_writing_ends_with_the_stop_token(make_model, prompts):
    """Whatever the model writes third becomes the stop token: nothing comes after it, nor before it goes on."""
    model = make_model()
    free = generate(model, prompts, -1, 10)
    for row, written in enumerate(free):
        assert len(written) == 10
        stop = written[2]
        assert generate(model, [prompts[row]], stop, 10) == [written[: written.index(stop) + 1]]


@pytest.mark.parametrize(("limit", "lengths"), [(0, [0] * 6), (4, [4] * 6), ([1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0])])
def test_writing_ends_at_the_limit(limit, lengths, make_model, prompts):
    assert [len(written) for written in generate(make_model(), prompts, -1, limit)] == lengths


def test_learned_positions_end_at_block_size(make_model, prompts):
    model = make_model("learned", block_size=10)
    written = generate(model, prompts, -1, 50)
    assert [len(p) + len(w) for p, w in zip(prompts, written, strict=True)] == [10] * 6
    assert written == [_write_anew(model, p, -1, 10 - len(p)) for p in prompts]


def test_nothing_to_write(make_model):
    assert generate(make_model(), [], 0, 5) == []


def test_sampling_is_reproducible(make_model, prompts, stop):
    model = make_model()

    def drawn(seed: int, temperature: float = 2.0) -> list[list[int]]:
        return generate(model, prompts, stop, 9, temperature, torch.Generator().manual_seed(seed))

    assert drawn(1) == drawn(1)
    assert len({str(drawn(seed)) for seed in range(5)}) == 5
    assert max(map(len, drawn(1))) <= 9


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-300])
def test_sampling_without_warmth_is_greedy(temperature, make_model, prompts, stop):
    model = make_model(dtype=torch.float32)
    assert generate(model, prompts, stop, 9, temperature) == generate(model, prompts, stop, 9)


def test_samples_follow_the_model(make_model, prompts):
    """The first token of 4,000 samples against softmax(logits / temperature)."""
    model, n, temperature = make_model(), 4_000, 3.0
    with torch.inference_mode():
        expected_V = (model(torch.tensor([prompts[0]]))[0, -1] / temperature).softmax(0)
    drawn = generate(model, [prompts[0]] * n, -1, 1, temperature, torch.Generator().manual_seed(0))
    found_V = torch.bincount(torch.tensor(drawn).flatten(), minlength=len(expected_V)) / n
    assert float((found_V - expected_V).abs().sum()) < 0.1
