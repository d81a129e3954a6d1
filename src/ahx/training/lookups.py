"""What makes a trained interpreter certifiable: its look-ups are trained on the questions of the certificate.

Training on rows gets answers right, whatever the heads of layer 2 fetch for it. Here each head learns to fetch one
token of the program and nothing else: the action of the rule that fits, or `<` where none does. Answers are trained
with just that fetched, so no program is needed; and the score of what is to be fetched is pushed above that of any
other token that a program may have.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ahx.model.interpreter_certificate import InterpreterChecker
from ahx.model.program_function import ProgramFunction
from ahx.model.transformer import Transformer
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings
from ahx.training.progress import Reporter
from ahx.training.schedule import scale
from ahx.training.signals import StopRequest

#: Steps for each step of training on rows, and how many at least.
SHARE, LEAST = 0.4, 240
#: By how many logits the action that fits must lead `<`, and `<` all others. Training ends with more, checked at all.
APART = 12.0
#: If that does not suffice: so many rounds of this share of the steps, from this share of the learning rate on, in
#: which half of the questions are among those with the least lead.
ROUNDS, _ROUND, _PEAK, _WORST = 6, 0.2, 0.3, 4000
_QUESTIONS = 1024  # of a step
_WARMUP = 50
_STREAM = tuple(b"lookups")  # of random numbers


class Lookups:
    """Trains a model on questions of `checker`; `step` is a function of the weights, the seed and its number."""

    def __init__(self, checker: InterpreterChecker, model: Transformer, hp: Hyperparameters) -> None:
        self.questions, self.task, self.seed = checker.questions, checker.task, hp.seed
        self.function = ProgramFunction(model, checker.task)
        self.flat, self.grad_clip = FlatParameters(model), hp.grad_clip
        # Less than in training, of which much is to be kept.
        rates = hp.learning_rate * 2 / 3, hp.muon_learning_rate * 2 / 5
        self.optimizer = Optimizer(self.flat, OptimizerSettings(*rates, hp.weight_decay, hp.optimizer == "muon"))
        self.group_M = checker.task.group_M
        self.device = self.flat.values.device

    def step(self, number: int, scale: float, worst_N: np.ndarray | None = None) -> float:
        """One update; the loss before it. Half of the questions are from `worst_N`, if that is given."""
        rng = np.random.default_rng((self.seed, *_STREAM, number))
        chosen_N = rng.integers(0, len(self.questions.answer_N), _QUESTIONS)
        if worst_N is not None:
            chosen_N[::2] = rng.choice(worst_N, len(chosen_N[::2]))
        self.flat.gradients.zero_()
        loss = self.loss(chosen_N, rng)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
        self.flat.clip(self.grad_clip)
        self.optimizer.step(scale)
        return float(loss.detach())

    def loss(self, chosen_N: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Cross-entropy of the answers in nats, and how far scores are from being apart, squared."""
        function, tokens_2M = self.function, self.task.tokens_2M
        asked, others = self.questions.select(chosen_N), self.task.some(rng)
        token_M = np.concatenate([asked.fetched_N, others, [tokens_2M.shape[1] - 1]])
        window_MK = np.full((len(token_M), asked.window_NK.shape[1]), -1)
        window_MK[:, 0] = self.task.begin
        tokens = [
            self._tensor(np.concatenate(parts))
            for parts in (
                (asked.previous_N, tokens_2M[0, token_M]),
                (asked.newest_N, tokens_2M[1, token_M]),
                (asked.window_NK, window_MK),
            )
        ]
        x_XC = function.place(*tokens)
        x_NC, x_MC = x_XC[: len(chosen_N)], x_XC[len(chosen_N) :]
        (key_MHD, value_MHD), q_NHD = function.keys_values(x_MC), function.queries(x_NC)
        logits_NV = function.finish(x_NC, value_MHD[: len(chosen_N)])
        score_NHM = torch.einsum("nhd,mhd->nhm", q_NHD, key_MHD[len(chosen_N) :])
        score_NHM, begin_NH1 = score_NHM[..., :-1], score_NHM[..., -1:]
        # Tokens of the group that can be fetched are above `<`, all others below: a program has one of a group.
        own_N1M = self._tensor(asked.group_N[:, None] == self.group_M[others])[:, None]
        apart_NHM = torch.where(own_N1M, score_NHM - begin_NH1, begin_NH1 - score_NHM)
        short_NHM = F.relu(APART - apart_NHM).div(APART).square()
        answers = F.cross_entropy(logits_NV, self._tensor(asked.answer_N))
        return answers + short_NHM.amax(2).mean() + 20 * short_NHM.mean()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def train_lookups(
    checker: InterpreterChecker,
    model: Transformer,
    hp: Hyperparameters,
    steps: int,
    report: Reporter,
    stop: StopRequest,
) -> bool:
    """Train the look-ups of `model` for `steps` steps. False when training was asked to stop before the end."""
    lookups, done, worst_N = Lookups(checker, model, hp), 0, None
    for number in range(1 + ROUNDS):
        total, peak = (steps, 1.0) if number == 0 else (max(1, round(_ROUND * steps)), _PEAK)
        model.train()
        for step in range(total):
            if stop.signal is not None:
                return False
            rate = peak * scale(step, total, min(_WARMUP, total // 2), "cosine")
            loss = lookups.step(done + step, rate, worst_N)
            if (step + 1) % max(1, steps // 10) == 0:
                report.say(f"look-ups: step {done + step + 1:,}, loss {loss:.2g}")
        done += total
        check, lead_N = checker.examine(model.eval())
        report.say(str(check))
        if check.complete:
            break
        worst_N = lead_N.nan_to_num(-torch.inf).argsort()[:_WORST].numpy()
    return True
