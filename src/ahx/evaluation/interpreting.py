"""How well a model follows machines it has never seen: step by step beside the machine, or on its own without end."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from ahx.data.machines import Sizes, draw_split, likeness
from ahx.data.programs import RowMaker, Runs, Tokens
from ahx.data.spans import Hashes
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError
from ahx.evaluation.bounds import upper_bound
from ahx.evaluation.trained import Trained
from ahx.model.batches import by_length, to_batch
from ahx.model.sliding import SlidingDecoder
from ahx.model.transformer import Transformer
from ahx.rules.interpreter import TuringInterpreter

_TOKENS_AT_ONCE = 400_000
_STREAM = tuple(b"interpreting")  # evaluation draws from a stream of its own


class Mistake(NamedTuple):
    """A step that the model got wrong: the program, the configuration, the right next one, and the model's."""

    program: str
    before: str
    expected: str
    got: str


@dataclass
class StepReport:
    """Errors of single steps, each asked for after the right ones before it."""

    steps: int = 0
    errors: int = 0
    margin: float = math.inf  # the least lead of a right token's logit
    mistakes: list[Mistake] = field(default_factory=list)  # the first ones
    _machines: list[Hashes] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """The error rate of a step is below this, with 95 % confidence."""
        return upper_bound(self.errors, self.steps)

    @property
    def machines(self) -> int:
        """How many there were, those that are alike but for names counted once."""
        return len(np.unique(np.concatenate(self._machines))) if self._machines else 0


def interpreter_of(trained: Trained) -> TuringInterpreter:
    """The interpreter that a model has learnt. Raises InputError where it has learnt another rule."""
    if not isinstance(trained.rule, TuringInterpreter):
        raise InputError(f"{trained.folder} is no interpreter; train one with: ahx train --rule turing-interpreter")
    return trained.rule


def judge_steps(trained: Trained, sizes: Sizes, shape: Runs, n: int, seed: int, n_mistakes: int = 1) -> StepReport:
    """Every step of `n` machines of the split that training never sees, in runs of `shape`."""
    rule = interpreter_of(trained)
    maker = RowMaker(rule, trained.tokenizer)
    rng = np.random.default_rng((seed, *_STREAM, *sizes.states, *sizes.symbols, *shape.lengths))
    at_once = max(1, min(2048, _TOKENS_AT_ONCE // (shape.runs * (shape.steps + 1) * (shape.lengths[1] + 2))))
    report = StepReport()
    while n > 0:
        machines = draw_split(rng, min(n, at_once), sizes, rule.n_states, rule.n_symbols, testing=True)
        n -= len(machines.n_states_N)
        report._machines.append(likeness(machines))
        _add(report, trained.model, trained.tokenizer, maker.rows(rng, machines, shape), n_mistakes)
    return report


@torch.inference_mode()
def _add(report: StepReport, model: Transformer, tokenizer: Tokenizer, rows: list[Tokens], n_mistakes: int) -> None:
    for group in by_length(np.array([len(row) for row in rows])):
        batch = to_batch([rows[i] for i in group], tokenizer.separator, model.norm.weight.device,
                         restart=tokenizer.configuration)  # fmt: skip
        logits_RV = model(batch.tokens_BT, batch.scored_R).float()
        written_R = logits_RV.argmax(1)
        right_R = logits_RV.gather(1, batch.target_R[:, None])[:, 0]
        logits_RV.scatter_(1, batch.target_R[:, None], float("-inf"))
        margin_R = right_R - logits_RV.amax(1)
        ends_R = batch.target_R == tokenizer.stop
        step_R = ends_R.cumsum(0) - ends_R.long()  # the number of the step that each token belongs to
        wrong = sorted(set(step_R[~(margin_R > 0)].tolist()))  # `not >`, so that what is no number is wrong too
        report.steps += int(ends_R.sum())
        report.errors += len(wrong)
        report.margin = min(report.margin, float(margin_R.min()))
        for number in wrong[: max(0, n_mistakes - len(report.mistakes))]:
            own = (step_R == number).nonzero()[:, 0]
            place = int(batch.scored_R[own[0]])  # of the mark before the step
            row = batch.tokens_BT[place // batch.tokens_BT.shape[1]].tolist()
            at = place % batch.tokens_BT.shape[1]
            marks = (tokenizer.configuration, tokenizer.stop, tokenizer.separator)
            begin = max(i for i in range(at) if row[i] in marks)
            report.mistakes.append(
                Mistake(
                    tokenizer.spell(row[: row.index(tokenizer.configuration)]),
                    tokenizer.decode(row[begin + 1 : at]),
                    tokenizer.decode(batch.target_R[own].tolist()),
                    tokenizer.decode(written_R[own].tolist()),
                )
            )


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
