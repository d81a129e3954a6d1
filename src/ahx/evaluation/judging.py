"""Judges a model: one verdict per sample, and the evidence for it.

A sample is an input and its right output, both strings. The model is right if and only if greedy decoding, given the
input, writes exactly the right output and stops, within a limit of tokens.

Most right answers need no decoding. The teacher turns the sample into the steps that spell the output. If the model,
teacher-forced on these steps, prefers the right one at every position, decoding would write exactly these steps (see
`ahx.model.scoring`), so the model is right, in one pass. The converse does not hold: a model that leaves the teacher's
path may still spell the same string (by moving first and writing later, for example). So every sample that is not
proved right is decoded:

- samples that leave the path, or stay on it by less than rounding (`DOUBTFUL` logits);
- samples without a path: the teacher cannot spell this output (a line of a file that contradicts the rule), or the
  steps are not in the vocabulary.

Verdicts are therefore always those of decoding. A good model is judged at the speed of one pass, a bad one at that of
decoding. Two kinds of sample are wrong without decoding: inputs with symbols that have no token, and rows that are
longer than a learned position scheme allows.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ahx.data.token_rows import FlatRows, Row
from ahx.errors import InputError
from ahx.evaluation.trained import Trained
from ahx.evaluation.writing import token_limit, write
from ahx.model.scoring import DOUBTFUL, score
from ahx.rules.transducer import Step

Pair = tuple[str, str]

#: Why a sample is wrong; if there are several reasons, the first.
REASONS = {
    "alphabet": "the input has a symbol that the model has no token for",
    "block_size": "input and output need more tokens than the model's learned positions (block_size) allow",
    "teacher": "the right output is not what the model was taught to write for this input",
    "vocabulary": "the right output needs a step that the model has no token for",
    "no_stop": "the model did not stop within the limit of new tokens",
    "wrong": "the model wrote another string",
}


class Verdict(NamedTuple):
    """The judgement of one sample."""

    reason: str = ""  # a key of REASONS; empty when the model is right
    got: str | None = None  # what the model wrote; None when it is wrong without decoding
    tokens: int = 0  # output tokens that were teacher-forced; 0 when there was no path, or with decode
    loss: float = 0.0  # their cross-entropy together, in nats
    log_probability: float = -math.inf  # of what the model wrote, in nats
    margin: float = math.inf  # the least lead of the right one over the best other, in logits

    @property
    def probability(self) -> float:
        """Of what the model wrote; 0 where nothing was."""
        return math.exp(min(self.log_probability, 0.0))

    @property
    def right(self) -> bool:
        return not self.reason


class _Question(NamedTuple):
    """A sample in tokens."""

    at: int
    prompt: list[int]
    path: list[int]  # the teacher's steps; empty when there is an obstacle
    limit: int
    obstacle: str  # "teacher", "vocabulary" or none


def judge(
    trained: Trained, pairs: Sequence[Pair], *, decode: bool = False, max_new_tokens: int | None = None
) -> list[Verdict]:
    """The verdict on each of `pairs`. With `decode`, every answer is decoded and nothing is teacher-forced.

    `max_new_tokens` limits each answer; the default is `writing.token_limit`, which grows with the right answer.
    """
    verdicts = [Verdict()] * len(pairs)
    together = None if decode or max_new_tokens is not None else _together(trained, pairs)
    if together is not None:
        verdicts = together
    questions = []
    for at, (text, output) in enumerate(pairs):
        if together is not None and together[at].margin > DOUBTFUL:
            continue
        asked = _ask(trained, at, text, output, max_new_tokens)
        if isinstance(asked, _Question):
            questions.append(asked)
        else:
            verdicts[at] = asked
    on_path = [] if decode or together is not None else [question for question in questions if question.path]
    if on_path:
        rows = [question.prompt + question.path for question in on_path]
        for question, verdict in zip(on_path, _score(trained, rows, [pairs[q.at] for q in on_path]), strict=True):
            verdicts[question.at] = verdict
    # `not >`, so that NaN counts as doubtful too
    unsure = [q for q in questions if decode or not q.path or not verdicts[q.at].margin > DOUBTFUL]
    prompts, limits = [question.prompt for question in unsure], [question.limit for question in unsure]
    answers = write(trained.model, trained.tokenizer, prompts, limits, trained.calibration)
    for question, answer in zip(unsure, answers, strict=True):
        if answer.stopped and answer.text == pairs[question.at][1]:
            reason = ""
        else:
            reason = question.obstacle or ("wrong" if answer.stopped else "no_stop")
        verdicts[question.at] = verdicts[question.at]._replace(
            reason=reason, got=answer.text, log_probability=answer.log_probability
        )
    return verdicts


def _together(trained: Trained, pairs: Sequence[Pair]) -> list[Verdict] | None:
    """The verdicts of one pass over all pairs, encoded at once; None when some pair has an obstacle."""
    rows = trained.encoder.pairs(pairs)
    if rows is None or (trained.block_size is not None and int(rows.lengths.max(initial=0)) > trained.block_size):
        return None
    return _score(trained, rows, pairs)


def _score(trained: Trained, rows: Sequence[Row] | FlatRows, pairs: Sequence[Pair]) -> list[Verdict]:
    """The verdicts of one pass over `rows`, those of `pairs`, as far as it proves them."""
    scores = score(trained.model, rows, trained.tokenizer.separator, calibration=trained.calibration)
    loss_N = scores.loss_N * scores.tokens_N
    columns = (y.tolist() for y in (scores.tokens_N, loss_N, scores.log_N, scores.margin_N))
    return [Verdict("", output, *own) for (_, output), *own in zip(pairs, *columns, strict=True)]


def _ask(trained: Trained, at: int, text: str, output: str, max_new_tokens: int | None) -> _Question | Verdict:
    """The sample in tokens, or the verdict on a sample that cannot be encoded."""
    try:
        prompt = trained.tokenizer.encode_input(trained.teacher.prompt(text))
    except InputError:
        return Verdict("alphabet")
    steps: list[Step] | None = None
    path, obstacle = [], ""
    try:
        steps = trained.teacher.steps(text, output)
    except InputError:
        obstacle = "teacher"
    else:
        try:
            path = trained.tokenizer.encode_steps(steps)
        except InputError:
            obstacle = "vocabulary"
    # Without a path, the shortest right row is still as long as the strings: one token a symbol, and a stop.
    room = trained.block_size
    if room is not None and len(prompt) + (len(path) or len(output) + 1) > room:
        return Verdict("block_size")
    # The user's limit may be too small for the path: then decoding would not reach its end.
    usual = token_limit(len(text) + len(output), None if steps is None else len(steps))
    limit = usual if max_new_tokens is None else max_new_tokens
    return _Question(at, prompt, path if len(path) <= limit else [], limit, obstacle)
