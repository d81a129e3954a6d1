"""Steps of training of our coupled-window model, and of the same model with attention under a dense mask.

Both compute the same numbers; the difference is what windows save. A unit of work is one step on a batch of double_a.
"""

import random
from collections.abc import Callable
from typing import Any

from contenders.evaluation import draw


def build(name: str, spec: dict[str, Any]) -> tuple[Callable[[int], None], str]:
    """A function that takes n steps, and the size of the batch in tokens."""
    from ahx.data.tokenizer import Tokenizer
    from ahx.model.batches import to_batch
    from ahx.model.build import configure
    from ahx.model.device import keep_memory
    from ahx.model.scoring import token_losses
    from ahx.model.transformer import Transformer
    from ahx.rules.transducer import STOP, Step
    from ahx.training.optimizers import FlatParameters, Optimizer, OptimizerSettings

    keep_memory()
    tokenizer = Tokenizer.fit([("AB", [Step("A", 0, "1"), Step("A", 1), Step("B", 1), Step(STOP)])])
    twice, once, stop = ([Step("A", 0, "1"), Step("A", 1)], [Step("B", 1)], [Step(STOP)])
    rows = [
        tokenizer.encode_input(text)
        + tokenizer.encode_steps([step for symbol in text for step in (twice if symbol == "A" else once)] + stop)
        for text, _ in draw(int(spec["batch"]), int(spec["longest"]), random.Random(0))
    ]
    batch = to_batch(rows, tokenizer.separator)
    model = Transformer(configure(tokenizer, pos="coupled", n_layer=2, n_head=4, n_embd=48, block_size=64))
    flat = FlatParameters(model)
    optimizer = Optimizer(flat, OptimizerSettings())
    reference = name == "dense mask"

    def work(n: int) -> None:
        for _ in range(n):
            flat.gradients.zero_()
            loss = token_losses(model(batch.tokens_BT, batch.scored_R, reference), batch.target_R, "sum")
            (loss / len(batch.target_R)).backward()
            flat.clip(1.0)
            optimizer.step(1.0)

    work(1)
    return work, f"rows of {batch.tokens_BT.shape[1]} tokens"
