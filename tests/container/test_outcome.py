"""How jobs fail in the real container: the exit code, and the first line of the failure file, for each way to fail."""

import shutil

import container_jobs as jobs
import pytest
from container_jobs import RULE, SMALL, data_folder, run_job

from ahx.model import checkpoint

SITE = "/opt/ahx/lib/python3.11/site-packages"


# What went in is wrong


@pytest.mark.parametrize(
    ("hyperparameters", "sentence"),
    [
        (
            RULE | {"n_layer": "zero"},
            "n_layer: must be a whole number from 1 to 1,000 (got 'zero' from hyperparameters.json)",
        ),
        (RULE | {"n_layr": "2"}, "hyperparameters.json: unknown hyperparameter 'n_layr'; did you mean n_layer?"),
        (
            RULE | {"n_head": "0", "dropout": "2"},
            "2 things are wrong: n_head: must be a whole number from 1 to 1,000 (got 0 from hyperparameters.json); "
            "dropout: must be a number of at least 0 and less than 1 (got 2 from hyperparameters.json)",
        ),
        (
            SMALL,
            "there is nothing to learn; give the job a channel called train, or a hyperparameter rule such as double_a",
        ),
    ],
    ids=["no number", "unknown", "two", "nothing to learn"],
)
def test_bad_hyperparameters(image, tmp_path, hyperparameters, sentence):
    ended = run_job(image, tmp_path / "job", hyperparameters)
    assert (ended.code, ended.first_line) == (2, sentence)
    assert "Traceback" in ended.failure
    assert "Traceback" not in ended.log


@pytest.mark.parametrize("name", ["hyperparameters", "inputdataconfig", "resourceconfig"])
def test_a_missing_configuration_file(image, tmp_path, name):
    ended = run_job(image, tmp_path / "job", prepare=lambda tree: (tree.config / f"{name}.json").unlink())
    assert ended.code == 2
    assert ended.first_line.startswith(f"/opt/ml/input/config/{name}.json is missing; SageMaker writes it")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (shutil.rmtree, "channel train: its folder /opt/ml/input/data/train is missing; mount the data there"),
        (
            lambda folder: [path.unlink() for path in folder.iterdir()],
            "channel train: /opt/ml/input/data/train has no files; check where its data should come from",
        ),
        (
            lambda folder: (folder / "more_train.txt").write_text("A,A\n"),
            "channel train has several data files (da_train.txt, da_val.txt, more_train.txt); "
            "name one with the hyperparameter infile",
        ),
    ],
    ids=["missing", "empty", "several"],
)
def test_a_channel_without_usable_data(image, tmp_path, spoil, sentence):
    channels = {"train": data_folder(tmp_path / "data")}
    ended = run_job(image, tmp_path / "job", SMALL, channels, prepare=lambda tree: spoil(tree.channel("train")))
    assert ended.code == 2
    assert ended.first_line.startswith(sentence)


def test_malformed_data(image, tmp_path):
    channels = {"train": data_folder(tmp_path / "data", jobs.DATA + "no comma\nA,AA,AAA\n")}
    ended = run_job(image, tmp_path / "job", SMALL, channels)
    assert ended.code == 2
    assert ended.first_line.startswith("/opt/ml/input/data/train/da_train.txt: 2 malformed lines;")
    assert "line 8:" in ended.first_line


# Places that cannot be written


@pytest.mark.parametrize("folder", ["model", "checkpoints"])
def test_a_read_only_folder(image, tmp_path, folder):
    ended = run_job(image, tmp_path / "job", options=("--tmpfs", f"/opt/ml/{folder}:ro"))
    assert ended.code == 1
    assert ended.first_line.startswith(f"cannot write to /opt/ml/{folder}: read-only file system; mount a writable")


@pytest.mark.parametrize("folder", ["model", "checkpoints"])
def test_a_full_folder(image, tmp_path, folder):
    # There is room for a first byte, but not for the model.
    ended = run_job(image, tmp_path / "job", options=("--tmpfs", f"/opt/ml/{folder}:size=8k"))
    assert ended.code == 1
    assert ended.first_line.startswith(f"cannot write the model to /opt/ml/{folder}")
    assert "No space left on device; free some space" in ended.first_line


def test_no_output_folder(image, tmp_path):
    ended = run_job(image, tmp_path / "job", prepare=lambda tree: shutil.rmtree(tree.output))
    assert ended.code == 0, ended.log
    assert (ended.tree.output_data / "metrics.jsonl").is_file()


def test_an_output_folder_that_cannot_be_made(image, tmp_path):
    done = image.run(options=("--tmpfs", "/opt/ml:ro"))
    assert done.returncode == 1
    assert done.stderr.startswith("ahx: error: cannot write /opt/ml/output/failure: read-only file system; mount a")


# Training goes wrong


def test_a_loss_that_is_not_a_number(image, tmp_path):
    wild = {"learning_rate": "1e30", "muon_learning_rate": "1e30", "grad_clip": "0", "warmup_steps": "0"}
    ended = run_job(image, tmp_path / "job", RULE | wild)
    assert ended.code == 1
    assert ended.first_line.startswith("the loss became nan before step")


def test_out_of_memory(image, tmp_path):
    ended = run_job(image, tmp_path / "job", options=("--memory", "120m", "--memory-swap", "120m"))
    assert ended.code == 137
    assert ended.first_line.startswith("the training process was killed before it could say why, as happens when")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1 / 0", "a bug in ahx, please report it with the lines below (ZeroDivisionError: division by zero)"),
        (
            "raise SystemExit(0)",
            "training called exit(0), a bug in ahx; please report it with the lines below",
        ),
        (
            "raise MemoryError",
            "memory ran out; use a smaller batch_size or model, or an instance with more memory",
        ),
    ],
    ids=["bug", "exit", "memory error"],
)
def test_our_own_code_goes_wrong(image, tmp_path, line, sentence):
    broken = tmp_path / "schedule.py"
    broken.write_text(f"UNLIMITED = 9\ndef planned_steps(*_):\n    return 9, ''\ndef scale(*_):\n    {line}\n")
    options = ("--volume", f"{broken}:{SITE}/ahx/training/schedule.py:ro")
    ended = run_job(image, tmp_path / "job", options=options)
    assert (ended.code, ended.first_line) == (1, sentence)
    assert "schedule.py" in ended.failure


def test_success_leaves_a_model_and_no_failure(image, tmp_path):
    ended = run_job(image, tmp_path / "job", SMALL, {"train": data_folder(tmp_path / "data")})
    assert (ended.code, ended.failure) == (0, ""), ended.log
    assert checkpoint.load_folder(ended.tree.model).config["step"] == 4
    assert "rewrites strings" in (ended.tree.model / "README.md").read_text()
    assert '"exact"' in (ended.tree.output_data / "evaluation.json").read_text()
    assert "Reporting training SUCCESS" in ended.log
    assert "\x1b" not in ended.log
