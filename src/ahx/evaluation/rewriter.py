"""Rewrites strings with a trained model, and gives the rule's output where the rule is known."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ahx.errors import InputError
from ahx.evaluation.trained import Trained
from ahx.evaluation.writing import token_limit, write

_RULE_STEPS = 1_000_000  # a rule that needs more on a typed string is not applied


class Rewriting(NamedTuple):
    """The model's output for one input, and the rule's; None if the rule is unknown or does not finish."""

    output: str
    expected: str | None


class Rewriter:
    """Rewrites strings with `trained`: greedily at temperature 0, otherwise drawn, the same way for the same seed."""

    def __init__(
        self, trained: Trained, temperature: float = 0.0, max_new_tokens: int | None = None, seed: int | None = None
    ) -> None:
        self.trained, self.temperature, self.max_new_tokens = trained, temperature, max_new_tokens
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
        prompts, limits = [], []
        for text in texts:
            prompt, limit = self.ask(text)
            prompts.append(prompt)
            limits.append(limit)
        trained = self.trained
        answers = write(trained.model, trained.tokenizer, prompts, limits, self.temperature, self.generator)
        for text, limit, prompt, answer in zip(texts, limits, prompts, answers, strict=True):
            if not answer.stopped:
                remedy = (
                    "the model has no positions beyond (block_size); use a shorter string"
                    if len(prompt) + limit == trained.block_size
                    else "allow more with --max-new-tokens, or train the model further"
                )
                raise InputError(
                    f"the model did not end its answer to {text[:40]!r} within {limit:,} tokens "
                    f"(it begins {answer.text[:40]!r}); {remedy}"
                )
        return [Rewriting(answer.text, self.expected(text)) for text, answer in zip(texts, answers, strict=True)]

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
