"""Evaluates a model on a stream of samples of any length, in bounded memory."""

import time
from collections.abc import Iterable, Iterator

from ahx.evaluation.judging import Pair, Verdict, judge
from ahx.evaluation.report import Failure, Report
from ahx.evaluation.trained import Trained

# A chunk is large enough for full batches of every length, and small enough to hold in memory as tokens.
_CHUNK_SAMPLES, _CHUNK_SYMBOLS = 8192, 1_000_000


def evaluate(
    trained: Trained,
    samples: Iterable[Pair],
    *,
    decode: bool = False,
    max_new_tokens: int | None = None,
    n_failures: int = 5,
) -> Report:
    """How many of `samples` (input, right output) the model rewrites exactly; see judging.py.

    The report holds the first `n_failures` failures in the order of the samples.
    """
    report = Report()
    verdicts: dict[Pair, Verdict] = {}
    for chunk in _chunks(samples):
        began = time.perf_counter()
        # Short strings repeat; the same sample has the same verdict, so it is judged once in two adjacent chunks.
        new = [pair for pair in dict.fromkeys(chunk) if pair not in verdicts]
        judged = judge(trained, new, decode=decode, max_new_tokens=max_new_tokens)
        verdicts = {pair: verdicts[pair] for pair in chunk if pair in verdicts} | dict(zip(new, judged, strict=True))
        report.seconds += time.perf_counter() - began
        for text, output in chunk:
            verdict = verdicts[text, output]
            report.by_length[len(text)].add(verdict)
            if not verdict.right:
                report.reasons[verdict.reason] += 1
                if len(report.failures) < n_failures:
                    report.failures.append(Failure(text, output, verdict.got, verdict.reason))
    return report


def _chunks(samples: Iterable[Pair]) -> Iterator[list[Pair]]:
    chunk: list[Pair] = []
    symbols = 0
    for pair in samples:
        chunk.append(pair)
        symbols += len(pair[0]) + len(pair[1])
        if len(chunk) == _CHUNK_SAMPLES or symbols >= _CHUNK_SYMBOLS:
            yield chunk
            chunk, symbols = [], 0
    if chunk:
        yield chunk
