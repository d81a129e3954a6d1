"""Fits the number that logits are divided by before probabilities are taken (temperature scaling: Guo et al. 2017).

It changes no greedy answer, and is kept in the model's config.json.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ahx.errors import InputError
from ahx.evaluation.evaluate import Judged
from ahx.evaluation.reliability import Reliability
from ahx.evaluation.trained import Trained
from ahx.evaluation.writing import groups, token_limit
from ahx.model.decoding import decode
from ahx.model.scoring import score

MOST_SAMPLES = 2_000
_FEWEST = 20
_LEAST, _GREATEST, _ROUNDS = 0.25, 4.0, 12
_GOLDEN = (math.sqrt(5) - 1) / 2


class Calibration(NamedTuple):
    """What `fit` found."""

    divisor: float
    before: float  # expected calibration errors of the same answers
    after: float


def fit(trained: Trained, judged: Sequence[Judged]) -> Calibration:
    """The divisor under which the probabilities of answers tell best which are right: the least log loss.

    Raises InputError where fewer than 20 of the answers are right, or wrong.
    """
    answers = {one.text: one.verdict for one in judged[:MOST_SAMPLES] if one.verdict.got is not None}
    right_N = np.array([verdict.right for verdict in answers.values()], bool)
    if min(right_N.sum(), (~right_N).sum()) < _FEWEST:
        raise InputError(
            f"--calibrate: {right_N.sum():,} of {len(right_N):,} answers are right; give lines, such as those of "
            f"validation, of which at least {_FEWEST} are answered right and as many wrong"
        )
    tokenizer = trained.tokenizer
    prompts = [tokenizer.encode_input(trained.teacher.prompt(text)) for text in answers]
    limits = [token_limit(len(text) + len(verdict.got or "")) for text, verdict in answers.items()]
    rows = list(prompts)
    for group, chosen, own_limits in groups(prompts, limits, 1):
        for n, found in zip(group, decode(trained.model, chosen, tokenizer.stop, own_limits), strict=True):
            rows[n] = prompts[n] + found.tokens

    def logs(divisor: float) -> np.ndarray:
        log_N = score(trained.model, rows, tokenizer.separator, calibration=divisor).log_N
        return np.asarray(np.minimum(log_N, -1e-9))

    def loss(exponent: float) -> float:
        log_N = logs(math.exp(exponent))
        return -float(np.where(right_N, log_N, np.log(-np.expm1(log_N))).mean())

    low, high = math.log(_LEAST), math.log(_GREATEST)
    for _ in range(_ROUNDS):  # golden-section search
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    divisor = round(math.exp((low + high) / 2), 3)
    errors = []
    for value in (trained.calibration, divisor):
        reliability = Reliability()
        for log, right in zip(logs(value).tolist(), right_N.tolist(), strict=True):
            reliability.add(math.exp(log), right)
        errors.append(reliability.error)
    return Calibration(divisor, *errors)
