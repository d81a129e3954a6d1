"""Edit distances against the plain algorithm."""

import random

import pytest

from ahx.evaluation import edits
from ahx.evaluation.edits import Counts, Edits, align


def _distance(expected: str, written: str) -> int:
    row = list(range(len(written) + 1))
    for i, a in enumerate(expected, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(written, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def test_random_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    pairs = [("".join(draw.choices("ABC", k=draw.randint(0, 12))), "".join(draw.choices("ABC", k=draw.randint(0, 12))))
             for _ in range(500)]  # fmt: skip
    found = align(pairs)
    for (expected, written), (counts, confusions) in zip(pairs, found, strict=True):
        assert counts.distance == len(confusions) == _distance(expected, written)
        assert counts.insertions - counts.deletions == len(written) - len(expected)
        assert sum(a == "" for a, _ in confusions) == counts.insertions
        assert sum(b == "" for _, b in confusions) == counts.deletions
        assert all(a != b for a, b in confusions)
    monkeypatch.setattr(edits, "_CELLS", 400)
    assert align(pairs) == found  # in other groups


@pytest.mark.parametrize(
    ("expected", "written", "counts", "confusions"),
    [
        ("ABC", "AXC", Counts(1, 0, 0), [("B", "X")]),
        ("ABC", "AC", Counts(0, 0, 1), [("B", "")]),
        ("AC", "ABC", Counts(0, 1, 0), [("", "B")]),
        ("", "AB", Counts(0, 2, 0), [("", "A"), ("", "B")]),
        (["AH0", "T"], ["AE1", "T"], Counts(1, 0, 0), [("AH0", "AE1")]),  # symbols of several characters
    ],
)
def test_kinds(expected: str, written: str, counts: Counts, confusions: list[tuple[str, str]]) -> None:
    assert align([(expected, written)]) == [(counts, confusions)]


def test_strings_too_long_for_a_table_are_compared_by_position() -> None:
    """A symbol inserted after the first: the equal end is left out, so it costs one; in the middle it costs more."""
    long = "AB" * 5_000
    assert align([(long, "A" + long)])[0][0].distance == 1
    assert align([("X" + long + "Y", "Z" + long[1:] + "Z")])[0][0].deletions == 1


def test_rate() -> None:
    found = Edits()
    found.add(10)
    found.add(10, *align([("ABCDEFGHIJ", "ABXDEFGHI")])[0])
    assert (found.rate, found.substitutions, found.deletions) == (0.1, 1, 1)
    other = Edits()
    other.merge(found)
    assert other == found
