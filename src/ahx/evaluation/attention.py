"""What each head attends to while a model rewrites a string, taken from the forward pass in transformer.py."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ahx.data.tokenizer import BEGIN, SEPARATOR, Token
from ahx.errors import InputError
from ahx.evaluation.rewriter import Rewriter
from ahx.evaluation.trained import Trained
from ahx.model.build import token_table
from ahx.model.decoding import generate
from ahx.model.positions.coupling import Coupling
from ahx.model.scoring import DOUBTFUL, margins

_MOST_TOKENS = 2_000  # a row of 2,000 takes 16 MB for each head
_SHORT = {BEGIN: "<", SEPARATOR: ">"}


class Attention(NamedTuple):
    """The weights of attention for one row: an input and what the model wrote.

    Each token is written by the query at the token before it.
    """

    tokens: list[str]  # names: "A" is input; "A+1" writes an A and moves the cursor by one
    weights: npt.NDArray[np.floating[Any]]  # (layers, heads, queries, keys); over keys they sum to 1
    heads: tuple[str, ...]  # the kinds of the heads of each layer, such as "sccc" (see transformer.py)
    cursor: list[int | None]  # for each query, the place of the token under the cursor; None for none
    output: str
    stopped: bool  # whether the model ended its answer within the limit
    logits: npt.NDArray[np.floating[Any]]  # (queries, vocabulary)


def attention(trained: Trained, text: str) -> Attention:
    """The attention of `trained` while it rewrites `text` greedily. Raises InputError, as `Rewriter` does."""
    tokenizer, model = trained.tokenizer, trained.model
    prompt, limit = Rewriter(trained).ask(text)
    if len(prompt) > _MOST_TOKENS:
        raise InputError(f"the input has {len(prompt):,} tokens; attention is kept for {_MOST_TOKENS:,} at most")
    answer = _written(trained, text, prompt, min(limit, _MOST_TOKENS))
    row = torch.tensor([[*prompt, *answer]], device=model.norm.weight.device)
    with torch.inference_mode(), _Softmax() as seen:
        logits_1TV = model(row, reference=True)
    weights_HTT = iter(seen.results)  # of neighbouring heads of one kind, layer by layer
    layers = [torch.cat([next(weights_HTT)[0] for _ in block.attention.groups]) for block in model.blocks]  # type: ignore[union-attr]
    names = [name_of(tokenizer.tokens[number]) for number in row[0].tolist()]
    weights = torch.stack(layers).cpu().numpy()
    written = tokenizer.decode(answer), answer[-1:] == [tokenizer.stop], logits_1TV[0].cpu().numpy()
    return Attention(names, weights, model.config.heads, _cursor(trained, row), *written)


def _written(trained: Trained, text: str, prompt: list[int], limit: int) -> list[int]:
    """What the model writes. As far as one pass proves that these are the right tokens, they are not decoded."""
    model, stop = trained.model, trained.tokenizer.stop
    known = _right_answer(trained, text)[:limit]
    if known:
        row = torch.tensor([[*prompt, *known]], device=model.norm.weight.device)
        with torch.inference_mode():
            margin_R = margins(model(row)[0, len(prompt) - 1 : -1], row[0, len(prompt) :])
        known = known[: int((margin_R > DOUBTFUL).cumprod(0).sum())]  # see ahx.model.scoring
    if known[-1:] == [stop]:
        return known
    return known + generate(model, [[*prompt, *known]], stop, [limit - len(known)])[0]


def _right_answer(trained: Trained, text: str) -> list[int]:
    """The tokens of the right answer; none where they are not known."""
    output = Rewriter(trained).expected(text)
    try:
        return [] if output is None else trained.tokenizer.encode_steps(trained.teacher.steps(text, output))
    except InputError:
        return []


class _Softmax(TorchFunctionMode):
    """Keeps the result of each softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is Tensor.softmax:
            self.results.append(result)
        return result


def _cursor(trained: Trained, row_1T: Tensor) -> list[int | None]:
    """The place of the token under the cursor after each token, where the tokens of this model move one."""
    if trained.teacher.kind == "plain":
        return [None] * row_1T.shape[1]
    places = Coupling(token_table(trained.tokenizer), (0,)).to(row_1T.device).keys(row_1T)[0, :, 0]
    return [None if place < 0 else place for place in places.tolist()]


def name_of(token: Token) -> str:
    """A token for people: "A", "A+1", "+1 (state)"."""
    symbol = _SHORT.get(token.symbol, token.symbol)
    move = "" if not token.move and (token.move is None or symbol) else f"{token.move:+d}"
    return f"{symbol}{move}" + (f" ({token.state})" if token.state else "")
