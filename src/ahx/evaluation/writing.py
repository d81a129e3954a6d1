"""Decodes strings with a model, with a limit for a model that never stops."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.batches import by_length
from ahx.model.beam_search import beam_search
from ahx.model.decoding import Decoded, decode
from ahx.model.transformer import Transformer

# Tokens that are written at once, with their prompts: bounds the memory for keys and values.
_TOKENS_PER_GROUP = 32_768


class Written(NamedTuple):
    """What a model wrote for one input."""

    text: str
    stopped: bool  # whether it wrote a stop; if not, the text is what it had written at the limit
    log_probability: float = 0.0  # in nats; of the steps that spell the text

    @property
    def probability(self) -> float:
        return math.exp(min(self.log_probability, 0.0))


def token_limit(n_symbols: int, n_steps: int | None = None) -> int:
    """The default limit of tokens for an answer.

    Twice the right number of steps and some more; if that number is unknown, sixteen for each of the `n_symbols` of the
    input (and of the output, if it is known).
    """
    return 2 * n_steps + 16 if n_steps is not None else 16 * (n_symbols + 16)


def write(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    calibration: float = 1.0,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[Written]:
    """What `model` writes after each prompt, in at most as many tokens as `limits` allows it.

    Greedy at temperature 0; see `decoding.decode`. Rows are decoded together in groups of similar length. A learned
    position scheme also ends a row at block_size tokens; a longer prompt is the caller's mistake.
    """
    answers = [Written("", False)] * len(prompts)
    for group, chosen, own_limits in groups(prompts, limits, 1):
        found = decode(model, chosen, tokenizer.stop, own_limits, temperature, generator, calibration)
        for i, own in zip(group, found, strict=True):
            answers[i] = _written(tokenizer, own)
    return answers


def write_best(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    width: int,
    n_best: int,
    calibration: float = 1.0,
) -> list[list[Written]]:
    """Up to `n_best` different texts after each prompt, the most probable first, by a beam of `width` hypotheses.

    Different steps may spell the same text; the probabilities of those that were found are added up.
    """
    answers: list[list[Written]] = [[] for _ in prompts]
    for group, chosen, own_limits in groups(prompts, limits, width):
        found = beam_search(model, chosen, tokenizer.stop, own_limits, width, n_best, calibration)
        for i, rows in zip(group, found, strict=True):
            texts: dict[tuple[str, bool], Written] = {}
            for own in (_written(tokenizer, row) for row in rows):
                same = texts.get(own[:2])
                log = own.log_probability
                if same is not None:
                    log = float(np.logaddexp(log, same.log_probability))
                texts[own[:2]] = own._replace(log_probability=log)
            answers[i] = sorted(texts.values(), key=lambda own: -own.log_probability)
    return answers


def groups(
    prompts: Sequence[Sequence[int]], limits: Sequence[int], width: int
) -> Iterator[tuple[list[int], list[Sequence[int]], list[int]]]:
    """Numbers, prompts and limits of rows of similar length."""
    longest = [len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)]
    for numbers in by_length(longest, max(1, _TOKENS_PER_GROUP // width)):
        group = numbers.tolist()
        yield group, [prompts[i] for i in group], [limits[i] for i in group]


def _written(tokenizer: Tokenizer, own: Decoded) -> Written:
    stopped = bool(own.tokens) and own.tokens[-1] == tokenizer.stop
    return Written(tokenizer.decode(own.tokens), stopped, own.log_probability)
