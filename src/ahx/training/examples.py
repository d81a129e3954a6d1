"""The validation samples that are shown with an evaluation."""

from collections.abc import Sequence

from ahx.data.token_rows import Row
from ahx.data.tokenizer import Tokenizer
from ahx.model.decoding import generate
from ahx.model.scoring import DOUBTFUL, Scores
from ahx.model.transformer import Transformer
from ahx.training.progress import Example

N_EXAMPLES = 5


def examples(model: Transformer, tokenizer: Tokenizer, given: Sequence[Row], scores: Scores) -> list[Example]:
    """The first few of the `given` rows, decoded. Only what their `scores` leave open is decoded again."""
    rows = [list(map(int, row)) for row in given[:N_EXAMPLES]]
    ends = [row.index(tokenizer.separator) + 1 for row in rows]
    prompts = [row[:end] for row, end in zip(rows, ends, strict=True)]
    targets = [row[end:] for row, end in zip(rows, ends, strict=True)]
    # A row that is cut before the stop is compared only up to its end.
    limits = [2 * len(own) + 8 if own[-1] == tokenizer.stop else len(own) for own in targets]
    doubtful = [n for n in range(len(rows)) if not scores.margin_N[n] > DOUBTFUL]
    asked, most = [prompts[n] for n in doubtful], [limits[n] for n in doubtful]
    outputs = dict(zip(doubtful, generate(model, asked, tokenizer.stop, most), strict=True))
    return [
        Example(tokenizer.spell(prompt), tokenizer.decode(outputs.get(n, target)), tokenizer.decode(target))
        for n, (prompt, target) in enumerate(zip(prompts, targets, strict=True))
    ]
