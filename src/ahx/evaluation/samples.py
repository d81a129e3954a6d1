"""Samples to evaluate a model on: the lines of a file, or fresh strings of a rule, at and beyond training lengths."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ahx.data.files.names import resolve_infile
from ahx.data.files.read import read_pairs
from ahx.data.files.reader import Reader
from ahx.data.samples.sampler import Sampler
from ahx.data.split import hash_texts
from ahx.errors import InputError, StorageError
from ahx.evaluation.judging import Pair
from ahx.evaluation.trained import Trained
from ahx.rules import Rule, parse_rule

#: (multiple of the training length, number of samples): fewer for long inputs, which take longer.
SAMPLES_BY_MULTIPLE = ((1, 10_000), (2, 300), (5, 100), (10, 50), (20, 20))

#: The same for interpreters: numbers of programs.
PROGRAMS_BY_MULTIPLE = ((1, 10_000), (2, 1_000), (5, 500), (10, 200), (20, 100), (50, 50))

#: Symbols of the longest input to draw: far beyond use, so that a typing error does not exhaust the memory.
LONGEST_INPUT = 1_000_000

# Training draws from (seed, 0), (seed, 1), ...; evaluation has a separate stream.
_STREAM = tuple(b"evaluation")
_AT_ONCE = 8192
_DRAWN_SYMBOLS = 1_000_000  # input symbols drawn at once


class Series(NamedTuple):
    """Samples to draw: `n` inputs of `min_len` to `max_len` symbols."""

    min_len: int
    max_len: int
    n: int


def lengths_to_try(
    text: str,
    trained_on: tuple[int, int] | None,
    n: int | None,
    by_multiple: Sequence[tuple[int, int]] = SAMPLES_BY_MULTIPLE,
) -> list[Series]:
    """The series that `--lengths` asks for: a list such as "10,20", or the usual multiples of the training length.

    `trained_on` are the least and greatest training length; without a list the first series has just these, the others
    one length each. A list needs no `trained_on`. `n` overrides the usual numbers of samples. Raises InputError.
    """
    if not text:
        if trained_on is None:
            raise InputError("--lengths: say which, such as --lengths 10,20,50")
        least, greatest = trained_on
        series = [Series(greatest * k, greatest * k, n or usual) for k, usual in by_multiple]
        return [series[0]._replace(min_len=least), *series[1:]]
    lengths = []
    for word in text.split(","):
        if not word.strip().isdecimal():
            raise InputError(f"--lengths: {word!r} is not a length; write them like 10,20,50")
        lengths.append(int(word))
    longest = trained_on[1] if trained_on else min(lengths)
    return [Series(length, length, n or _usual(length, longest, by_multiple)) for length in dict.fromkeys(lengths)]


def _usual(length: int, training_length: int, by_multiple: Sequence[tuple[int, int]]) -> int:
    return next((n for multiple, n in by_multiple if length <= multiple * training_length), by_multiple[-1][1])


def rule_to_draw(trained: Trained, given: str | None) -> Rule:
    """The rule `given`, or else the one that the model learnt. Raises InputError where that is not known."""
    if given is not None:
        return parse_rule(given)
    if trained.lost is not None:
        raise trained.lost
    if trained.rule is None:
        raise InputError(
            f"{trained.folder} was trained on a file, and its rule is not known; "
            "say what to evaluate it on: --data FILE or --rule RULE"
        )
    return trained.rule


def alphabet_of(trained: Trained, rule: Rule) -> str:
    """The symbols of training; for another rule, those of its own symbols that the model knows."""
    if trained.rule is not None and trained.rule.spec == rule.spec:
        return trained.hyperparameters.get("alphabet") or rule.alphabet
    known = trained.tokenizer.alphabet
    return "".join(symbol for symbol in rule.alphabet if symbol in known) or rule.alphabet


def draw(rule: Rule, alphabet: str, series: Series, seed: int) -> Iterator[Pair]:
    """Fresh samples of `rule`, drawn a batch at a time. Raises InputError for an impossible alphabet or length."""
    if series.max_len > LONGEST_INPUT:
        raise InputError(f"inputs of {series.max_len:,} symbols are too long to draw; the most is {LONGEST_INPUT:,}")
    sampler = Sampler(alphabet, series.min_len, series.max_len, rule.snippets())
    rng = np.random.default_rng((seed, *_STREAM, series.min_len, series.max_len))
    batch = max(1, _DRAWN_SYMBOLS // max(1, series.max_len))
    left = series.n
    while left:
        texts = sampler.draw(rng, min(batch, left))
        left -= len(texts)
        outputs: dict[str, str] = {}  # short strings repeat
        for text in texts:
            if text not in outputs:
                outputs[text] = rule.apply(text)
            yield text, outputs[text]


def data_files(path: str) -> tuple[Path, ...]:
    """The file itself, or the files for validation, else for testing, of a data set: data/da is data/da_val.txt."""
    if Path(path).is_file():
        return (Path(path),)
    with suppress(StorageError):
        files = resolve_infile(path)
        return files.val or files.test or files.train
    return (Path(path),)


def reader_of(trained: Trained, **said: str | None) -> Reader:
    """What reads files as in training, but for the format, columns or header that are said."""
    reader = trained.reader
    changes: dict[str, Any] = {name: value for name, value in said.items() if value}
    reader.reading = replace(reader.reading, **changes)
    return reader


def lines_of(trained: Trained, paths: Iterable[Path], n: int | None = None, **said: str | None) -> Iterator[Pair]:
    """The first `n` lines of files, read by `reader_of`."""
    reader = reader_of(trained, **said)
    return islice(chain.from_iterable(read_pairs(path, reader) for path in paths), n)


def alternatives(read: Callable[[], Iterable[Pair]]) -> dict[str, list[str]]:
    """The inputs that occur with several outputs among the samples that `read` gives, and these outputs.

    Reads twice, and takes 8 bytes of memory per sample.
    """
    hashes = [np.empty(0, np.uint64)]
    samples = iter(read())
    while texts := [text for text, _ in islice(samples, _AT_ONCE)]:
        hashes.append(hash_texts(texts))
    distinct, lines = np.unique(np.concatenate(hashes), return_counts=True)
    repeated = distinct[lines > 1]
    outputs: dict[str, dict[str, None]] = {}
    samples = iter(read()) if len(repeated) else iter(())
    while pairs := list(islice(samples, _AT_ONCE)):
        for at in np.flatnonzero(np.isin(hash_texts([text for text, _ in pairs]), repeated)).tolist():
            text, output = pairs[at]
            outputs.setdefault(text, {})[output] = None
    return {text: list(own) for text, own in outputs.items() if len(own) > 1}
