"""Whether probabilities are true: are 80 % right of the answers that have a probability of 80 %?

Guo et al. 2017, arXiv 1706.04599.
"""

import math
from dataclasses import dataclass, field

BINS = 10


@dataclass
class Bin:
    """Answers of similar probability."""

    samples: int = 0
    exact: int = 0
    probability: float = 0.0  # summed

    @property
    def share(self) -> float:
        return self.exact / self.samples

    @property
    def mean(self) -> float:
        return self.probability / self.samples


@dataclass
class Reliability:
    """Answers by probability, in bins of equal width."""

    bins: list[Bin] = field(default_factory=lambda: [Bin() for _ in range(BINS)])

    def add(self, probability: float, right: bool) -> None:
        own = self.bins[min(int(probability * BINS), BINS - 1)]
        own.samples, own.exact, own.probability = own.samples + 1, own.exact + right, own.probability + probability

    def merge(self, other: "Reliability") -> None:
        for own, more in zip(self.bins, other.bins, strict=True):
            own.samples, own.exact = own.samples + more.samples, own.exact + more.exact
            own.probability += more.probability

    @property
    def error(self) -> float:
        """The expected calibration error: the mean difference of probability and share in a bin, by its samples."""
        samples = sum(own.samples for own in self.bins)
        gaps = sum(abs(own.exact - own.probability) for own in self.bins)
        return gaps / samples if samples else math.nan
