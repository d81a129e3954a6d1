"""Training on fresh samples of a rule."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ahx.data.samples.enumeration import listable, split_all, spread
from ahx.data.samples.sampler import Sampler
from ahx.data.source import Source
from ahx.data.split import hash_texts, held_out
from ahx.data.teacher import Teacher, TransducerTeacher, choose_teacher
from ahx.data.token_rows import Row
from ahx.data.tokenizer import Tokenizer
from ahx.errors import InputError
from ahx.rules.closure import all_steps
from ahx.rules.rule import Rule
from ahx.rules.transducer import Step
from ahx.text.plural import counted

Pair = tuple[str, str]
Answer = tuple[str, list[Step]]

_TRAINING, _VALIDATION, _FRESH, _PROBES = 0, 1, 2, 0xF17  # separate streams of random numbers
_N_PROBES = 4_000  # samples from which the vocabulary and the longest row are read
_SURE = 5  # if a step comes up in fewer of them, there may be others that do not come up
FEWEST_TO_HOLD_OUT = 1_000  # below this many distinct strings, every one is needed for training
_REMEMBERED_ROWS = 100_000
_SHORT, _REMEMBERED_ANSWERS = 40, 20_000  # steps of answers that are remembered, and how many are, for each rule
_DRAWS = 1_000


@lru_cache(maxsize=8)
def _known(rule: str, teacher: str) -> dict[str, Answer]:
    """Short answers, which all sources of one rule share: a process may train many models."""
    return {}


class _UnlikeError(InputError):
    """A sample is unlike those that teacher, vocabulary and longest row were read from."""


class Answers:
    """The output of a rule for an input, and the steps that write it."""

    def __init__(self, rule: Rule, teacher: Teacher) -> None:
        self.rule, self.teacher = rule, teacher
        self._known = _known(rule.spec, json.dumps(teacher.to_json()))

    def of(self, text: str, output: str | None = None) -> Answer:
        """`output` is given where it is known. Raises _UnlikeError when the teacher does not write it."""
        known = self._known.get(text)
        if known is None:
            output = self.rule.apply(text) if output is None else output
            try:
                known = output, self.teacher.steps(text, output)
            except InputError as error:
                raise _UnlikeError(str(error)) from None
            if len(known[1]) <= _SHORT and len(self._known) < _REMEMBERED_ANSWERS:
                self._known[text] = known
        return known

    def steps(self, text: str) -> list[Step]:
        """The steps alone, with less work for inputs that are not remembered."""
        if text in self._known or not isinstance(self.teacher, TransducerTeacher):
            return self.of(text)[1]
        return self.teacher.follow(text)  # its steps spell the output, so the rule need not be applied


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
        self._answers = Answers(rule, teacher)
        self._remembered: dict[str, npt.NDArray[np.uint16]] = {}
        self._left_out: dict[str, str] = {}  # samples that cannot be learnt, and why

    def batch(self, step: int, batch_size: int) -> list[npt.NDArray[np.uint16]]:
        """Token rows for training step `step`: a function of (seed, step, batch_size)."""
        rng = np.random.default_rng((self.seed, _TRAINING, step))
        rows: list[npt.NDArray[np.uint16]] = []
        for _ in range(_DRAWS):
            drawn = self.sampler.draw(rng, batch_size + batch_size // 4 + 8)  # a tenth will be held out
            if self.holds_out:
                kept = ~held_out(hash_texts(drawn))
                drawn = [text for text, keep in zip(drawn, kept.tolist(), strict=True) if keep]
            for text in drawn:
                if (row := self._row(text)) is not None:
                    rows.append(row)
                if len(rows) == batch_size:
                    return rows
        raise InputError(f"hardly any sample can be learnt: {next(iter(self._left_out.values()))}")

    def validation(self, n: int) -> list[Pair]:
        """Up to `n` distinct held-out pairs; of all pairs, where there are too few to hold any out."""
        return self._pairs(self._validation(n))

    def _validation(self, n: int) -> list[str]:
        rng = np.random.default_rng((self.seed, _VALIDATION))
        if not self.holds_out:
            return spread(rng, list(self.sampler.every()), n)
        if listable(self.sampler):
            return spread(rng, split_all(self.sampler)[1], n)
        found: dict[str, None] = {}
        for _ in range(_DRAWS):
            drawn = self.sampler.draw(rng, max(1, min(n, 4_000_000 // max(1, self.sampler.max_len))))
            kept = held_out(hash_texts(drawn)).tolist()
            found.update((text, None) for text, keep in zip(drawn, kept, strict=True) if keep)
            if len(found) >= n:
                break
        return list(found)[:n]

    def validation_rows(self, n: int) -> list[Row]:
        return self._rows(self._validation(n))

    def fresh(self, n: int, stream: int, sampler: Sampler | None = None) -> list[Pair]:
        """`n` new pairs for evaluation, others for each `stream`; of other lengths with another `sampler`."""
        return self._pairs(self._fresh(n, stream, sampler or self.sampler))

    def fresh_rows(self, n: int, stream: int) -> list[Row]:
        return self._rows(self._fresh(n, stream, self.sampler))

    def _fresh(self, n: int, stream: int, sampler: Sampler) -> list[str]:
        return sampler.draw(np.random.default_rng((self.seed, _FRESH, stream)), n)

    @property
    def left_out(self) -> str:
        """A sentence about the samples that cannot be learnt; "" where there were none."""
        if not self._left_out:
            return ""
        n = counted(len(self._left_out), "sample")
        return f"{n} left out, unlike all of the first {_N_PROBES:,}: {next(iter(self._left_out.values()))}"

    def _rows(self, texts: Sequence[str]) -> list[Row]:
        encoded = (self._encode(text, lambda text: self._answers.of(text)[1]) for text in texts)
        return [row for row in encoded if row is not None]

    def _pairs(self, texts: Sequence[str]) -> list[Pair]:
        return [(text, self.rule.apply(text)) for text in texts]

    def _encode(self, text: str, steps_of: Callable[[str], Sequence[Step]]) -> npt.NDArray[np.uint16] | None:
        """The row of `text`; None for one that is left out. Raises InputError where the rule itself fails."""
        try:
            return self._fitting(text, steps_of(text))
        except _UnlikeError as error:
            self._left_out[text] = str(error)
            return None

    def _fitting(self, text: str, steps: Sequence[Step]) -> npt.NDArray[np.uint16]:
        try:
            numbers = self.tokenizer.encode_input(text) + self.tokenizer.encode_steps(steps)
        except InputError as error:
            raise _UnlikeError(str(error)) from None
        if self.teacher.kind == "plain" and 0 < self.longest_row < len(numbers):
            raise _UnlikeError(f"{text[:40]!r} takes {len(numbers):,} tokens, more than {self.longest_row:,}")
        return np.array(numbers, dtype=np.uint16)

    def _row(self, text: str) -> npt.NDArray[np.uint16] | None:
        row = self._remembered.get(text)
        if row is None and text not in self._left_out and (row := self._encode(text, self._answers.steps)) is not None:
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
    distinct = list(dict.fromkeys(texts))  # short strings repeat
    known = {text: rule.apply(text) for text in distinct} if use_cursor and rule.transducer() is None else {}
    teacher = choose_teacher(rule, ((text, known[text]) for text in texts), use_cursor)
    answers = Answers(rule, teacher)
    steps = [(text, answers.of(text, known.get(text))[1]) for text in distinct]
    seen = Counter(step for _, taken in steps for step in set(taken))
    if isinstance(teacher, TransducerTeacher) and min(seen.values()) < _SURE:
        seen.update(all_steps(teacher.transducer, sampler.alphabet) or ())
    tokenizer = Tokenizer.fit([("", list(seen))], sampler.alphabet, teacher.start).or_wider(given)
    longest_row = max(len(text) + len(taken) + 2 for text, taken in steps)
    return RuleSource(rule, teacher, tokenizer, sampler, seed, longest_row)
