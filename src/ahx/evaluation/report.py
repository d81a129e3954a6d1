"""The result of an evaluation: counts by input length, the first failures, and why samples failed."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ahx.evaluation.edits import Confusion, Counts, Edits
from ahx.evaluation.judging import Verdict
from ahx.evaluation.reliability import Reliability


@dataclass
class Tally:
    """Sums over some samples."""

    samples: int = 0
    exact: int = 0
    tokens: int = 0  # teacher-forced output tokens, over which loss and margin are taken
    loss_sum: float = 0.0  # nats
    margin: float = math.inf  # logits

    @property
    def share(self) -> float:
        """The share of samples that are exact; not a number when there are none."""
        return self.exact / self.samples if self.samples else math.nan

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per output token; not a number when nothing was teacher-forced."""
        return self.loss_sum / self.tokens if self.tokens else math.nan

    def add(self, verdict: Verdict) -> None:
        self.samples += 1
        self.exact += verdict.right
        self.tokens += verdict.tokens
        self.loss_sum += verdict.loss
        self.margin = min(self.margin, verdict.margin)


def total(tallies: Iterable[Tally]) -> Tally:
    """The sums of several tallies."""
    result = Tally()
    for tally in tallies:
        result.samples += tally.samples
        result.exact += tally.exact
        result.tokens += tally.tokens
        result.loss_sum += tally.loss_sum
        result.margin = min(result.margin, tally.margin)
    return result


def first_difference(expected: str, got: str) -> int:
    """The first position, from 0, where two strings differ; the length of the shorter one where it begins the other."""
    positions = (i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b)
    return next(positions, min(len(expected), len(got)))


@dataclass(frozen=True)
class Failure:
    """A sample that the model got wrong."""

    text: str
    expected: str
    got: str | None  # None when nothing was decoded
    reason: str  # a key of judging.REASONS

    @property
    def position(self) -> int | None:
        """The position of the first wrong symbol, from 0; None when the model could not be asked."""
        return None if self.got is None else first_difference(self.expected, self.got)


@dataclass
class Report:
    """The result of `evaluate`."""

    by_length: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    failures: list[Failure] = field(default_factory=list)  # the first ones
    reasons: Counter[str] = field(default_factory=Counter)  # of all failures
    edits: Edits = field(default_factory=Edits)  # an answer that could not be asked for counts as empty
    reliability: Reliability = field(default_factory=Reliability)  # of the answers that were given
    alternatives: int = 0  # samples that were not counted: they give another right output for an input that was
    seconds: float = 0.0  # for making tokens and verdicts; drawing or reading samples is not counted

    def add(self, verdict: Verdict, symbols: int, counts: Counts, confusions: Sequence[Confusion]) -> None:
        """One more sample, with the edits between its output of so many symbols and what the model wrote."""
        self.edits.add(symbols, counts, () if verdict.got is None else confusions)
        if not verdict.right:
            self.reasons[verdict.reason] += 1
        if verdict.got is not None:
            self.reliability.add(verdict.probability, verdict.right)

    @property
    def total(self) -> Tally:
        return total(self.by_length.values())

    @property
    def samples_per_second(self) -> float:
        return self.total.samples / self.seconds if self.seconds else math.nan


def merged(reports: Iterable[Report]) -> Report:
    """Several reports as one."""
    result = Report()
    for report in reports:
        for length, tally in report.by_length.items():
            result.by_length[length] = total((result.by_length[length], tally))
        result.failures += report.failures
        result.reasons += report.reasons
        result.edits.merge(report.edits)
        result.reliability.merge(report.reliability)
        result.alternatives += report.alternatives
        result.seconds += report.seconds
    return result
