"""Training on fresh samples of a rule."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ahx.data.samples.enumeration import listable, split_all, spread
from ahx.data.samples.sampler import Sampler
from ahx.data.source import Source
from ahx.data.split import hash_texts, held_out
from ahx.data.teacher import Teacher, TransducerTeacher, choose_teacher
from ahx.data.token_rows import Row, row_of
from ahx.data.tokenizer import Tokenizer
from ahx.rules.rule import Rule

Pair = tuple[str, str]

_TRAINING, _VALIDATION, _FRESH, _PROBES = 0, 1, 2, 0xF17  # separate streams of random numbers
_N_PROBES = 4_000  # samples from which the vocabulary and the longest row are read
FEWEST_TO_HOLD_OUT = 1_000  # below this many distinct strings, every one is needed for training
_REMEMBERED_ROWS = 100_000
_DRAWS = 1_000


class RuleSource(Source):
    """Fresh samples of a rule at every step. No training input is one that is held out for validation."""

    def __init__(
        self, rule: Rule, teacher: Teacher, tokenizer: Tokenizer, sampler: Sampler, seed: int, longest_row: int = 0
    ) -> None:
        self.rule, self.teacher, self.tokenizer, self.sampler, self.seed = rule, teacher, tokenizer, sampler, seed
        self.longest_row = longest_row
        self.note = ""
        self.holds_out = sampler.count() >= FEWEST_TO_HOLD_OUT
        if not self.holds_out:
            self.note = (
                f"there are only {sampler.count():,} distinct strings of length {sampler.min_len} to "
                f"{sampler.max_len}: all are used for training, and validation is on the same ones"
            )
            self.notes = [self.note]
        self._remembered: dict[str, npt.NDArray[np.uint16]] = {}

    def batch(self, step: int, batch_size: int) -> list[npt.NDArray[np.uint16]]:
        """Token rows for training step `step`: a function of (seed, step, batch_size)."""
        rng = np.random.default_rng((self.seed, _TRAINING, step))
        texts: list[str] = []
        while len(texts) < batch_size:
            drawn = self.sampler.draw(rng, batch_size + batch_size // 4 + 8)  # a tenth will be held out
            if self.holds_out:
                kept = ~held_out(hash_texts(drawn))
                drawn = [text for text, keep in zip(drawn, kept.tolist(), strict=True) if keep]
            texts += drawn
        return [self._row(text) for text in texts[:batch_size]]

    def validation(self, n: int) -> list[Pair]:
        """Up to `n` distinct held-out pairs; of all pairs, where there are too few to hold any out."""
        rng = np.random.default_rng((self.seed, _VALIDATION))
        if not self.holds_out:
            return self._pairs(spread(rng, list(self.sampler.every()), n))
        if listable(self.sampler):
            return self._pairs(spread(rng, split_all(self.sampler)[1], n))
        found: dict[str, None] = {}
        for _ in range(_DRAWS):
            drawn = self.sampler.draw(rng, max(1, min(n, 4_000_000 // max(1, self.sampler.max_len))))
            kept = held_out(hash_texts(drawn)).tolist()
            found.update((text, None) for text, keep in zip(drawn, kept, strict=True) if keep)
            if len(found) >= n:
                break
        return self._pairs(list(found)[:n])

    def validation_rows(self, n: int) -> list[Row]:
        return self._rows(self.validation(n))

    def fresh(self, n: int, stream: int, sampler: Sampler | None = None) -> list[Pair]:
        """`n` new pairs for evaluation, others for each `stream`; of other lengths with another `sampler`."""
        rng = np.random.default_rng((self.seed, _FRESH, stream))
        return self._pairs((sampler or self.sampler).draw(rng, n))

    def fresh_rows(self, n: int, stream: int) -> list[Row]:
        return self._rows(self.fresh(n, stream))

    def _rows(self, pairs: Sequence[Pair]) -> list[Row]:
        return [row_of(self.teacher, self.tokenizer, *pair) for pair in pairs]

    def _pairs(self, texts: Sequence[str]) -> list[Pair]:
        return [(text, self.rule.apply(text)) for text in texts]

    def _row(self, text: str) -> npt.NDArray[np.uint16]:
        row = self._remembered.get(text)
        if row is None:
            if isinstance(self.teacher, TransducerTeacher):
                steps = self.teacher.follow(text)  # its steps spell the output, so the rule need not be applied
            else:
                steps = self.teacher.steps(text, self.rule.apply(text))
            row = np.array(self.tokenizer.encode_input(text) + self.tokenizer.encode_steps(steps), dtype=np.uint16)
            if len(self._remembered) >= _REMEMBERED_ROWS:
                self._remembered.clear()
            self._remembered[text] = row
        return row


def fit_rule(rule: Rule, sampler: Sampler, seed: int, use_cursor: bool, given: Tokenizer | None) -> RuleSource:
    """The samples of `rule`, with the teacher and the vocabulary that suit it.

    A vocabulary that is `given` is used where it has all tokens of the samples.
    """
    rng = np.random.default_rng((seed, _PROBES))
    # Runs of one symbol often give the longest outputs, and random strings are hardly ever runs.
    texts = sampler.draw(rng, _N_PROBES) + [symbol * sampler.max_len for symbol in sampler.alphabet]
    outputs = {text: rule.apply(text) for text in dict.fromkeys(texts)}  # short strings repeat
    teacher = choose_teacher(rule, [(text, outputs[text]) for text in texts], use_cursor)
    steps = [(text, teacher.steps(text, output)) for text, output in outputs.items()]
    tokenizer = Tokenizer.fit(steps, sampler.alphabet, teacher.start).or_wider(given)
    longest_row = max(len(text) + len(taken) + 2 for text, taken in steps)
    return RuleSource(rule, teacher, tokenizer, sampler, seed, longest_row)
