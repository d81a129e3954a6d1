"""How many of the evaluated inputs the model was trained on.

A model that was trained on files has a sketch of their inputs (`ahx.data.seen`). One that was trained on fresh samples
of a rule has drawn most short strings: how many is computed from the number of draws.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ahx.data.samples.sampler import Sampler
from ahx.data.samples.source import FEWEST_TO_HOLD_OUT
from ahx.data.split import Hashes, hash_texts, held_out
from ahx.evaluation.judging import Pair
from ahx.evaluation.trained import Trained

_AT_ONCE = 8192


@dataclass(frozen=True)
class Leak:
    """How much of the evaluated inputs the model was trained on."""

    train: str  # the model's folder
    share: float  # 0 to 1, of the samples
    known: int = 0  # of how many samples the share is taken
    drawn: bool = False  # whether it is an expectation over what training drew from the rule

    def __str__(self) -> str:
        if self.drawn:
            return f"about {self.share:.2%} of the inputs were drawn in training (strings of these lengths are few)"
        return f"{self.share:.2%} of the inputs were trained on"


class LeakCounter:
    """Counts while samples go by. `leak` is the result; None where it is not known what the model was trained on."""

    def __init__(self, trained: Trained) -> None:
        self._trained, self.samples, self._known, self._found = trained, 0, 0, 0.0
        hp = trained.hyperparameters
        known = all(isinstance(hp.get(name), int) for name in ("min_len", "max_len", "batch_size"))
        self._drawn = trained.seen is None and trained.rule is not None and not hp.get("infile") and known

    def watch(self, samples: Iterable[Pair]) -> Iterator[Pair]:
        """The same samples."""
        texts: list[str] = []
        for text, output in samples:
            texts.append(text)
            if len(texts) == _AT_ONCE:
                self._count(texts)
                texts = []
            yield text, output
        self._count(texts)

    @property
    def leak(self) -> Leak | None:
        if self._trained.seen is None and not self._drawn:
            return None
        share = self._found / self._known if self._known else 0.0
        return Leak(str(self._trained.folder), share, self._known, self._drawn)

    def _count(self, texts: list[str]) -> None:
        cut = self._trained.tokenizer.segmentation
        hashes = hash_texts([cut.canonical(text, "")[0] for text in texts])
        self.samples += len(texts)
        if self._trained.seen is not None:
            known, found = self._trained.seen.known(hashes)
            self._known, self._found = self._known + known, self._found + found
        elif self._drawn:
            self._known, self._found = self._known + len(texts), self._found + self._expected(texts, hashes)

    def _expected(self, texts: list[str], hashes: Hashes) -> float:
        """How many of `texts` training has drawn, by expectation: lengths and symbols are drawn uniformly."""
        hp, rule = self._trained.hyperparameters, self._trained.rule
        assert rule is not None
        alphabet = hp.get("alphabet") or rule.alphabet
        least, most = int(hp["min_len"]), int(hp["max_len"])
        draws = self._trained.steps * int(hp["batch_size"]) * (0.5 if rule.snippets() else 1.0)
        lengths = np.array([len(text) for text in texts], dtype=np.float64)
        rates = draws / (most - least + 1) * np.exp(-lengths * np.log(len(alphabet)))
        possible = (lengths >= least) & (lengths <= most) & [set(text) <= set(alphabet) for text in texts]
        if Sampler(alphabet, least, min(most, least + FEWEST_TO_HOLD_OUT)).count() >= FEWEST_TO_HOLD_OUT:
            possible &= ~held_out(hashes)
        return float((possible * -np.expm1(-rates)).sum())
