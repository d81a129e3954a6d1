"""What a study keeps between calls."""

import json
from pathlib import Path

import pytest

from ahx.errors import InputError
from ahx.study.record import Record
from ahx.study.trial import Result


def test_it_reads_what_it_wrote(tmp_path: Path) -> None:
    record = Record(tmp_path)
    right, broken = Result(True, 1.0, 40, 1280, 0.5), Result(False, failure="memory ran out")
    record.trials = {
        "a": ({"n_layer": 1, "rule": "double_a"}, right),
        "b": ({"n_layer": 2, "rule": "double_a"}, broken),
    }
    record.write({"answer": ["It is."]})
    again = Record(tmp_path)
    assert again.trials == record.trials
    assert again.known(retry_failed=False) == {"a": right, "b": broken}
    assert again.known(retry_failed=True) == {"a": right}
    assert (tmp_path / "study.csv").read_text("utf-8").splitlines()[1] == "1,True,1.0,40,1280,0.5,"


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"trials": [], "lengths": {}}', '{"trials": {"a": 1}, "lengths": {}}', "{"]
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text, "utf-8")
    with pytest.raises(InputError):
        Record(tmp_path)


def test_what_another_version_kept_of_a_trial_is_refused(tmp_path: Path) -> None:
    trials = {"a": {"config": {}, "result": {"right": True}}}
    (tmp_path / "study.json").write_text(json.dumps({"trials": trials, "lengths": {}}), "utf-8")
    with pytest.raises(InputError, match="not the record of a study"):
        Record(tmp_path)
