"""Evaluates a model on programs that it has never seen: errors of single steps, and runs without end."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ahx.data.programs.held_out import HeldOutPrograms
from ahx.data.programs.program_writer import Runs
from ahx.data.programs.writers import vocabulary
from ahx.errors import InputError
from ahx.evaluation.step_errors import StepReport, judge_unseen
from ahx.evaluation.trained import Trained
from ahx.model.sliding import SlidingDecoder
from ahx.rules.interpreters.interpreter import BAR, Interpreter

_GROWTH = 4  # a step writes fewer than this many times the tokens of the previous one
_STREAM = tuple(b"interpreting")  # a separate stream of random numbers


def interpreter_of(trained: Trained) -> Interpreter:
    """The interpreter that a model has learnt. Raises InputError where it has learnt another rule."""
    if not isinstance(trained.rule, Interpreter):
        raise InputError(f"{trained.folder} is not an interpreter; train one with: ahx train --rule turing-interpreter")
    trained.expect(vocabulary(trained.rule))
    return trained.rule


def judge_steps(
    trained: Trained, sizes: Any, shape: Runs, n: int, seed: int, n_mistakes: int = 1, decode: bool = False
) -> StepReport:
    """Every step of `n` programs of the split that training never sees, in runs of `shape`.

    `sizes` are those of the program's kind: `turing_machines.Sizes`, `string_programs.Sizes`.
    """
    unseen = HeldOutPrograms(interpreter_of(trained), trained.tokenizer, sizes, shape)
    rng = np.random.default_rng((seed, *_STREAM, *sizes[0], *sizes[1], *shape.lengths))
    return judge_unseen(trained, unseen, n, rng, n_mistakes, decode)


class Runaway(Exception):
    """The model does not end a configuration."""


@torch.inference_mode()
def interpret(trained: Trained, program: str, configuration: str) -> Iterator[str]:
    """The configurations that the model writes after `configuration`, one after the other, without end.

    Greedy decoding, token by token, each fed back to the model; see `ahx.model.sliding` for what is cached. Leaves
    torch with one thread. Raises Runaway when the model writes much more than any next configuration has.
    """
    torch.set_num_threads(1)  # two threads for 256 numbers wait for each other: 30 times slower on a busy processor
    tokenizer = trained.tokenizer
    prompt = tokenizer.encode_input(interpreter_of(trained).prompt(f"{program}{BAR}{configuration}"))
    try:
        decoder = SlidingDecoder(trained.model, prompt)
    except ValueError as error:
        raise InputError(f"{trained.folder} cannot run without end: {error}; `ahx eval` judges it") from None
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
        if len(written) > _GROWTH * before + 8:
            raise Runaway(tokenizer.decode(written))
