"""Certified queue machines: the proof at all windows, execution by the model, and damaged weights."""

import json
import os
import re
import shutil
import signal
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ahx.errors import AhxError, InputError, StorageError
from ahx.evaluation.execution import Execution
from ahx.evaluation.recording import Recorder
from ahx.evaluation.spacetime import Diagram
from ahx.evaluation.trained import Trained, load_trained
from ahx.evaluation.verification import machine_learnt, verify
from ahx.model import checkpoint
from ahx.model.certificate import machine_of
from ahx.model.decoding import generate
from ahx.model.transformer import Transformer
from ahx.model.windows import WindowFunction
from ahx.rules import parse_rule
from ahx.training.hyperparameters import Hyperparameters
from ahx.training.run import run
from entrypoints.main import main


def certified(folder: Path, rule: str) -> Path:
    run(Hyperparameters.model_validate({"rule": rule, "certify": True, "model_out": str(folder), "device": "cpu"}))
    return folder


@pytest.fixture(scope="module")
def bb4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified(tmp_path_factory.mktemp("machines") / "bb4", "bb4")


@pytest.fixture(scope="module")
def learnt(bb4: Path) -> Trained:
    return load_trained(bb4, trusted=None)


def execution(trained: Trained, text: str = "", **how: bool) -> Execution:
    return Execution(trained.model, trained.tokenizer, machine_learnt(trained), text, **how)


def test_the_certificate_names_the_machine_and_holds(bb4: Path, learnt: Trained) -> None:
    certificate = json.loads((bb4 / checkpoint.CERTIFICATE).read_text())
    assert certificate["certified"]
    assert certificate["windows"] == {"checked": 262, "all": 262}
    assert certificate["least_margin"] >= 3
    assert certificate["rule"].startswith("turing: 1RB1LB_")
    assert verify(learnt).certified
    assert "```\nahx verify .\nahx exec . --steps 1000\n```" in (bb4 / "README.md").read_text()


def test_the_network_runs_to_the_halt(learnt: Trained) -> None:
    outputs = []
    for cached in (True, False):
        it = execution(learnt, cached=cached)
        it.run()
        assert it.halted
        assert it.steps == 107
        outputs.append((machine_learnt(learnt).unload(it.queue()), it.tokens))
    assert outputs[0] == outputs[1] == ("1Z0111111111111", 1038)
    assert outputs[0][0].count("1") == 13


def test_execution_writes_what_decoding_token_by_token_writes(learnt: Trained) -> None:
    machine, tokenizer = machine_learnt(learnt), learnt.tokenizer
    prompts = [tokenizer.encode_input(machine.load(text)) for text in ("", "0110", "10C01")]
    decoded = generate(learnt.model, prompts, tokenizer.stop, 2000)
    for text, tokens in zip(("", "0110", "10C01"), decoded, strict=True):
        for cached in (True, False):
            it = execution(learnt, text, cached=cached)
            written: list[int] = []
            take = it._take
            it._take = lambda token, take=take, written=written: (written.append(token), take(token))  # type: ignore[method-assign]
            it.run(tokens=2000)
            assert written[:2000] == tokens


@pytest.mark.parametrize("cached", [True, False])
def test_execution_stops_where_it_is_told_to(learnt: Trained, cached: bool) -> None:
    it = execution(learnt, cached=cached)
    it.run(tokens=100)
    assert (it.tokens, it.halted) == (100, False)
    it.run(steps=50)
    assert it.steps == 50
    assert learnt.rule is not None
    assert machine_learnt(learnt).unload(it.queue()) == list(learnt.rule.trace(""))[50]


def test_a_damaged_model_follows_its_own_answers_cached_or_not(learnt: Trained) -> None:
    """Whatever the weights are, asking many windows at once writes what asking one by one writes."""
    torch.manual_seed(3)
    for scale in (0.3, 1.0, 3.0):
        model = type(learnt.model)(learnt.model.config)
        model.load_state_dict(learnt.model.state_dict())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * parameter.std() * scale)
        runs = []
        for cached in (True, False):
            it = Execution(model, learnt.tokenizer, machine_learnt(learnt), "0110", cached)
            it.run(tokens=300)
            runs.append((it.tokens, it.steps, it.halted, it.queue()))
        assert runs[0] == runs[1]


def test_verify_notices_other_weights(bb4: Path, tmp_path: Path) -> None:
    """Changed weights with updated hashes: only checking the model detects them."""
    shutil.copytree(bb4, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / checkpoint.CHECKPOINTS)
    saved = checkpoint.load(tmp_path / "copy")
    with torch.no_grad():
        saved.model.head.weight_FC[saved.tokenizer.stop % len(saved.model.head.weight_FC)] += 5.0
    about = {k: saved.config[k] for k in ("rule", "teacher", "hyperparameters", "step")}
    checkpoint.save_flat(tmp_path / "copy", saved.model, saved.tokenizer, about)
    verdict = verify(load_trained(tmp_path / "copy", trusted=None))
    assert not verdict.certified
    assert any(complaint.startswith("weights_sha256") for complaint in verdict.complaints)


def test_a_run_that_is_too_short_says_that_nothing_is_proved(tmp_path: Path) -> None:
    settings = {"rule": "bb4", "certify": True, "num_epochs": 1, "model_out": str(tmp_path), "device": "cpu"}
    with pytest.raises(AhxError, match=r"not certified: \d+ of 262 windows right.*num_epochs"):
        run(Hyperparameters.model_validate(settings))
    assert not json.loads((tmp_path / checkpoint.CERTIFICATE).read_text())["certified"]
    assert not verify(load_trained(tmp_path, trusted=None)).certified


def test_verify_notices_an_edited_certificate(bb4: Path, tmp_path: Path) -> None:
    shutil.copytree(bb4, tmp_path / "copy")
    path = tmp_path / "copy" / checkpoint.CERTIFICATE
    certificate = json.loads(path.read_text())
    path.write_text(json.dumps({**certificate, "least_margin": 99.0}))
    assert verify(load_trained(tmp_path / "copy", trusted=None)).complaints == (
        f"least_margin: the certificate says 99.0, found {certificate['least_margin']:.4f}",
    )


@pytest.mark.parametrize(("name", "value"), [("machine", {"window": 3}), ("least_margin", float("nan"))])
def test_verify_compares_what_the_certificate_claims(bb4: Path, tmp_path: Path, name: str, value: object) -> None:
    shutil.copytree(bb4, tmp_path / "copy")
    path = tmp_path / "copy" / checkpoint.CERTIFICATE
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    (complaint,) = verify(load_trained(tmp_path / "copy", trusted=None)).complaints
    assert complaint.startswith(f"{name}: ")


def test_other_models_are_no_machines(trained: Trained) -> None:
    with pytest.raises(InputError, match="is not a machine; train one with"):
        machine_learnt(trained)
    with pytest.raises(InputError, match="no function of a window"):
        WindowFunction(trained.model)


def test_cells_that_the_machine_does_not_read_are_no_window(bb4: Path) -> None:
    model = load_trained(bb4, trusted=None).model
    shifted = Transformer(replace(model.config, offsets=(0, 1, -1)))
    shifted.load_state_dict(model.state_dict())
    WindowFunction(model)
    with pytest.raises(InputError, match="offsets 0, 1, -1 is no function of a window"):
        WindowFunction(shifted)


def test_more_windows_than_can_be_asked_for_are_refused() -> None:
    with pytest.raises(InputError, match=r"'tag: 30; a -> b, b -> a' has more than 1,000,000 windows of 30 cells"):
        machine_of(parse_rule("tag: 30; a -> b, b -> a"))


@pytest.mark.parametrize("rule", ["rule110", "collatz"])
def test_automata_and_tag_systems_are_certified_too(rule: str, tmp_path: Path) -> None:
    learnt = load_trained(certified(tmp_path, rule), trusted=None)
    assert verify(learnt).certified
    recorder = Recorder(learnt, machine_learnt(learnt), "aaa" if rule == "collatz" else "0001", draw=True, check=True)
    it = execution(learnt, "aaa" if rule == "collatz" else "0001", cached=False)
    it.on_step = recorder
    it.run(steps=40)
    assert recorder.difference == ""
    assert recorder.compared == it.steps
    assert it.halted == (rule == "collatz")


def test_the_recorder_tells_the_first_difference(learnt: Trained) -> None:
    recorder = Recorder(learnt, machine_learnt(learnt), "", draw=False, check=True)
    recorder(["#", "1", "B0", "#"])
    recorder(["#", "1", "1", "#"])
    assert recorder.difference == "step 2: expected A11\n        got 11"


def test_a_model_that_halts_too_early_is_noticed(learnt: Trained) -> None:
    recorder = Recorder(learnt, machine_learnt(learnt), "", draw=False, check=True)
    recorder(["#", "1", "B0", "#"])
    recorder.halted()
    assert recorder.difference == "step 2: expected A11\n        got no step: the model has halted"


def test_pictures_show_every_cell(tmp_path: Path) -> None:
    diagram = Diagram("01", last=9)
    for configuration in ("A0", "1B0", "A11", "B011"):
        diagram.add(configuration)
    assert diagram.grid() == [[-2, -1, -2], [-2, 1, -1], [-2, -1, 1], [-1, 1, 1]]
    assert diagram.text(80) == [" A", " 1B", " A1", "B11"]
    diagram.save(tmp_path / "run.svg", "a < b")
    assert "<title>a &lt; b</title>" in (tmp_path / "run.svg").read_text()
    diagram.save(tmp_path / "run.png")
    data = (tmp_path / "run.png").read_bytes()
    assert struct.unpack(">II", data[16:24]) == (12, 16)
    pixels = zlib.decompress(data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8])
    assert len(pixels) == 16 * (1 + 12)
    assert pixels[1:13] == bytes([0] * 4 + [1] * 4 + [0] * 4)
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        diagram.save(tmp_path / "run.gif")
    with pytest.raises(StorageError, match="there is no folder"):
        diagram.save(tmp_path / "none" / "run.png")


def test_ctrl_c_tells_how_far_the_run_has_come(
    bb4: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Recorder.__call__

    def record(self: Recorder, queue: list[str]) -> None:
        if self.compared == 20:
            os.kill(os.getpid(), signal.SIGINT)  # in the middle of a token
        real(self, queue)

    monkeypatch.setattr(Recorder, "__call__", record)
    monkeypatch.setattr("entrypoints.verbs.exec._PIECE", 300)
    assert main(["exec", str(bb4), "--check"]) == 130
    configuration, summary, verdict = capsys.readouterr().out.splitlines()
    steps = int(re.search(r"stopped after (\d+) steps", summary)[1])  # type: ignore[index]
    assert 20 < steps < 107
    assert configuration == list(parse_rule("bb4").trace(""))[steps]
    assert verdict == f"all {steps} configurations are those of the rule"


def test_a_run_of_weights_without_their_certificate_says_so(
    bb4: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exec", str(bb4), "--steps", "3"]) == 0
    assert not capsys.readouterr().err
    other = shutil.copytree(bb4, tmp_path / "other")
    (other / checkpoint.CERTIFICATE).unlink()
    assert main(["exec", str(other), "--steps", "3"]) == 0
    assert f"{other} is not certified; --check compares" in capsys.readouterr().err


def test_an_empty_queue_is_drawn_too() -> None:
    diagram = Diagram("abc")
    diagram.add("")
    assert struct.unpack(">II", diagram.png()[16:24]) == (4, 4)  # a PNG without width is none


def test_a_long_run_is_thinned_out() -> None:
    diagram = Diagram("01", most=10, last=3)
    for n in range(1000):
        diagram.add(f"{n:b}")
    assert len(diagram.grid()) <= 10
    assert diagram.rows[0] == (0, "0")
    assert diagram.text(80) == [f"{n:b}".replace("0", "·") for n in (997, 998, 999)]
