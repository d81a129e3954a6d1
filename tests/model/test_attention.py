"""The fast paths of attention against the plain ones, and the whole model against plain matrix products."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ahx.model.config import TransformerConfig
from ahx.model.fast_path import global_attention, windowed_attention
from ahx.model.positions.pattern import causal
from ahx.model.transformer import Transformer, attend, window_mask


def _logits_and_gradients(model: Transformer, tokens_BT: Tensor, reference: bool) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    logits_BTV = model(tokens_BT, reference=reference)
    weight_BTV = torch.randn(logits_BTV.shape, generator=torch.Generator().manual_seed(1)).to(logits_BTV.dtype)
    (logits_BTV * weight_BTV).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logits_BTV.detach(), gradients


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-3)])
def test_the_fast_path_is_the_reference_path(scheme, dtype, tolerance, make_model, make_rows, pad):
    model, tokens_BT = make_model(scheme, dtype=dtype), pad(make_rows(4))
    fast, fast_gradients = _logits_and_gradients(model, tokens_BT, False)
    plain, plain_gradients = _logits_and_gradients(model, tokens_BT, True)
    assert fast.std() > 0.1  # not trivially equal
    torch.testing.assert_close(fast, plain, rtol=tolerance, atol=tolerance)
    assert fast_gradients.keys() == plain_gradients.keys() == dict(model.named_parameters()).keys()
    for name, gradient in fast_gradients.items():
        torch.testing.assert_close(gradient, plain_gradients[name], rtol=tolerance, atol=tolerance * 10, msg=name)


@pytest.mark.parametrize("T", [2, 7, 8, 15, 16, 17, 31, 32, 40])
def test_global_attention_of_rows_of_any_length(T):
    """Keys that fill the processor's vectors are added where it pays; no query sees them."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, T, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3))
    answers = [global_attention(q, k, v, None), attend(q, k, v, causal(q, k))]
    torch.testing.assert_close(*answers, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(answers[0])
    fast, plain = (torch.autograd.grad((answer * weight).sum(), (q, k, v)) for answer in answers)
    torch.testing.assert_close(fast, plain, rtol=1e-11, atol=1e-11)


def test_no_token_sees_what_comes_after_it(scheme, make_model, make_rows, pad):
    model, tokens_BT = make_model(scheme), pad(make_rows(3, n_output=12))
    changed_BT = tokens_BT.clone()
    changed_BT[:, 7:] = (changed_BT[:, 7:] + 5) % model.config.vocab_size
    torch.testing.assert_close(model(tokens_BT)[:, :7], model(changed_BT)[:, :7], rtol=1e-10, atol=1e-10)


def test_gradients_of_windowed_attention():
    torch.manual_seed(0)
    B, T, H, D, K = 2, 4, 2, 3, 3
    q, k, v = (torch.randn(B, T, H, D, dtype=torch.float64, requires_grad=True) for _ in range(3))
    bias_HK = torch.randn(H, K, dtype=torch.float64, requires_grad=True)
    keys_BTK = torch.tensor(
        [
            [[0, -1, -1], [1, 0, -1], [0, 2, 1], [3, -1, 0]],
            [[4, -1, -1], [4, 5, -1], [6, 5, 4], [5, 6, 7]],
        ]  # the second row's
    )
    assert torch.autograd.gradcheck(lambda *x: windowed_attention(*x[:3], keys_BTK, x[3]), (q, k, v, bias_HK))
    plain = attend(q, k, v, window_mask(torch.where(keys_BTK < 0, -1, keys_BTK % T), bias_HK, T))
    torch.testing.assert_close(windowed_attention(q, k, v, keys_BTK, bias_HK), plain, rtol=1e-12, atol=1e-12)


def test_a_window_attends_to_its_keys_and_to_nothing_else():
    """One head, one channel, equal scores: the answer is the mean of the values that the window names."""
    values = torch.tensor([1.0, 10.0, 100.0])
    q, k, v = torch.zeros(1, 3, 1, 1), torch.zeros(1, 3, 1, 1), values.view(1, 3, 1, 1)
    keys_BTK = torch.tensor([[[0, -1], [-1, 0], [2, 0]]])
    answer = windowed_attention(q, k, v, keys_BTK, torch.zeros(1, 2))
    assert answer.flatten().tolist() == [1.0, 1.0, 50.5]


def test_learned_model_equals_plain_matrix_products():
    torch.manual_seed(0)
    config = TransformerConfig(vocab_size=7, block_size=9, n_layer=2, n_head=2, n_embd=6, pos="learned")
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    model = model.double().eval()
    w = model.state_dict()
    tokens = [3, 1, 4, 1, 5, 0, 2, 6]

    def norm(x: Tensor, gain: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        return centred / (centred.pow(2).mean(1, keepdim=True) + 1e-5).sqrt() * gain

    def attention(x: Tensor, layer: str) -> Tensor:
        queries, keys, values = (x @ w[f"{layer}.attention.qkv.weight"].T).split(6, dim=1)
        heads = []
        for a in (0, 3):  # a head owns three channels
            q, k, v = (y[:, a : a + 3] for y in (queries, keys, values))
            mixed = []
            for t in range(len(x)):
                weight = (k[: t + 1] @ q[t] / math.sqrt(3)).exp()
                mixed.append((weight / weight.sum()) @ v[: t + 1])
            heads.append(torch.stack(mixed))
        return torch.cat(heads, dim=1) @ w[f"{layer}.attention.out.weight"].T

    def feed_forward(x: Tensor, layer: str) -> Tensor:
        wide = x @ w[f"{layer}.feed_forward.widen.weight"].T
        bent = wide * 0.5 * (1 + torch.erf(wide / math.sqrt(2)))
        return bent @ w[f"{layer}.feed_forward.narrow.weight"].T

    x = w["tokens.weight_FC"][tokens] + w["positions.weight"][: len(tokens)]
    for layer in ("blocks.0", "blocks.1"):
        x = x + attention(norm(x, w[f"{layer}.norm_attention.weight"]), layer)
        x = x + feed_forward(norm(x, w[f"{layer}.norm_feed_forward.weight"]), layer)
    expected = norm(x, w["norm.weight"]) @ w["head.weight_FC"].T
    torch.testing.assert_close(model(torch.tensor([tokens]))[0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reference", [False, True])
def test_scored_places_are_rows_of_the_whole(scheme, reference, make_model, make_rows, pad):
    model, tokens_BT = make_model(scheme), pad(make_rows(3))
    places_R = torch.tensor([2, 5, tokens_BT.shape[1] + 1])
    whole_BTV = model(tokens_BT, reference=True)
    torch.testing.assert_close(model(tokens_BT, places_R, reference), whole_BTV.flatten(0, 1)[places_R])


def test_a_new_model_holds_every_token_equally_likely():
    model = Transformer(TransformerConfig(vocab_size=5))
    assert F.softmax(model(torch.tensor([[1, 2, 3]])), dim=2).flatten().tolist() == pytest.approx([0.2] * 15)


def test_tokens_with_a_common_feature_share_what_is_learnt():
    config = TransformerConfig(vocab_size=3, features=((0, 1), (0, 2), (3, 2)))
    model = Transformer(config)
    table_VC, weight_FC = model.tokens.table(), model.tokens.weight_FC
    torch.testing.assert_close(table_VC[1], weight_FC[0] + weight_FC[2])
    table_VC[1].sum().backward()
    assert weight_FC.grad is not None
    assert weight_FC.grad[:, 0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_dropout_acts_in_training_only():
    model = Transformer(TransformerConfig(vocab_size=9, dropout=0.5))
    torch.nn.init.normal_(model.head.weight_FC)
    tokens_BT = torch.tensor([[1, 2, 3, 4]])
    assert not torch.equal(model(tokens_BT), model(tokens_BT))
    model.eval()
    assert torch.equal(model(tokens_BT), model(tokens_BT))


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"n_embd": 10, "n_head": 4}, "n_embd (10) must be a multiple of n_head (4)"),
        ({"heads": ("gggg",)}, "heads 'gggg' must be 2 words of 4 letters"),
        ({"heads": ("ggg", "gggg")}, "heads 'ggg/gggg' must be 2 words of 4 letters"),
        ({"heads": ("gggx", "gggg")}, "'x' is not a kind of head; use the letters g, s, c and p"),
        ({"heads": ("cggg", "gggg")}, "coupled heads and program heads need a token table"),
    ],
)
def test_a_wrong_shape_is_refused(choices, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole sentence is compared
        TransformerConfig(vocab_size=5, **choices)
    assert str(error.value) == sentence


def test_rows_beyond_learned_positions_are_refused():
    model = Transformer(TransformerConfig(vocab_size=5, block_size=4, pos="learned"))
    with pytest.raises(ValueError, match="a row of 5 tokens is longer than block_size 4"):
        model(torch.zeros(1, 5, dtype=torch.long))
