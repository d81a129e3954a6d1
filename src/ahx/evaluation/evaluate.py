"""Evaluates a model on a stream of samples of any length, in bounded memory."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ahx.evaluation.edits import NO_EDITS, Confusion, Counts, Strings, align
from ahx.evaluation.judging import Pair, Verdict, judge
from ahx.evaluation.report import Failure, Report
from ahx.evaluation.trained import Trained

# A chunk is large enough for full batches of every length, and small enough to hold in memory as tokens.
_CHUNK_SAMPLES, _CHUNK_SYMBOLS = 8192, 1_000_000


class Judged(NamedTuple):
    """A sample and its verdict. Of several right outputs, `output` is the one nearest to what the model wrote."""

    text: str
    output: str
    verdict: Verdict
    symbols: int  # of the output
    counts: Counts
    confusions: Sequence[Confusion]


def evaluate(
    trained: Trained,
    samples: Iterable[Pair],
    *,
    alternatives: Mapping[str, Sequence[str]] | None = None,
    decode: bool = False,
    max_new_tokens: int | None = None,
    n_failures: int = 5,
    on_sample: Callable[[Judged], None] | None = None,
) -> Report:
    """How many of `samples` (input, right output) the model rewrites exactly; see judging.py.

    For an input in `alternatives` any of the outputs named there is right; it is counted at its first sample only. The
    report holds the first `n_failures` failures in the order of the samples. `on_sample` is called for each sample.
    """
    report = Report()
    several, cut = dict(alternatives or {}), trained.tokenizer.segmentation.target_tokens
    verdicts: dict[Pair, Verdict] = {}
    for chunk in _chunks(_questions(samples, several, report)):
        began = time.perf_counter()
        # Short strings repeat; the same sample has the same verdict, so it is judged once in two adjacent chunks.
        pairs = list(dict.fromkeys((text, output) for text, outputs in chunk for output in outputs))
        new = [pair for pair in pairs if pair not in verdicts]
        judged = judge(trained, new, decode=decode, max_new_tokens=max_new_tokens)
        verdicts = {pair: verdicts[pair] for pair in pairs if pair in verdicts} | dict(zip(new, judged, strict=True))
        nearest = _nearest(chunk, verdicts, cut)
        report.seconds += time.perf_counter() - began
        for found in nearest:
            report.by_length[len(found.text)].add(found.verdict)
            report.add(found.verdict, found.symbols, found.counts, found.confusions)
            if not found.verdict.right and len(report.failures) < n_failures:
                report.failures.append(Failure(found.text, found.output, found.verdict.got, found.verdict.reason))
            if on_sample is not None:
                on_sample(found)
    return report


_Question = tuple[str, Sequence[str]]  # an input and its right outputs


def _questions(samples: Iterable[Pair], several: dict[str, Sequence[str]], report: Report) -> Iterator[_Question]:
    asked = set()
    for text, output in samples:
        if text not in several:
            yield text, (output,)
        elif text in asked:
            report.alternatives += 1
        else:
            asked.add(text)
            yield text, several[text]


def _nearest(
    chunk: Sequence[_Question], verdicts: Mapping[Pair, Verdict], cut: Callable[[str], Strings]
) -> list[Judged]:
    """For each question the right output that was written, else the nearest."""
    pairs = dict.fromkeys((text, output) for text, outputs in chunk for output in outputs)
    wrong = [pair for pair in pairs if not verdicts[pair].right]
    aligned = dict(zip(wrong, align([(cut(pair[1]), cut(verdicts[pair].got or "")) for pair in wrong]), strict=True))
    found = []
    for text, outputs in chunk:
        options = [
            Judged(text, output, verdicts[text, output], len(cut(output)), *aligned.get((text, output), (NO_EDITS, ())))
            for output in outputs
        ]
        found.append(min(options, key=lambda one: (not one.verdict.right, one.counts.distance)))
    return found


def _chunks(questions: Iterable[_Question]) -> Iterator[list[_Question]]:
    chunk: list[_Question] = []
    symbols = 0
    for text, outputs in questions:
        chunk.append((text, outputs))
        symbols += len(text) + sum(map(len, outputs))
        if len(chunk) == _CHUNK_SAMPLES or symbols >= _CHUNK_SYMBOLS:
            yield chunk
            chunk, symbols = [], 0
    if chunk:
        yield chunk
