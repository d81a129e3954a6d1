"""Decodes strings with a model, with a limit for a model that never stops."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ahx.data.tokenizer import Tokenizer
from ahx.model.batches import by_length
from ahx.model.decoding import generate
from ahx.model.transformer import Transformer

# Tokens that are written at once, with their prompts: bounds the memory for keys and values.
_TOKENS_PER_GROUP = 32_768


class Written(NamedTuple):
    """What a model wrote for one input."""

    text: str
    stopped: bool  # whether it wrote a stop; if not, the text is what it had written at the limit


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
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[Written]:
    """What `model` writes after each prompt, in at most as many tokens as `limits` allows it.

    Greedy at temperature 0. Rows are decoded together in groups of similar length. A learned position scheme also ends
    a row at block_size tokens; a longer prompt is the caller's mistake.
    """
    answers = [Written("", False)] * len(prompts)
    longest = [len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)]
    for numbers in by_length(longest, _TOKENS_PER_GROUP):
        group = numbers.tolist()
        chosen = [prompts[i] for i in group]
        tokens = generate(model, chosen, tokenizer.stop, [limits[i] for i in group], temperature, generator)
        for i, own in zip(group, tokens, strict=True):
            answers[i] = Written(tokenizer.decode(own), bool(own) and own[-1] == tokenizer.stop)
    return answers
