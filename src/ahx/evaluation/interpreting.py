"""A model that follows Turing machines it has never seen: its errors step by step, and its runs without end."""

from collections.abc import Iterator

import numpy as np
import torch

from ahx.data.machines import Sizes
from ahx.data.programs import HeldOutMachines, Runs
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError
from ahx.evaluation.step_errors import StepReport, judge_unseen
from ahx.evaluation.trained import Trained
from ahx.model.sliding import SlidingDecoder
from ahx.model.transformer import Transformer
from ahx.rules.interpreter import TuringInterpreter

_STREAM = tuple(b"interpreting")  # evaluation draws from a stream of its own


def interpreter_of(trained: Trained) -> TuringInterpreter:
    """The interpreter that a model has learnt. Raises InputError where it has learnt another rule."""
    if not isinstance(trained.rule, TuringInterpreter):
        raise InputError(f"{trained.folder} is no interpreter; train one with: ahx train --rule turing-interpreter")
    return trained.rule


def judge_steps(
    trained: Trained, sizes: Sizes, shape: Runs, n: int, seed: int, n_mistakes: int = 1, decode: bool = False
) -> StepReport:
    """Every step of `n` machines of the split that training never sees, in runs of `shape`."""
    unseen = HeldOutMachines(interpreter_of(trained), trained.tokenizer, sizes, shape)
    rng = np.random.default_rng((seed, *_STREAM, *sizes.states, *sizes.symbols, *shape.lengths))
    return judge_unseen(trained, unseen, n, rng, n_mistakes, decode)


class Runaway(Exception):
    """The model does not end its configuration."""


@torch.inference_mode()
def interpret(model: Transformer, tokenizer: Tokenizer, program: str, configuration: str) -> Iterator[str]:
    """The configurations that the model writes after `configuration`, one after the other, without end.

    Greedy decoding, token by token, each fed back to the model; see `ahx.model.sliding` for what is remembered. Raises
    Runaway when the model writes much more than any next configuration has.
    """
    prompt = tokenizer.encode_input(f"{program}|{configuration}")
    decoder = SlidingDecoder(model, prompt)
    written: list[int] = []
    before = len(prompt)
    while True:
        token = int(decoder.logits_V.argmax())
        decoder.write(token)
        if token == tokenizer.stop:
            yield tokenizer.decode(written)
            before, written = len(written), []
            continue
        written.append(token)
        if len(written) > 2 * before + 8:
            raise Runaway(tokenizer.decode(written))
