"""One teacher-forced pass against decoding for real, and against sums done by hand."""

import numpy as np
import pytest
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.batches import by_length, to_batch
from ahx.model.build import configure
from ahx.model.decoding import generate
from ahx.model.scoring import Scores, score
from ahx.model.transformer import Transformer
from ahx.rules.transducer import STOP, Step


def _double_a(text: str) -> list[Step]:
    steps = [step for c in text for step in ([Step("A", 0, "1"), Step("A", 1)] if c == "A" else [Step(c, 1)])]
    return [*steps, Step(STOP)]


def _texts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("AB"), rng.integers(1, 9))) for _ in range(n)]


@pytest.fixture(scope="module", params=["coupled", "learned"])
def half_taught(request: pytest.FixtureRequest) -> tuple[Transformer, Tokenizer]:
    """A model that gets some strings right and some wrong: trained until it makes its first exact answers."""
    tokenizer = Tokenizer.fit([("AB", _double_a("AB"))])
    torch.manual_seed(0)
    model = Transformer(configure(tokenizer, pos=request.param, n_layer=2, n_head=2, n_embd=16, block_size=32))
    rows = [tokenizer.encode_input(text) + tokenizer.encode_steps(_double_a(text)) for text in _texts(64, 1)]
    batch = to_batch(rows, tokenizer.separator)
    for _ in range(400):
        if 0.2 < score(model, rows, tokenizer.separator).exact < 0.8:
            return model, tokenizer
        loss = torch.nn.functional.cross_entropy(model(batch.tokens_BT, batch.scored_R), batch.target_R)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 3e-3 * parameter.grad.sign()
    raise AssertionError("the model never got between 20 % and 80 % of the strings right")


def test_the_verdict_is_that_of_greedy_decoding(half_taught):
    model, tokenizer = half_taught
    stop = tokenizer.encode_steps([Step(STOP)])[0]
    texts = _texts(150, 2)
    prompts = [tokenizer.encode_input(text) for text in texts]
    targets = [tokenizer.encode_steps(_double_a(text)) for text in texts]
    scores = score(model, [p + t for p, t in zip(prompts, targets, strict=True)], tokenizer.separator)
    written = generate(model, prompts, stop, [len(target) for target in targets])
    for row, (target, own) in enumerate(zip(targets, written, strict=True)):
        first_wrong = next((i for i, (a, b) in enumerate(zip(target, own, strict=False)) if a != b), -1)
        assert scores.wrong_N[row] == first_wrong, texts[row]
        assert scores.exact_N[row] == (own == target)
        assert (scores.margin_N[row] > 0) == (own == target)
    assert 0 < scores.exact < 1
    assert scores.exact == scores.exact_N.mean()
    assert scores.margin == scores.margin_N.min()


def test_loss_and_margin_by_hand(tokenizer, make_model, make_rows):
    model, rows = make_model("rope"), make_rows(6)
    scores = score(model, rows, tokenizer.separator)
    for i, row in enumerate(rows):
        begin = row.index(tokenizer.separator)
        logits_TV = model(torch.tensor([row]))[0].tolist()
        losses, margins = [], []
        for t in range(begin, len(row) - 1):
            logits, right = logits_TV[t], row[t + 1]
            losses.append(np.logaddexp.reduce(logits) - logits[right])
            margins.append(logits[right] - max(x for v, x in enumerate(logits) if v != right))
        assert scores.tokens_N[i] == len(losses)
        assert scores.loss_N[i] == pytest.approx(np.mean(losses), rel=1e-5)
        assert scores.margin_N[i] == pytest.approx(min(margins), rel=1e-4)
        assert scores.wrong_N[i] == next((t for t, margin in enumerate(margins) if margin <= 0), -1)
    # The loss of all is taken over tokens, not over rows.
    assert scores.loss == pytest.approx(np.average(scores.loss_N, weights=scores.tokens_N))


def test_company_changes_nothing(scheme, tokenizer, make_model, make_rows):
    """A row's verdict depends neither on its neighbours nor on the padding nor on the order."""
    model, rows = make_model(scheme), make_rows(9)
    together = score(model, rows, tokenizer.separator)
    alone = [score(model, [row], tokenizer.separator) for row in rows]
    backwards = score(model, rows[::-1], tokenizer.separator)
    for part, name in enumerate(Scores._fields):
        np.testing.assert_allclose(np.concatenate([s[part] for s in alone]), together[part], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(backwards[part][::-1], together[part], rtol=1e-5, err_msg=name)


def test_an_undecided_model_is_not_right(tokenizer):
    """Equal logits everywhere: the arg max is some token, but nothing was answered."""
    model = Transformer(configure(tokenizer, pos="none", n_layer=1, n_head=1, n_embd=4, block_size=8))
    scores = score(model, [[tokenizer.begin, tokenizer.separator, 9]], tokenizer.separator)
    assert scores.wrong_N.tolist() == [0]
    assert scores.margin_N.tolist() == [0.0]
    assert scores.loss == pytest.approx(np.log(len(tokenizer)))


def test_scoring_leaves_the_mode_alone(tokenizer, make_model, make_rows):
    model = make_model()
    for training in (True, False):
        model.train(training)
        score(model, make_rows(2), tokenizer.separator)
        assert model.training == training


def test_a_batch_scores_the_output_only(tokenizer):
    rows = [[1, 4, 2, 9, 8], [1, 2, 7], [1, 3, 3, 2, 6, 5]]
    batch = to_batch(rows, separator=2)
    assert batch.tokens_BT.tolist() == [[1, 4, 2, 9, 8, 0], [1, 2, 7, 0, 0, 0], [1, 3, 3, 2, 6, 5]]
    assert batch.scored_R.tolist() == [2, 3, 7, 15, 16]  # row * 6 + place of the token before
    assert batch.target_R.tolist() == [9, 8, 7, 6, 5]
    wide = to_batch(rows, separator=2, length=8)
    assert wide.tokens_BT.shape == (3, 8)
    assert wide.target_R.tolist() == batch.target_R.tolist()


def test_groups_hold_every_row_once_and_are_not_too_large():
    rng = np.random.default_rng(0)
    rows = [[0] * n for n in rng.integers(1, 60, 200)] + [[0] * 500]
    groups = [group.tolist() for group in by_length([len(row) for row in rows], tokens_per_batch=256)]
    assert sorted(i for group in groups for i in group) == list(range(201))
    sizes = [max(len(rows[i]) for i in group) * len(group) for group in groups]
    assert max(sizes[:-1]) <= 256
    assert groups[-1] == [200]  # longer than a batch: on its own
    assert len(groups) < 40
