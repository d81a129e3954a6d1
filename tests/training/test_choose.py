"""What is chosen for a data file by comparing candidates on held-out lines."""

from pathlib import Path

import pytest
import torch

from ahx.data.monotone.alignment import MonotoneAlignment
from ahx.data.monotone.chunks import Chunks
from ahx.data.monotone.evidence import Evidence
from ahx.data.teacher import MonotoneTeacher
from ahx.model import checkpoint
from ahx.training import choose, run
from ahx.training.data import prepare
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run_paths import RunPaths
from ahx.training.start import first_model

CPU = torch.device("cpu")


@pytest.fixture
def sorting(tmp_path: Path) -> dict[str, object]:
    """A file whose outputs have no cursor."""
    lines = [f"{n},{''.join(sorted(str(n)))}\n" for n in range(1000, 9000, 37)]
    (tmp_path / "sort_train.txt").write_text("".join(lines[::2]))
    (tmp_path / "sort_val.txt").write_text("".join(lines[1::2]))
    return {
        "infile": str(tmp_path / "sort"), "model_out": str(tmp_path / "run"), "n_embd": 16, "n_layer": 1, "n_head": 2,
        "batch_size": 8, "threads": 1, "device": "cpu",
    }  # fmt: skip


def compared(given: dict[str, object], **others: object) -> tuple[dict[str, object], str]:
    hp = Hyperparameters.model_validate({**given, **others})
    paths = RunPaths.of(hp)
    return choose.choose(hp, prepare(hp, paths), lambda hp: prepare(hp, paths), CPU)


def test_the_best_candidate_is_chosen_every_time(sorting: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    tried = ["rope", "alibi", "none"]
    options = [choose.Candidate(f"pos {pos}", {"pos": pos}) for pos in tried]
    options.append(choose.Candidate("no learning", {"pos": "rope", "learning_rate": 1e-9, "muon_learning_rate": 1e-9}))
    monkeypatch.setattr(choose, "candidates", lambda hp, data: options[::-1])
    monkeypatch.setattr(choose, "_LEAST_STEPS", 20)
    chosen, why = compared(sorting, max_steps=3_000)
    assert (chosen, why) == compared(sorting, max_steps=3_000)
    assert chosen["pos"] in tried
    assert chosen.keys() == {"pos"}
    assert why.startswith(f"pos {chosen['pos']}: ")
    assert "with no learning" in why
    assert compared(sorting, max_steps=100) == (options[-1].changes, "")  # too few steps for a comparison
    assert compared(sorting, max_seconds=1) == (options[-1].changes, "")


@pytest.mark.parametrize("given", [{"pos": "none"}, {"rule": "reverse"}])
def test_where_nothing_is_open_nothing_is_chosen(sorting: dict[str, object], given: dict[str, object]) -> None:
    (Path(str(sorting["infile"]) + "_train.txt")).write_text("".join(f"AB{n},{n}BA\n" for n in "ABCDE"), "utf-8")
    (Path(str(sorting["infile"]) + "_val.txt")).write_text("BBA,ABB\n", "utf-8")
    assert compared(sorting, **given, max_steps=10**6) == ({}, "")


@pytest.mark.parametrize(
    ("given", "rows"), [({}, 2048), ({"pos": "rope"}, 0), ({"pos": "rope", "ngrams": 5}, 5), ({"rule": "reverse"}, 0)]
)
def test_outputs_of_files_that_follow_a_cursor_have_ngrams(
    sorting: dict[str, object], given: dict[str, object], rows: int
) -> None:
    for part in ("train", "val"):
        Path(f"{sorting['infile']}_{part}.txt").write_text("".join(f"AB{n},{n}BA\n" for n in "ABCDE"), "utf-8")
    hp = Hyperparameters.model_validate({**sorting, **given})
    assert first_model(hp, prepare(hp, RunPaths.of(hp)), None).config.ngrams == rows


def test_a_resumed_run_does_not_choose_again(sorting: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "choose", lambda *_, **__: ({"pos": "none", "n_embd": 8}, "because"))
    run.run(Hyperparameters.model_validate({**sorting, "max_steps": 4, "warmup_steps": 0}))
    monkeypatch.setattr(run, "choose", None)
    run.run(Hyperparameters.model_validate({**sorting, "max_steps": 8, "warmup_steps": 0, "resume": True}))
    saved = checkpoint.load(Path(str(sorting["model_out"])))
    assert (saved.config["step"], saved.model.config.pos, saved.model.config.n_embd) == (8, "none", 8)
    assert saved.config["hyperparameters"]["pos"] == "auto"


@pytest.mark.parametrize(
    ("settled", "falling", "tried"),
    [
        (0.9, 1.0, []), (0.4, 1.0, []), (0.9, 0.97, []),
        (0.3, 1.0, ["coupled", "rope"]), (0.4, 0.99, ["coupled", "rope"]), (0.9, 0.9, ["rope"]),
    ],
)  # fmt: skip
def test_a_weak_alignment_is_compared_and_a_narrow_one_left(
    sorting: dict[str, object], settled: float, falling: float, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{n},{str(n).replace('1', '23')}\n" for n in range(1000, 9000, 37)]
    for part in ("train", "val"):
        Path(f"{sorting['infile']}_{part}.txt").write_text("".join(lines), "utf-8")
    hp = Hyperparameters.model_validate({**sorting, "max_steps": 100})
    data = prepare(hp, RunPaths.of(hp))
    evidence = Evidence((-1, 1), False, settled, falling)
    alignment = MonotoneAlignment("left", Chunks(3, 1, {}, {}, {}), evidence)
    monkeypatch.setattr(data.source, "teacher", MonotoneTeacher(alignment))
    assert [option.changes["pos"] for option in choose.candidates(hp, data)] == tried
    if tried == ["rope"]:
        chosen, why = choose.choose(hp, data, lambda hp: data, CPU)
        assert chosen == {"pos": "rope"}
        assert why.startswith("pos rope: a monotone alignment was found, but")
