"""Counts, groups, failures and how they are shown."""

import dataclasses
import itertools
import json

import pytest

from ahx.errors import InputError
from ahx.evaluation.evaluate import evaluate
from ahx.evaluation.render import Leak, as_json, as_text, by_length, caret, excerpt, percent
from ahx.evaluation.report import Report, Tally, first_difference, merged
from ahx.evaluation.samples import Series, draw, lengths_to_try
from ahx.evaluation.trained import Trained

SAMPLES = [("A", "AA"), ("C", "C"), ("ABC", "AAC"), ("CAC", "CAC"), ("A", "AA"), ("CXC", "CXC"), ("CCA", "CCAA")]


@pytest.fixture
def report(trained: Trained) -> Report:
    return evaluate(trained, iter(SAMPLES))


def test_counts_by_length_and_failures_in_the_order_of_the_samples(report: Report) -> None:
    assert {length: (t.samples, t.exact) for length, t in report.by_length.items()} == {1: (3, 3), 3: (4, 2)}
    assert (report.total.samples, report.total.exact) == (7, 5)
    assert report.reasons == {"teacher": 1, "alphabet": 1}
    assert [(f.text, f.got, f.position, f.reason) for f in report.failures] == [
        ("CAC", "CAAC", 2, "teacher"),
        ("CXC", None, None, "alphabet"),
    ]
    assert 0 < report.total.loss < 1
    assert report.total.margin == min(tally.margin for tally in report.by_length.values()) > 0


def test_chunks_do_not_change_the_result(imperfect: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imperfect.rule is not None
    pairs = list(draw(imperfect.rule, "ABC", Series(0, 6, 300), seed=1))
    whole = evaluate(imperfect, pairs, n_failures=7)
    monkeypatch.setattr("ahx.evaluation.evaluate._CHUNK_SAMPLES", 64)
    monkeypatch.setattr("ahx.evaluation.evaluate._CHUNK_SYMBOLS", 400)
    parts = evaluate(imperfect, pairs, n_failures=7)
    assert parts.failures == whole.failures
    assert len(parts.failures) == 7
    assert parts.reasons == whole.reasons
    for length, tally in whole.by_length.items():
        found = parts.by_length[length]
        assert (found.samples, found.exact, found.tokens) == (tally.samples, tally.exact, tally.tokens)
        assert found.loss == pytest.approx(tally.loss, abs=1e-4)
    assert merged([parts, whole]).total.samples == 600


def test_an_endless_stream_is_read_a_chunk_at_a_time(trained: Trained) -> None:
    read = itertools.count()
    stream = (("C", "C") for _ in itertools.islice(read, 20_000))
    assert evaluate(trained, stream).total.exact == 20_000
    assert evaluate(trained, []).total.samples == 0


@pytest.mark.parametrize(
    ("expected", "got", "place"), [("AAB", "AAC", 2), ("AAB", "AA", 2), ("AA", "AAB", 2), ("", "A", 0), ("A", "A", 1)]
)
def test_first_difference(expected: str, got: str, place: int) -> None:
    assert first_difference(expected, got) == place


@pytest.mark.parametrize("at", [0, 5, 59, 60, 61, 100, 199])
def test_the_caret_stands_under_the_wrong_symbol(at: int) -> None:
    text = "." * at + "X" + "." * (200 - at)
    assert excerpt(text, at)[caret(text, at)] == "X"
    assert len(excerpt(text, at)) <= 80


def test_text(report: Report) -> None:
    lines = as_text("a title", report, by_length(report), False, Leak("x_train.txt", 0.985)).splitlines()
    assert lines[:3] == ["a title", "", "  exact match    5 / 7  71.42 %"]
    assert "  leak           98.50% of the inputs were trained on" in lines
    assert [line.split()[:4] for line in lines if line.startswith("       ") and " / " in line] == [
        ["1", "3", "/", "3"],
        ["3", "2", "/", "4"],
    ]
    at = lines.index("  input     CAC")
    assert lines[at : at + 4] == [
        "  input     CAC",
        "  expected  CAC",
        "  got       CAAC",
        "              ^ symbol 3 should be 'C'",
    ]
    assert lines[-1] == "  got       nothing: the input has a symbol that the model has no token for"


def test_json_is_complete_and_has_no_infinities(report: Report) -> None:
    groups = by_length(report)
    found = as_json({"model": "m", "rule": None, "data": "d"}, report, groups, False, Leak("t", 0.5))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == [
        "model", "rule", "data", "mode", "samples", "exact", "exact_share", "loss", "min_margin", "leak", "by_length",
        "failure_reasons", "failures", "seconds", "samples_per_second", "alternatives", "symbol_errors", "calibration",
    ]  # fmt: skip
    assert found["mode"] == "teacher_forced"
    assert list(found["by_length"][0]) == [
        "min_len", "max_len", "samples", "exact", "exact_share", "loss", "min_margin",
    ]  # fmt: skip
    assert found["failures"][0] == {
        "input": "CAC", "expected": "CAC", "got": "CAAC", "position": 2, "reason": "teacher",
    }  # fmt: skip
    empty = as_json({}, Report(), [], True, None)
    assert (empty["exact_share"], empty["loss"], empty["min_margin"]) == (None, None, None)
    json.dumps(empty, allow_nan=False)


def test_nearly_all_is_never_shown_as_all() -> None:
    assert percent(Tally(samples=1_000_000, exact=999_999)) == "99.99 %"
    assert percent(Tally(samples=3, exact=3)) == "100.00 %"
    assert percent(Tally()) == "-"


def test_many_lengths_share_the_rows_of_a_table() -> None:
    report = Report()
    for length in range(1, 301):
        report.by_length[length] = Tally(samples=2, exact=1)
    rows = [line for line in as_text("", report, by_length(report), True, None).splitlines() if " / " in line][1:]
    assert len(rows) == 20
    assert rows[0].split()[:4] == ["1-15", "15", "/", "30"]
    assert rows[-1].split()[0] == "286-300"


# What to draw


@pytest.mark.parametrize(
    ("text", "trained_on", "n", "series"),
    [
        ("", (1, 10), None, [(1, 10, 10_000), (20, 20, 300), (50, 50, 100), (100, 100, 50), (200, 200, 20)]),
        ("", (2, 3), 7, [(2, 3, 7), (6, 6, 7), (15, 15, 7), (30, 30, 7), (60, 60, 7)]),
        ("10, 5,10,11,5000", (1, 10), None, [(10, 10, 10_000), (5, 5, 10_000), (11, 11, 300), (5000, 5000, 20)]),
        ("8,16", None, None, [(8, 8, 10_000), (16, 16, 300)]),
    ],
)
def test_lengths(text: str, trained_on: tuple[int, int] | None, n: int | None, series: list[Series]) -> None:
    assert lengths_to_try(text, trained_on, n) == series


@pytest.mark.parametrize("text", ["x", "10,", "-3", "1.5", "10;20"])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="is not a length; write them like 10,20,50"):
        lengths_to_try(text, (1, 10), None)


def test_drawn_samples_are_repeatable_and_right(trained: Trained) -> None:
    rule = trained.rule
    assert rule is not None
    series = Series(2, 9, 50)
    first = list(draw(rule, "AC", series, seed=4))
    assert first == list(draw(rule, "AC", series, seed=4)) != list(draw(rule, "AC", series, seed=5))
    assert all(rule.apply(text) == output for text, output in first)
    assert {len(text) for text, _ in first} <= set(range(2, 10))
    with pytest.raises(InputError, match="2,000,000 symbols are too long"):
        next(draw(rule, "AC", Series(1, 2_000_000, 1), 0))


def test_training_lengths_of_a_model_trained_on_a_file_are_unknown(trained: Trained) -> None:
    assert trained.training_lengths() == (1, 6)
    on_file = dataclasses.replace(trained, hyperparameters={**trained.hyperparameters, "infile": "x"})
    with pytest.raises(InputError, match="was trained on a file"):
        on_file.training_lengths()
