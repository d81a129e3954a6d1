"""Rewrites strings with a trained model: the n best answers with their probabilities, and what the rule gives."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ahx.errors import InputError
from ahx.evaluation.trained import Trained
from ahx.evaluation.writing import Written, token_limit, write, write_best

USUAL_BEAM = 8
_RULE_STEPS = 1_000_000  # a rule that needs more on a typed string is not applied


def usual_beam(n_best: int) -> int:
    """Hypotheses of the beam search for the `n_best` answers; one is greedy."""
    return 1 if n_best == 1 else max(USUAL_BEAM, n_best)


class Rewriting(NamedTuple):
    """The model's output for one input, and the rule's; None if the rule is unknown or does not finish."""

    output: str
    expected: str | None
    best: Sequence[Written] = ()  # the n best answers; the output is the first


class Rewriter:
    """Rewrites strings with `trained`: greedily at temperature 0, otherwise drawn, the same way for the same seed.

    With a beam of more than one hypothesis, the answers are the `n_best` most probable that beam search finds.
    """

    def __init__(
        self, trained: Trained, temperature: float = 0.0, max_new_tokens: int | None = None, seed: int | None = None,
        beam: int = 1, n_best: int = 1,
    ) -> None:  # fmt: skip
        self.trained, self.temperature, self.max_new_tokens = trained, temperature, max_new_tokens
        self.beam, self.n_best = beam, n_best
        self.generator = torch.Generator(device=trained.model.norm.weight.device)
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def __call__(self, text: str) -> Rewriting:
        """Raises InputError for a symbol the model does not know, a string that does not fit, and an answer that does
        not end within the limit of new tokens."""
        return self.many([text])[0]

    def many(self, texts: Sequence[str]) -> list[Rewriting]:
        """The rewritings of `texts`, decoded together. Raises InputError for the first text that has none."""
        rewritings = []
        for text, found in zip(texts, self.best(texts), strict=True):
            if isinstance(found, InputError):
                raise found
            rewritings.append(Rewriting(found[0].text, self.expected(text), found))
        return rewritings

    def best(self, texts: Sequence[str]) -> list[list[Written] | InputError]:
        """For each of `texts` its best answers, the most probable first, or the error that `__call__` raises."""
        greedy = self.temperature == 0
        asked = list(dict.fromkeys(texts)) if greedy else list(texts)  # the same text may be drawn several answers
        found: list[list[Written] | InputError | None] = [None] * len(asked)
        prompts: list[list[int]] = [[]] * len(asked)
        most = [0] * len(asked)
        for n, text in enumerate(asked):
            try:
                prompts[n], most[n] = self.ask(text)
            except InputError as error:
                found[n] = error
        # Most answers are much shorter than their limit, and memory is taken for all of it: so try with less at first.
        for whole in (False, True) if greedy and len(asked) > 1 else (True,):
            left = [n for n in range(len(asked)) if found[n] is None]
            limits = [most[n] if whole else min(most[n], token_limit(len(asked[n])) // 8) for n in left]
            for n, limit, answers in zip(left, limits, self._write([prompts[n] for n in left], limits), strict=True):
                ended, last = [answer for answer in answers if answer.stopped], limit == most[n]
                if ended and (last or len(ended) == len(answers)):
                    found[n] = ended
                elif last:
                    found[n] = self._endless(asked[n], prompts[n], limit, answers[0].text)
        by_text = dict(zip(asked, found, strict=True))
        return [one for one in ([by_text[text] for text in texts] if greedy else found) if one is not None]

    def _write(self, prompts: Sequence[Sequence[int]], limits: Sequence[int]) -> list[list[Written]]:
        model, tokenizer, calibration = self.trained.model, self.trained.tokenizer, self.trained.calibration
        if self.beam > 1:
            return write_best(model, tokenizer, prompts, limits, self.beam, self.n_best, calibration)
        found = write(model, tokenizer, prompts, limits, calibration, self.temperature, self.generator)
        return [[answer] for answer in found]

    def ask(self, text: str) -> tuple[list[int], int]:
        """The prompt for `text`, and the limit of tokens for its answer. Raises InputError."""
        trained = self.trained
        prompt = trained.tokenizer.encode_input(trained.teacher.prompt(text))
        limit, room = self.max_new_tokens or token_limit(len(text), self._steps(text)), trained.block_size
        if room is None:
            return prompt, limit
        if len(prompt) >= room:
            raise InputError(
                f"{text[:40]!r} has {len(text):,} symbols, but the model has positions for {room:,} tokens "
                "(block_size), input and output together; use a shorter string, or train with a larger block_size"
            )
        return prompt, min(limit, room - len(prompt))

    def _endless(self, text: str, prompt: list[int], limit: int, began: str) -> InputError:
        remedy = (
            "the model has no positions beyond (block_size); use a shorter string"
            if len(prompt) + limit == self.trained.block_size
            else "allow more with --max-new-tokens, or train the model further"
        )
        return InputError(
            f"the model did not end its answer to {text[:40]!r} within {limit:,} tokens "
            f"(it begins {began[:40]!r}); {remedy}"
        )

    def expected(self, text: str) -> str | None:
        """The right output; None where the rule is not known, or has none."""
        if self.trained.rule is None:
            return None
        try:
            return self.trained.rule.apply(text, _RULE_STEPS)
        except InputError:
            return None

    def _steps(self, text: str) -> int | None:
        """How many tokens the right answer takes, where the model learnt the rule's transducer."""
        if self.trained.rule is None or self.trained.teacher.kind != "machine":
            return None
        try:
            steps = self.trained.rule.steps(text, _RULE_STEPS)
        except InputError:
            return None
        return None if steps is None else len(steps)
