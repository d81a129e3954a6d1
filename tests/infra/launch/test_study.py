"""Trials of a study as jobs of one sweep that grows."""

from pathlib import Path
from typing import Any

from ahx.study.trial import Config
from infra.launch.backends.local import LocalBackend
from infra.launch.engine import Engine
from infra.launch.options import Options
from infra.launch.study_runner import SweepRunner
from infra.launch.trial import SweepState

BASE: Config = {
    "rule": "double_a", "max_len": 4, "n_layer": 1, "n_head": 2, "n_embd": 16, "max_steps": 120, "batch_size": 32,
    "epoch_size": 160, "val_samples": 20, "until_exact": 100, "threads": 1,
}  # fmt: skip


def runner(folder: Path) -> SweepRunner:
    backend = LocalBackend("process", folder / "sweeps")

    def follow(sweep: str, manifest: Any) -> SweepState:
        return Engine(backend, sweep, manifest, pace=(0.1, 0.5)).run()

    return SweepRunner(backend, "study-da", Options(), folder / "trials", follow)


def test_a_batch_adds_to_the_sweep_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    first = runner(tmp_path)
    trained = first.train([{**BASE, "seed": 0}])
    folders = set((tmp_path / "sweeps" / "study-da").glob("ahx-*"))
    later = runner(tmp_path)
    both = later.train([{**BASE, "seed": 0}, {**BASE, "seed": 1, "max_steps": 10, "warmup_steps": 1}])
    assert both[0] == trained[0]
    assert both[0].exact
    assert both[0].samples == both[0].steps * 32
    assert not both[1].exact
    assert len(folders) == 1
    assert folders < set((tmp_path / "sweeps" / "study-da").glob("ahx-*"))
    model = runner(tmp_path).model({**BASE, "seed": 0})
    assert model is not None
    assert (model / "model.safetensors").is_file()
