"""The error rate of an interpreter on single steps of programs that it has never seen, with a confidence bound.

A row is a program and some runs: configuration after configuration. Each step of a run is judged by itself, after the
right steps before it. The model is right if it prefers the right token at every position of the step, for then decoding
writes exactly these. The kind of program does not matter here.
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch

from ahx.data.programs.held_out import Drawn
from ahx.data.programs.program_writer import Tokens
from ahx.data.split import Hashes
from ahx.data.tokenizer import Tokenizer
from ahx.evaluation.trained import Trained
from ahx.evaluation.writing import token_limit, write
from ahx.model.batches import by_length, to_batch
from ahx.model.bounds import upper_bound
from ahx.model.scoring import margins
from ahx.rules.interpreters.interpreter import BAR

_TOKENS_AT_ONCE = 400_000


class Unseen(Protocol):
    """Programs that training has never seen, such as `ahx.data.programs.held_out.HeldOutPrograms`."""

    usual_tokens: int

    def draw(self, rng: np.random.Generator, n: int) -> Drawn: ...


class Mistake(NamedTuple):
    """A step that the model got wrong: the program, the configuration, the right next one, and the model's."""

    program: str
    before: str
    expected: str
    got: str


@dataclass
class StepReport:
    """Errors of single steps."""

    steps: int = 0
    errors: int = 0
    margin: float = math.inf  # the least lead of a right token's logit; infinite if none was measured
    seconds: float = 0.0  # for the verdicts, without drawing programs
    mistakes: list[Mistake] = field(default_factory=list)  # the first ones
    canonical_hash: list[Hashes] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """The error rate of a step is below this, with 95 % confidence."""
        return upper_bound(self.errors, self.steps)

    @property
    def programs(self) -> int:
        """How many programs there were; those that are equal up to renaming count once."""
        return len(np.unique(np.concatenate(self.canonical_hash))) if self.canonical_hash else 0


def merged(reports: Iterable[StepReport]) -> StepReport:
    """Several reports as one."""
    result = StepReport()
    for report in reports:
        result.steps += report.steps
        result.errors += report.errors
        result.margin = min(result.margin, report.margin)
        result.seconds += report.seconds
        result.mistakes += report.mistakes
        result.canonical_hash += report.canonical_hash
    return result


def judge_unseen(
    trained: Trained, unseen: Unseen, n: int, rng: np.random.Generator, n_mistakes: int = 1, decode: bool = False
) -> StepReport:
    """Every step of `n` programs, by one pass over the right answers; or decoded token by token, each step by itself.

    The report shows the first `n_mistakes` mistakes.
    """
    add = _decode if decode else _force
    at_once = max(1, min(2048, _TOKENS_AT_ONCE // unseen.usual_tokens))
    report = StepReport()
    while n > 0:
        drawn = unseen.draw(rng, min(n, at_once))
        n -= len(drawn.rows)
        report.canonical_hash.append(drawn.canonical_hash)
        began = time.perf_counter()
        add(report, trained, drawn.rows, n_mistakes)
        report.seconds += time.perf_counter() - began
    return report


@torch.inference_mode()
def _force(report: StepReport, trained: Trained, rows: list[Tokens], n_mistakes: int) -> None:
    model, tokenizer = trained.model, trained.tokenizer
    for group in by_length(np.array([len(row) for row in rows])):
        batch = to_batch([rows[i] for i in group], tokenizer.separator, model.norm.weight.device,
                         restart=tokenizer.configuration)  # fmt: skip
        logits_RV = model(batch.tokens_BT, batch.scored_R).float()
        written_R = logits_RV.argmax(1)
        margin_R = margins(logits_RV, batch.target_R)
        ends_R = batch.target_R == tokenizer.stop
        step_R = ends_R.cumsum(0) - ends_R.long()  # the number of the step that each token belongs to
        wrong = sorted(set(step_R[~(margin_R > 0)].tolist()))  # `not >`, so that NaN is wrong too
        report.steps += int(ends_R.sum())
        report.errors += len(wrong)
        report.margin = min(report.margin, float(margin_R.min()))
        for number in wrong[: max(0, n_mistakes - len(report.mistakes))]:
            own = (step_R == number).nonzero()[:, 0]
            position = int(batch.scored_R[own[0]])  # of the mark before the step
            row = batch.tokens_BT[position // batch.tokens_BT.shape[1]].tolist()
            at = position % batch.tokens_BT.shape[1]
            begin = max(i for i in range(at) if row[i] in _marks(tokenizer))
            report.mistakes.append(
                Mistake(
                    tokenizer.spell(row[: row.index(tokenizer.configuration)]),
                    tokenizer.decode(row[begin + 1 : at]),
                    tokenizer.decode(batch.target_R[own].tolist()),
                    tokenizer.decode(written_R[own].tolist()),
                )
            )


def _decode(report: StepReport, trained: Trained, rows: list[Tokens], n_mistakes: int) -> None:
    tokenizer = trained.tokenizer
    steps = [step for row in rows for step in _steps(tokenizer, row.tolist())]
    inputs = (f"{program}{BAR}{before}" for program, before, _, _ in steps)
    prompts = [tokenizer.encode_input(trained.teacher.prompt(text)) for text in inputs]
    answers = write(trained.model, tokenizer, prompts, [token_limit(0, n_tokens) for _, _, _, n_tokens in steps])
    report.steps += len(steps)
    for (program, before, expected, _), answer in zip(steps, answers, strict=True):
        if answer.text != expected or not answer.stopped:
            report.errors += 1
            if len(report.mistakes) < n_mistakes:
                report.mistakes.append(Mistake(program, before, expected, answer.text))


def _steps(tokenizer: Tokenizer, row: list[int]) -> Iterator[tuple[str, str, str, int]]:
    """For each step of a row: the program, the configuration, the next one, and in how many tokens that is written."""
    marks = [at for at, token in enumerate(row) if token in _marks(tokenizer)]
    program = tokenizer.spell(row[: marks[0]])
    for before, begin, end in zip(marks, marks[1:], marks[2:], strict=False):
        if row[end] == tokenizer.stop:
            yield (
                program,
                tokenizer.decode(row[before + 1 : begin]),
                tokenizer.decode(row[begin + 1 : end]),
                end - begin,
            )


def _marks(tokenizer: Tokenizer) -> tuple[int, int, int]:
    """What ends a configuration, and the program."""
    return tokenizer.configuration, tokenizer.separator, tokenizer.stop
