"""Input channels: which files are meant, and that FastFile channels are read once, in order, and may come late."""

import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from container_jobs import DATA, data_folder
from hostile_archives import chain_of_links

from ahx.errors import CheckpointError, InputError
from container.channels import channels, data_files, model_folder
from opt_ml import tree as trees
from opt_ml.paths import OptMl


def given(folder: Path, sources: dict[str, Path], **modes: str):
    return channels(
        trees.build(
            folder / "job",
            {},
            sources,
            channel_configs={name: {"TrainingInputMode": mode} for name, mode in modes.items()},
        )
    )


def names(files):
    return tuple(paths[0].name if paths else None for paths in files[:2])


def test_one_channel_with_both_files(tmp_path):
    found = given(tmp_path, {"train": data_folder(tmp_path / "data")})
    assert names(data_files(found, None, tmp_path)) == ("da_train.txt", "da_val.txt")


def test_two_channels(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "any.txt").write_text(DATA)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other.csv").write_text(DATA)
    found = given(tmp_path, {"training": tmp_path / "a", "validation": tmp_path / "b"})
    assert names(data_files(found, None, tmp_path)) == ("any.txt", "other.csv")


def test_parts_are_one_data_set(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("part-0.csv", "part-1.csv", "part-2.csv", "README", "_SUCCESS"):
        (tmp_path / "data" / name).write_text(DATA)
    found = given(tmp_path, {"train": tmp_path / "data"})
    assert [path.name for path in data_files(found, None, tmp_path).train] == ["part-0.csv", "part-1.csv", "part-2.csv"]


def test_infile_picks_among_several(tmp_path):
    folder = data_folder(tmp_path / "data")
    (folder / "cp_train.txt").write_text(DATA)
    found = given(tmp_path, {"train": folder})
    assert names(data_files(found, "data/cp", tmp_path)) == ("cp_train.txt", None)
    assert names(data_files(found, "da", tmp_path)) == ("da_train.txt", "da_val.txt")
    with pytest.raises(InputError, match="has no data set 'xx'"):
        data_files(found, "xx", tmp_path)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"trian": {}}, "channel 'trian' is not one that training reads; did you mean train?"),
        ({"train": {}, "training": {}}, "channels train and training mean the same; keep one of the two"),
        ({"validation": {}}, "there is a channel validation, but none called train; add it"),
        (
            {"train": {"TrainingInputMode": "Pipe"}},
            "channel train: input mode Pipe cannot be read; use File or FastFile",
        ),
    ],
)
def test_channels_that_cannot_be_meant(tmp_path, config, sentence):
    tree = OptMl(tmp_path)
    tree.config.mkdir(parents=True)
    tree.input_data_config.write_text(json.dumps(config))
    with pytest.raises(InputError) as caught:
        channels(tree)
    assert str(caught.value) == sentence


def test_a_fast_file_is_read_once_and_in_order_and_may_come_late(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    found = given(tmp_path, {"train": folder}, train="FastFile")

    def appear():
        time.sleep(0.3)
        (folder / "da_train.txt").write_text(DATA * 1000)

    threading.Thread(target=appear).start()
    (train,), val, _ = data_files(found, None, tmp_path / "scratch")
    assert (train.read_text(), val) == (DATA * 1000, ())
    assert train.is_relative_to(tmp_path / "scratch")


def test_a_fast_file_job_trains_from_something_that_cannot_be_sought(tmp_path):
    # A pipe gives its bytes once and in order; it can be neither sought, mapped, nor read twice.
    folder = tmp_path / "data"
    folder.mkdir()
    os.mkfifo(folder / "da_train.txt")
    hyperparameters = {"n_embd": "16", "n_head": "2", "n_layer": "1", "max_steps": "2", "warmup_steps": "1"}
    tree = trees.build(
        tmp_path / "job",
        hyperparameters,
        {"train": folder},
        channel_configs={"train": {"TrainingInputMode": "FastFile"}},
    )
    feeder = threading.Thread(target=lambda: (folder / "da_train.txt").write_text(DATA * 100))
    feeder.start()
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(tree.base), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "entrypoints.container"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    feeder.join()
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["da_train.txt"]


def test_a_model_channel_may_hold_what_sagemaker_packed(tmp_path):
    made, packed = tmp_path / "made", tmp_path / "packed"
    made.mkdir()
    packed.mkdir()
    (made / "config.json").write_text("{}")
    with tarfile.open(packed / "model.tar.gz", "w:gz") as archive:
        archive.add(made / "config.json", "config.json")
    channel = given(tmp_path, {"model": packed})["model"]
    assert (model_folder(channel, tmp_path / "scratch") / "config.json").read_text() == "{}"
    whole = (packed / "model.tar.gz").read_bytes()
    (packed / "model.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is not a whole archive of a model"):
        model_folder(channel, tmp_path / "scratch")
    (packed / "model.tar.gz").write_bytes(chain_of_links())
    with pytest.raises(CheckpointError, match="which is not a regular file"):
        model_folder(channel, tmp_path / "scratch")
