"""Models that anybody may have made: nothing of them is run, and what they take follows from what is there."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import hostile_models
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahx.errors import AhxError
from ahx.model import checkpoint
from ahx.model.weights import shapes

ROOT = Path(__file__).parents[2]


def test_the_shapes_are_those_of_the_model(scheme, make_model):
    model = make_model(scheme)
    assert dict(shapes(model.config)) == {name: list(weight.shape) for name, weight in model.state_dict().items()}


def test_hostile_models_within_little_memory():
    """In a process of its own, whose memory is bounded and in which nothing of the kind has been imported."""
    command = [sys.executable, str(ROOT / "tests" / "hostile_models.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("\n| ") == len(hostile_models.ATTEMPTS)


def paths(value: Any, begin: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in JSON data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([begin] if begin else []), *(path for key, part in inner for path in paths(part, (*begin, key)))]


DIGITS = [b"9", b"-1", b"0", b"F64", b'"', b"e9"]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["queue", "left", "machine", "program", "coupled", "@config.json", "os:system", "ca: 110", "bb4"]),
    st.lists(st.one_of(st.integers(), st.text(max_size=2)), max_size=4),
    st.dictionaries(st.sampled_from(["kind", "rule", "start", "tokens"]), st.text(max_size=3), max_size=2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return hostile_models.sound(tmp_path_factory.mktemp("fuzzed") / "model")


fuzzed = settings(
    max_examples=int(os.environ.get("AHX_FUZZ", "150")),
    deadline=None,
    derandomize="AHX_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@fuzzed
@given(data=st.data())
def test_any_change_to_a_configuration_is_a_sentence_or_harmless(data, folder, monkeypatch):
    """AHX_FUZZ=5000 tries as many others."""
    original = (folder / checkpoint.CONFIG).read_bytes()
    config = json.loads(original)
    for _ in range(data.draw(st.integers(1, 3))):
        *begin, last = data.draw(st.sampled_from(paths(config)))
        place = config
        for key in begin:
            place = place[key]
        if isinstance(place, dict) and data.draw(st.booleans()):
            del place[last]
        else:
            place[last] = data.draw(ODD)
    monkeypatch.chdir(folder)
    with suppress(AhxError):
        hostile_models.rehash(folder, config)
        hostile_models.use(folder)
    (folder / checkpoint.CONFIG).write_bytes(original)
    assert hostile_models.MODULE not in sys.modules
    assert not (folder / "imported").exists()


@fuzzed
@given(data=st.data())
@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.TRAINING_STATE])
def test_any_change_to_a_file_of_tensors_is_a_sentence_or_harmless(data, folder, name):
    before = (folder / name).read_bytes()
    changed = bytearray(before)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, before.index(b"}}") + 20))
        changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3) | st.sampled_from(DIGITS))
    hostile_models.contents(name, lambda _: bytes(changed))(folder)
    with suppress(AhxError):
        (hostile_models.use if name == checkpoint.WEIGHTS else checkpoint.load_training_state)(folder)
    hostile_models.contents(name, lambda _: before)(folder)
