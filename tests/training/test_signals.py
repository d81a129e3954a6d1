"""SIGTERM while a run is being prepared."""

import os
import signal
import time

import pytest

from ahx.training.signals import StoppedEarly, StopRequest


def wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def test_preparations_end_soon_after_a_signal() -> None:
    with StopRequest(patience=0.05) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedEarly, match="stopped by SIGTERM before the first step"):
            wait(30)
    assert stop.signal == signal.SIGTERM


def test_whoever_is_prepared_stops_when_it_suits() -> None:
    with StopRequest(patience=0.05) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.prepared()
        wait(0.2)
    assert stop.signal == signal.SIGTERM
