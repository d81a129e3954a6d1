"""What is forgotten while decoding without end changes nothing."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ahx.data.programs.program_writer import Runs
from ahx.data.programs.turing_machines import Sizes, draw_split
from ahx.data.programs.writers import vocabulary, writer_of
from ahx.data.tokenizer import Tokenizer
from ahx.model.build import configure
from ahx.model.sliding import SlidingDecoder
from ahx.model.transformer import Transformer
from ahx.rules.interpreters.markov_interpreter import MarkovInterpreter
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

MakeModel = Callable[..., Transformer]
MakeRows = Callable[..., list[list[int]]]

RULE, MARKOV = TuringInterpreter(3, 2), MarkovInterpreter(3, 2)
TOKENIZER = vocabulary(RULE)


def model(heads: tuple[str, ...] = (), tokenizer: Tokenizer = TOKENIZER) -> Transformer:
    torch.manual_seed(0)
    config = configure(tokenizer, pos="coupled", n_layer=2, n_head=4, n_embd=16, block_size=0, heads=heads)
    made = Transformer(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return made.double().eval()


def agree(own: Transformer, tokens: list[int], begin: int) -> int:
    """Every token's logits are those of the whole row. Returns how many tokens there was room for in the end."""
    decoder = SlidingDecoder(own, tokens[:begin])
    with torch.inference_mode():
        whole = own(torch.tensor([tokens]))[0]
    for at in range(begin, len(tokens)):
        torch.testing.assert_close(torch.from_numpy(decoder.logits_V), whole[at - 1])
        decoder.write(tokens[at])
    return decoder.room


@pytest.mark.parametrize("heads", [("sccc", "ccpp"), ("cpsc", "pscp")])
def test_a_window_that_slides_gives_the_logits_of_the_whole_row(heads: tuple[str, ...]) -> None:
    own, rng = model(heads), np.random.default_rng(0)
    machines = draw_split(rng, 3, Sizes((2, 3), (2, 2), missing=(0.0, 0.0)), 3, 2, testing=False)
    for row in writer_of(RULE, TOKENIZER).rows(rng, machines, Runs(2, 20, (2, 6))):
        tokens = row.tolist()
        assert agree(own, tokens, tokens.index(TOKENIZER.separator) + 1) < len(tokens) // 2


def test_silent_walks_over_a_string_are_forgotten_too() -> None:
    tokenizer, rng = vocabulary(MARKOV), np.random.default_rng(0)
    own, maker = model(("sccc", "cppp"), tokenizer), writer_of(MARKOV, tokenizer)
    assert own.coupling is not None
    assert own.coupling.start_right
    for row in maker.rows(rng, maker.draw(rng, 3, maker.usual, False), Runs(2, 20, (4, 6))):
        agree(own, row.tolist(), row.tolist().index(tokenizer.separator) + 1)


@pytest.mark.parametrize("start_right", [False, True])
def test_wrong_moves_and_silent_steps_are_followed_too(
    make_model: MakeModel, make_rows: MakeRows, start_right: bool
) -> None:
    own = make_model("coupled")
    assert own.coupling is not None
    own.coupling.start_right = start_right
    for row in make_rows(4, n_output=300):
        agree(own, row, 1)


def test_heads_that_see_everything_cannot_slide() -> None:
    with pytest.raises(ValueError, match="coupled, sequence and program heads only"):
        SlidingDecoder(model(("sccg", "ccpp")), TOKENIZER.encode_input(RULE.prompt("A0:1RB,|0A0")))
