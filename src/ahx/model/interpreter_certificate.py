"""Proof by enumeration that a model follows every program: every question is asked, against every program.

There are too many programs to ask about each. But a head of layer 2 fetches one rule out of a program, and what it
fetches depends on scores, each of which depends on one token of the program and on the context. So for each context
all scores are computed: if the right rule leads by enough over all that any program may have, it is fetched whatever
the program is; what little the softmax takes from others is bounded. docs/turing.md tells the proof.
"""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ahx.data.programs.lookup_task import LookupTask
from ahx.data.programs.substitution_task import substitution_task
from ahx.data.programs.turing_task import turing_task
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError
from ahx.model.program_function import ProgramFunction, Sensitivity
from ahx.model.transformer import Transformer
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

#: A certificate asks for this lead, in logits, of the right token over the best other one, leaks taken off.
MARGIN = 3.0
#: Errors of float32 so many times as large as the ones that were measured must change nothing.
SAFETY = 100.0

_AT_ONCE = 1024  # contexts
_MOST_RULES = 10_000  # keys times actions of machines: 7 CPU minutes and 3 GB
_UNIT = 2.0**-24  # of float32: the largest relative error of one operation


@dataclass(frozen=True)
class InterpreterCheck:
    """The answers of a model to all questions."""

    contexts: int
    questions: int  # a context with what the rule for the head says
    right: int  # questions whose right answer leads by MARGIN or more, whatever else the program has
    scores: int  # that were compared: contexts by tokens that a program may have by heads
    margin: float  # the least lead of a right answer when its rule, or `<`, is all that is fetched
    leak: float  # the most that other tokens of a program can take off a lead, in logits
    lead: float  # the least lead, leaks taken off
    gap: float  # the least lead of a score over those of which it must be the largest
    rounding: float  # the greatest difference of a logit from the same model in double precision
    at: str  # the question with the least lead, as options of `ahx interpret`; "" where no run can be shown

    @property
    def complete(self) -> bool:
        """Whether the model is proved right."""
        return self.right == self.questions and SAFETY * self.rounding < self.lead

    def __str__(self) -> str:
        shown = f"; to see the worst question: ahx interpret RUN {self.at}" if self.at and not self.complete else ""
        return (
            f"{self.right:,} of {self.questions:,} questions right by {MARGIN:g} or more in {self.contexts:,} contexts "
            f"({self.scores:,} scores), least margin {self.margin:.2f}, scores apart by {self.gap:.2f} or more, "
            f"largest leak {self.leak:.1g}, rounding {self.rounding:.1g}{shown}"
        )

    def found(self) -> dict[str, Any]:
        """What a certificate says and what must be found again, to the digit."""
        return {
            "questions": {"right": self.right, "all": self.questions},
            "contexts": self.contexts,
            "scores": self.scores,
        }

    def measured(self) -> dict[str, float]:
        """What may differ a little on another computer."""
        return {"least_margin": self.margin, "least_lead": self.lead, "least_gap": self.gap}

    def described(self) -> dict[str, Any]:
        """What a certificate says besides."""
        return {"least_lead_at": self.at, "largest_leak": self.leak, "rounding": self.rounding}


class _Context(NamedTuple):
    """The scores of n contexts (n, H), and of the N tokens that their questions fetch (N, H)."""

    begin_nH: Tensor  # the score of `<`
    others_nH: Tensor  # the logarithm of the most that all other tokens of a program can weigh
    rival_nH: Tensor  # the heaviest of them
    best_nH: Tensor  # its score
    own_NH: Tensor  # the score of the token to fetch
    slack_nH: Tensor  # by how much a score may be wrong


class InterpreterChecker:
    """Checks models of interpreters of `rule`."""

    def __init__(self, rule: Interpreter, tokenizer: Tokenizer) -> None:
        self.task = lookup_task(rule, tokenizer)
        self.questions, self.machine = self.task.questions, self.task.machine
        context_NX = self.questions.context_NX
        new_N = np.append(True, (context_NX[1:] != context_NX[:-1]).any(1))  # questions of a context stand together
        self.first_n = np.append(np.flatnonzero(new_N), len(new_N))

    def __call__(self, model: Transformer) -> InterpreterCheck:
        return self.examine(model)[0]

    def examine(self, model: Transformer) -> tuple[InterpreterCheck, Tensor]:
        """The verdict, and the lead of each answer: (N), NaN where it is not known."""
        with torch.inference_mode():
            precisions = _Precisions(copy.deepcopy(model).cpu().eval(), self.task)
            pieces = [self._piece(precisions, n) for n in range(0, len(self.first_n) - 1, _AT_ONCE)]
        lead_N, margin_N, leak_N, gap_N, rival_N, rounding_N = (torch.cat(part) for part in zip(*pieces, strict=True))
        worst, contexts = int(lead_N.argmin()), len(self.first_n) - 1
        shown = self.task.example(worst, int(rival_N[worst]))
        check = InterpreterCheck(
            contexts=contexts,
            questions=len(lead_N),
            right=int((lead_N >= MARGIN).sum()),
            scores=contexts * precisions.key_MHD.shape[:2].numel(),
            margin=float(margin_N.min()),
            leak=float(leak_N.max()),
            lead=float(lead_N[worst]),
            gap=float(gap_N.min()),
            rounding=float(rounding_N.max()),
            at=str(shown or ""),
        )
        return check, lead_N

    def _piece(self, precisions: "_Precisions", n: int) -> tuple[Tensor, ...]:
        """Questions of some contexts: leads, margins, leaks, gaps of scores, rivals, rounding."""
        single, double = precisions.single, precisions.double
        first_n = self.first_n[n : n + _AT_ONCE + 1]
        asked = self.questions.select(slice(first_n[0], first_n[-1]))
        context_N = torch.from_numpy(np.repeat(np.arange(len(first_n) - 1), np.diff(first_n)))
        at_n = first_n[:-1] - first_n[0]
        tokens = [torch.from_numpy(part[at_n]) for part in (asked.previous_N, asked.newest_N, asked.window_NK)]
        x32_nC, x64_nC = single.place(*tokens), double.place(*tokens)
        group_n, fetched_N, answer_N = (
            torch.from_numpy(x) for x in (asked.group_N[at_n], asked.fetched_N, asked.answer_N)
        )
        context = precisions.context(x32_nC, x64_nC, group_n, context_N, fetched_N)
        own_NH = context.own_NH
        begin_NH, others_NH, rival_NH, best_NH, slack_NH = (
            part[context_N]
            for part in (context.begin_nH, context.others_nH, context.rival_nH, context.best_nH, context.slack_nH)
        )
        # The one token that each head is to fetch: that of a rule, or `<`.
        acts_N1 = (fetched_N < len(precisions.key_MHD) - 1)[:, None]
        wrong_NH = torch.where(acts_N1, torch.logaddexp(others_NH, begin_NH) - own_NH, others_NH - begin_NH)
        weight_NH = (wrong_NH + 2 * slack_NH).exp().clamp_max(1.0)  # of all that is not to be fetched
        gap_NH = torch.where(acts_N1, own_NH - begin_NH, torch.inf).minimum(begin_NH - best_NH)
        y32_NC, y64_NC = (
            x[context_N] + added[fetched_N] for x, added in zip((x32_nC, x64_nC), precisions.added_MC, strict=True)
        )
        z64_NC = double.think(y64_NC)
        logits_NV = double.model.score(z64_NC)
        rounding_N = (single.model.score(single.think(y32_NC)) - logits_NV).abs().amax(1)
        right_N1 = answer_N[:, None]
        margin_N = logits_NV.gather(1, right_N1)[:, 0] - logits_NV.scatter(1, right_N1, -torch.inf).amax(1)
        change_N = weight_NH @ precisions.far_H + precisions.mixing
        leak_N = precisions.sensitivity(y64_NC, z64_NC, answer_N, change_N)
        rival_N = rival_NH.gather(1, weight_NH.argmax(1, keepdim=True))[:, 0]
        return margin_N - leak_N, margin_N, leak_N, gap_NH.amin(1), rival_N, rounding_N


class _Precisions:
    """A model in float32 and in float64, with all that a program may offer it."""

    def __init__(self, model: Transformer, task: LookupTask) -> None:
        self.blocks = task.blocks
        self.single, self.double = (ProgramFunction(m, task) for m in (model, copy.deepcopy(model).double()))
        tokens = torch.from_numpy(task.tokens_2M)
        self.key_MHD, value32_MHD = self.single.keys_values(self.single.program_place(*tokens))
        key_MHD, value_MHD = self.double.keys_values(self.double.program_place(*tokens))
        values = ((self.single, value32_MHD), (self.double, value_MHD))
        #: what layer 2 adds where all its heads fetch one token
        self.added_MC = [function.last.attention.out(value.flatten(-2)) for function, value in values]
        self.longest_H, self.moved_H = key_MHD.norm(dim=-1).amax(0), (self.key_MHD - key_MHD).norm(dim=-1).amax(0)
        self.sensitivity = Sensitivity(self.double)
        # What is added changes by so much where a head fetches something else: two values are apart by the sum of
        # their distances from that of `<` at most. The weighted sum over the program is rounded.
        self.far_H = self.sensitivity.out_H * 2 * (value_MHD - value_MHD[-1]).norm(dim=-1).amax(0)
        terms = sum(block.groups for block in task.blocks) + 1
        self.mixing = float((self.sensitivity.out_H * value_MHD.norm(dim=-1).amax(0)).sum() * (terms + 8) * _UNIT)

    def context(
        self, x32_nC: Tensor, x64_nC: Tensor, group_n: Tensor, context_N: Tensor, fetched_N: Tensor
    ) -> _Context:
        """Scores of all tokens that a program may have: in float32, with a bound on how wrong that may be."""
        q32_nHD, q64_nHD = self.single.queries(x32_nC), self.double.queries(x64_nC)
        n, H, D = q32_nHD.shape
        parts: list[tuple[Tensor, ...]] = []
        for h in range(H):
            score_nM, scores, tokens, first = q32_nHD[:, h] @ self.key_MHD[:, h].T, [], [], 0
            for groups, size, together in self.blocks:  # of each group the token with the highest score
                block_nX = score_nM[:, first : first + groups * size]
                own_nG = torch.arange(groups).expand(n, groups)
                best_nG, within_nG = (
                    block_nX.view(n, groups, size).max(2) if together else block_nX.view(n, size, groups).max(1)
                )
                scores.append(best_nG)
                tokens.append(first + (own_nG * size + within_nG if together else within_nG * groups + own_nG))
                first += groups * size
            score_nG = torch.cat(scores, 1)
            own_nG = torch.arange(score_nG.shape[1]) == group_n[:, None]
            score_nG = score_nG.masked_fill(own_nG, -torch.inf)  # a program has one token of a group
            best_n, at_n = score_nG.max(1)
            rival_n = torch.cat(tokens, 1).gather(1, at_n[:, None])[:, 0]
            own_N = score_nM[context_N, fetched_N]
            parts.append(
                (score_nM[:, -1].double(), score_nG.double().logsumexp(1), rival_n, best_n.double(), own_N.double())
            )
        # Errors of q and k as measured, many times over, and the most that float32 can lose in a product.
        length_nH = q64_nHD.norm(dim=-1)
        slack_nH = SAFETY * ((q32_nHD - q64_nHD).norm(dim=-1) * self.longest_H + length_nH * self.moved_H)
        slack_nH += 2 * (D + 1) * _UNIT * length_nH * self.longest_H
        begin, others, rival, best, own = (torch.stack(part, 1) for part in zip(*parts, strict=True))
        return _Context(begin, others, rival, best, own, slack_nH)


def check_certifiable(rule: Interpreter) -> None:
    """Raises InputError where the questions of `rule` have not been listed, or are too many."""
    if isinstance(rule, TuringInterpreter):
        states, symbols = rule.n_states, rule.n_symbols
        if (states * symbols) * (2 * symbols * (states + 1)) > _MOST_RULES:
            raise InputError(
                f"machines of {states} states and {symbols} symbols ask too many questions to be certified; "
                "take at most 16 states and 4 symbols, or 8 and 6, or leave out --certify"
            )
    elif not isinstance(rule, SubstitutionInterpreter):
        raise InputError(
            f"{rule.spec!r} cannot be certified; of interpreters those of Turing machines and substitutions can"
        )


def lookup_task(rule: Interpreter, tokenizer: Tokenizer) -> LookupTask:
    """The questions of an interpreter. Raises InputError as `check_certifiable` does."""
    check_certifiable(rule)
    if isinstance(rule, TuringInterpreter):
        return turing_task(rule, tokenizer)
    assert isinstance(rule, SubstitutionInterpreter)
    return substitution_task(rule, tokenizer)
