"""The learning curve of a run: where its points are, and that they change nothing else."""

import json
import signal
from pathlib import Path

import pytest
from small_runs import settings, weights

from ahx.training.curve import Curve
from ahx.training.run import run
from ahx.training.signals import StopRequest


def test_the_learning_curve_goes_on_after_a_stop_and_changes_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(path: Path, without: set[str]) -> list[dict[str, float]]:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [{name: value for name, value in line.items() if name not in without} for line in lines]

    def points(folder: Path) -> list[dict[str, float]]:
        return rows(folder / "curve.jsonl", {"seconds"})

    longer = {"max_steps": 200, "batch_size": 32, "epoch_size": 1600, "checkpoint_interval": None}
    run(settings(tmp_path / "once", **longer))
    between = [6, 12, 18, 27, 40, 75]
    assert [point["step"] for point in points(tmp_path / "once")] == sorted([*between, 50, 100, 150, 200])
    with StopRequest() as stop:
        real = Curve.measure

        def measure(self: Curve, step: int, seconds: float) -> None:
            if step == 75:
                stop.signal = signal.SIGTERM
            real(self, step, seconds)

        monkeypatch.setattr(Curve, "measure", measure)
        assert run(settings(tmp_path / "twice", **longer), stop=stop).step == 75
        monkeypatch.undo()
    with open(tmp_path / "twice" / "curve.jsonl", "ab") as file:
        file.write(b'{"step": 70, "val_')
    run(settings(tmp_path / "twice", **longer, resume=True))
    assert points(tmp_path / "twice") == points(tmp_path / "once")
    monkeypatch.setattr(Curve, "is_due", lambda self, step: False)
    run(settings(tmp_path / "without", **longer))
    assert weights(tmp_path / "once") == weights(tmp_path / "twice") == weights(tmp_path / "without")
    once, without = (
        rows(tmp_path / name / "metrics.jsonl", {"seconds", "tokens_per_second"}) for name in ("once", "without")
    )
    assert once == without
