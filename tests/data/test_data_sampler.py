"""Random inputs, and the arrays of strings beneath them."""

from collections import Counter

import numpy as np
import pytest

from ahx.data.files.shuffle import permuted
from ahx.data.samples.sampler import Sampler
from ahx.data.split import hash_texts, held_out
from ahx.errors import InputError


def test_every_length_is_equally_likely_and_every_symbol() -> None:
    drawn = Sampler("AB", 0, 9).draw(np.random.default_rng(0), 20_000)
    lengths = Counter(map(len, drawn))
    assert set(lengths) == set(range(10))
    assert all(1_800 < count < 2_200 for count in lengths.values())
    symbols = Counter("".join(drawn))
    assert set(symbols) == {"A", "B"}
    assert 0.49 < symbols["A"] / symbols.total() < 0.51


def test_snippets_occur_in_half_of_the_strings_and_lengths_stay() -> None:
    sampler = Sampler("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 6, 12, ["HELLO", "", "not these symbols"])
    drawn = sampler.draw(np.random.default_rng(0), 4_000)
    assert 0.45 < sum("HELLO" in text for text in drawn) / len(drawn) < 0.55
    assert {len(text) for text in drawn} == set(range(6, 13))
    assert max(text.count("HELLO") for text in drawn) == 2


def test_a_snippet_longer_than_the_string_is_cut() -> None:
    drawn = Sampler("ABCDEFGH", 3, 3, ["ABCDE"]).draw(np.random.default_rng(0), 1_000)
    assert {len(text) for text in drawn} == {3}
    assert drawn.count("ABC") > 400


def test_symbols_beyond_ascii() -> None:
    assert set("".join(Sampler("ä🐍", 1, 3).draw(np.random.default_rng(0), 50))) == {"ä", "🐍"}


@pytest.mark.parametrize(("alphabet", "shortest", "longest"), [("AB", 1, 4), ("A", 0, 6), ("ABC", 2, 2), ("AB", 0, 0)])
def test_count_is_the_number_of_distinct_strings(alphabet: str, shortest: int, longest: int) -> None:
    sampler = Sampler(alphabet, shortest, longest)
    strings = list(sampler.every())
    assert len(strings) == len(set(strings)) == sampler.count()


@pytest.mark.parametrize(
    ("alphabet", "shortest", "longest", "sentence"),
    [
        ("", 1, 3, "the alphabet is empty"),
        ("ABA", 1, 3, "the alphabet 'ABA' has 'A' more than once"),
        ("AB", -1, 3, "min_len is -1; give 0 or more"),
        ("AB", 4, 3, "max_len is 3, below min_len 4; give at least 4"),
    ],
)
def test_impossible_strings_are_refused(alphabet: str, shortest: int, longest: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Sampler(alphabet, shortest, longest)


def test_the_hash_that_splits_data_never_changes() -> None:
    # Files on users' disks were split by these numbers: when one changes, training lines become validation lines.
    assert [hex(value) for value in hash_texts(["", "A", "AB", "BA", "ä🐍"]).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x1f435c92df62ad83",
        "0xba5ec0f25341485d",
        "0x7d67d79cce5a9686",
        "0xac8e0691c8791567",
    ]


def test_a_tenth_of_all_strings_is_held_out_at_every_length() -> None:
    for length in (9, 10, 11):
        strings = list(Sampler("AB", length, length).every())
        assert 0.05 < held_out(hash_texts(strings)).mean() < 0.15


def test_hashes_do_not_depend_on_the_neighbours_and_do_not_collide() -> None:
    strings = list(Sampler("ABC", 0, 8).every())
    together = hash_texts(strings)
    assert len(set(together.tolist())) == len(strings)
    assert together[:50].tolist() == [int(hash_texts([text])[0]) for text in strings[:50]]


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1_000, 4_097])
def test_permuted_is_a_permutation(n: int) -> None:
    places = permuted(np.arange(n), n, (0, 3))
    assert sorted(places.tolist()) == list(range(n))
    if n > 10:
        assert places.tolist() != permuted(np.arange(n), n, (0, 4)).tolist()
        assert abs(np.corrcoef(np.arange(n), places)[0, 1]) < 0.1
