"""What is forgotten while decoding without end changes nothing."""

import numpy as np
import pytest
import torch

from ahx.data.machines import Sizes, draw_split
from ahx.data.programs import RowMaker, Runs, vocabulary
from ahx.model.build import configure
from ahx.model.sliding import SlidingDecoder
from ahx.model.transformer import Transformer
from ahx.rules.interpreter import TuringInterpreter

RULE = TuringInterpreter(3, 2)
TOKENIZER = vocabulary(RULE)


def model(heads: tuple[str, ...] = ()) -> Transformer:
    torch.manual_seed(0)
    config = configure(TOKENIZER, pos="coupled", n_layer=2, n_head=4, n_embd=16, block_size=0, heads=heads)
    made = Transformer(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return made.double().eval()


@torch.inference_mode()
def test_a_window_that_slides_gives_the_logits_of_the_whole_row() -> None:
    own, rng = model(), np.random.default_rng(0)
    machines = draw_split(rng, 3, Sizes((2, 3), (2, 2)), 3, 2, testing=False)
    for row in RowMaker(RULE, TOKENIZER).rows(rng, machines, Runs(1, 30, (2, 6))):
        tokens = row.tolist()
        begin = tokens.index(TOKENIZER.separator) + 1
        decoder = SlidingDecoder(own, tokens[:begin])
        whole = own(torch.tensor([tokens]))[0]
        for at in range(begin, len(tokens)):
            torch.testing.assert_close(decoder.logits_V, whole[at - 1])
            decoder.write(tokens[at])
        assert decoder.memories[0].k_BSHD.shape[1] < len(tokens) // 2


def test_heads_that_see_everything_cannot_slide() -> None:
    with pytest.raises(ValueError, match="coupled, sequence and program heads only"):
        SlidingDecoder(model(("sccg", "ccpp")), TOKENIZER.encode_input("A0:1RB,|0A0"))
