"""Batches of log events, as PutLogEvents takes them."""

from infra.embedded.sagemaker.execution.log_shipping import _batches

HOUR = 3600 * 1000


def test_a_clock_that_is_set_back_or_on_makes_no_batch_that_is_refused() -> None:
    times = [50 * HOUR, 2 * HOUR, 51 * HOUR, 26 * HOUR, 2 * HOUR]
    batches = list(_batches([{"timestamp": time, "message": str(n)} for n, time in enumerate(times)]))
    assert [[event["message"] for event in batch] for batch in batches] == [["1", "4"], ["3"], ["0", "2"]]


def test_a_batch_holds_10_000_events_and_1_048_576_bytes_with_26_an_event() -> None:
    assert [len(batch) for batch in _batches([{"timestamp": 1, "message": "x"}] * 10_001)] == [10_000, 1]
    quarter = {"timestamp": 1, "message": "x" * (262_144 - 26)}
    assert [len(batch) for batch in _batches([quarter] * 5)] == [4, 1]
