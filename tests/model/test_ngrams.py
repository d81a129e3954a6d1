"""n-grams: equal neighbours have equal vectors. The tests of all position schemes show that decoding finds them too."""

import pytest
import torch

from ahx.model.config import TransformerConfig
from ahx.model.positions import ngrams
from ahx.model.positions.coupling import TokenTable
from ahx.model.positions.pattern import whole_rows
from ahx.model.transformer import Transformer

TABLE = TokenTable((0, 2, 2, 1, 1, 1), (0, 0, 0, 0, 0, 1))  # padding, <, >, A, B, and C, which moves the cursor


def test_a_token_and_the_one_before_it():
    config = TransformerConfig(vocab_size=9, pos="rope", ngrams=10_000)
    row_T = whole_rows(config, None, torch.tensor([[1, 3, 4, 3, 4, 4]])).grams[0, :, 0].tolist()
    assert row_T[2] == row_T[4]
    assert len(set(row_T)) == 5


def test_symbols_around_the_cursor():
    config = TransformerConfig(
        vocab_size=6, heads=("cc",), n_layer=1, n_head=2, n_embd=8, pos="coupled", table=TABLE, ngrams=100
    )
    model = Transformer(config)
    tokens_BT = torch.tensor([[1, 3, 4, 3, 4, 2, 5, 5, 5]])  # < A B A B > C C C
    _, left, right, both = whole_rows(config, model.coupling, tokens_BT).grams[0].T.tolist()
    assert right[5] == right[7]  # AB
    assert left[6] == left[8]  # AB
    assert both[5] != both[7]  # <AB and BAB
    assert ngrams.shape(config) == (400, 2)


def test_tables_need_the_offsets_next_to_the_cursor():
    with pytest.raises(ValueError, match="n-grams need the offsets -1, 0 and 1"):
        TransformerConfig(vocab_size=6, heads=("cc",), n_layer=1, n_head=2, pos="coupled", table=TABLE, ngrams=9,
                          offsets=(0, 1))  # fmt: skip
