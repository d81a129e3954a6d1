"""What a sweep tries, as configurations and as requests."""

import doctest
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from ahx.errors import InputError
from ahx.training import metrics
from ahx.training.halving import hopeless
from infra.launch import job_request, sweep
from infra.launch.job_request import JobTemplate, job_name, job_pattern, training_job
from infra.launch.leaderboard import leaderboard, ranked
from infra.launch.options import Options
from infra.launch.sobol import sobol
from infra.launch.sweep import Sweep, parse_grid
from infra.launch.sweep_file import read_sweep_file
from infra.launch.trial import SweepState, Trial
from infra.provision.stack_id import StackId

STACK_ID = StackId("123456789012", "eu-west-1")
RULE = {"rule": "double_a"}


def template(**changed: object) -> JobTemplate:
    given = {"sweep": "s1", "stack_id": STACK_ID, "image": "host/ahx@sha256:1", "image_digest": "sha256:1"}
    return JobTemplate(**given | changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", [sweep, metrics])
def test_the_examples_of_the_docstrings(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_a_grid_is_every_combination_with_every_seed() -> None:
    space = parse_grid(["learning_rate=1e-3,3e-3", "num-layers=1,2"])
    found = Sweep("s1", RULE, space, seeds=2).configurations()
    assert len(found) == 8
    assert found[0] == {"rule": "double_a", "n_layer": 1, "learning_rate": 0.001, "seed": 1337}
    assert found[3] == {"rule": "double_a", "seed": 1338, "learning_rate": 0.001}  # 2 layers are the default
    assert {one["seed"] for one in found} == {1337, 1338}


def test_spellings_and_defaults_do_not_make_other_runs() -> None:
    plain = Sweep("s1", RULE, {}).configurations()
    assert Sweep("s1", {"problem": "double_a", "num_layers": "2", "dropout": "0.0"}, {}).configurations() == plain
    assert len(Sweep("s1", RULE, parse_grid(["n_layer=2,2"])).configurations()) == 1


@pytest.mark.parametrize("how", ["random", "sobol"])
def test_drawn_points_stay_in_their_ranges_and_are_the_same_again(how: str) -> None:
    space = parse_grid(["learning_rate=1e-4:1e-2:log", "n_layer=1:3", "optimizer=muon,adamw"])
    found = Sweep("s1", RULE, space, draws=(how, 64)).configurations()
    assert found == Sweep("s1", RULE, space, draws=(how, 64)).configurations()
    rates = [one.get("learning_rate", 3e-3) for one in found]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert 24 <= sum(rate < 1e-3 for rate in rates) <= 40  # evenly on a logarithmic scale
    assert {one.get("n_layer", 2) for one in found} == {1, 2, 3}
    assert {one.get("optimizer", "muon") for one in found} == {"muon", "adamw"}


def test_sobol_points_are_those_of_torch() -> None:
    engine = torch.quasirandom.SobolEngine(16)
    theirs = engine.draw(256, dtype=torch.float64)
    assert abs(sobol(256, 16) - theirs.numpy()).max() < 1e-9


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("S1", RULE, {}), "the sweep's name 'S1' must be lower-case letters, digits and single dashes"),
        (("s1", {}, {}), "the configuration seed=1337: rule: nothing to learn yet"),
        (("s1", {**RULE, "n_layr": "2"}, {}), "ahx sweep: unknown hyperparameter 'n_layr'; did you mean n_layer?"),
        (("s1", {**RULE, "model_out": "x"}, {}), "ahx sweep: model_out cannot be chosen in a sweep: every job has"),
        (("s1", RULE, {"n_head": ("5",)}), "the configuration rule=double_a, seed=1337, n_head=5: n_embd (48) must"),
        (("s1", RULE, parse_grid(["dropout=0:0.5"])), "dropout is a range; say how many points to draw from it"),
        (("s1", RULE, {}, 1, ("random", 3)), "random: there is nothing to draw from; add --grid NAME=VALUES"),
        (("s1", RULE, {}, 20_000), "this grid has 20,000 jobs; 10,000 are the most. Draw some: --random N"),
    ],
)
def test_what_cannot_be_tried(arguments: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        Sweep(*arguments).configurations()  # type: ignore[arg-type]
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("word", ["n_layer", "n_layer=", "learning_rate=1:0", "learning_rate=0:1:log", "dropout=0:x"])
def test_a_grid_that_cannot_be_read(word: str) -> None:
    with pytest.raises(InputError, match=r"--grid: .*must be"):
        parse_grid([word])


def test_the_name_is_the_key() -> None:
    config = {"rule": "double_a", "seed": 1}
    name = job_name(template(), config)
    assert name == job_name(template(instance_type="ml.g5.xlarge", spot=True), dict(reversed(config.items())))
    others = [
        job_name(template(), {**config, "seed": 2}),
        job_name(template(data_hash="1"), config),
        job_name(template(image_digest="sha256:2"), config),
    ]
    assert len({name, *others}) == 4
    pattern = job_pattern(STACK_ID, "s1")
    assert pattern.fullmatch(name)
    assert pattern.fullmatch(job_name(template(), config, 2)).groups() == (name, "2")  # type: ignore[union-attr]
    assert not pattern.fullmatch(job_name(template(sweep="s1-b"), config))
    assert (
        len(job_name(template(sweep="x" * 27, stack_id=StackId("1" * 12, "eu-west-1", prefix="p" * 20)), config, 99))
        <= 63
    )


def test_sweeps_are_kept_as_earlier_versions_keep_them() -> None:
    kept = template(spot=True).to_json()
    assert kept["names"] == {"account": "123456789012", "region": "eu-west-1", "partition": "aws", "prefix": "ahx"}
    old = {
        "sweep": "s1", "names": kept["names"], "image": "host/ahx@sha256:1", "image_digest": "sha256:1", "channels": {},
        "data_hash": "", "instance_type": "ml.m5.large", "spot": True, "max_runtime": 3600, "max_wait": 0,
        "volume_gb": 10,
    }  # fmt: skip
    assert kept == old
    assert JobTemplate.from_json(old) == template(spot=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep_alive": 0}, "--keep-alive: must be at least 1 (got 0)"),
        ({"keep_alive": 21_601}, "--keep-alive: must be at most 21,600 seconds (got 21,601)"),
        ({"keep_alive": 60, "spot": True}, "--keep-alive: SageMaker keeps no spot instances; leave out one of"),
        ({"trials_per_job": "0"}, "--trials-per-job: must be auto or a whole number from 1 (got '0')"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        Options(**options)
    assert str(error.value).startswith(sentence)


def test_a_kept_instance_is_in_the_request_and_the_record() -> None:
    kept = template(keep_alive=600)
    assert training_job(kept, "ahx-s1-0123456789", "s3://b/data/2")["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert JobTemplate.from_json(kept.to_json()) == kept


def test_limits_in_a_sweep_file_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("trials_per_job = 8\nmax_parallel = 4\nmax_cost = 20\nkeep_alive = 60\n")
    options = Options(**read_sweep_file(str(tmp_path / "s.toml")).options)
    assert (options.trials_per_job, options.max_parallel, options.max_cost, options.keep_alive) == ("8", 4, 20, 60)


def test_the_whole_request() -> None:
    channels = {"train": "s3://b/data/1"}
    name = "ahx-s1-0123456789"
    made = training_job(template(channels=channels, spot=True), name, "s3://b/data/2")
    assert made == {
        "TrainingJobName": name,
        "RoleArn": "arn:aws:iam::123456789012:role/ahx-training-eu-west-1",
        "AlgorithmSpecification": {
            "TrainingImage": "host/ahx@sha256:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": job_request.METRIC_DEFINITIONS,
        },
        "HyperParameters": {},
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel, uri in (("train", "s3://b/data/1"), ("trials", "s3://b/data/2"))
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://ahx-123456789012-eu-west-1/output"},
        "CheckpointConfig": {
            "S3Uri": f"s3://ahx-123456789012-eu-west-1/checkpoints/{name}",
            "LocalPath": "/opt/ml/checkpoints",
        },
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 10800},
        "EnableManagedSpotTraining": True,
        "Tags": [
            {"Key": "project", "Value": "ahx-transformer"},
            {"Key": "ahx:stack", "Value": "ahx"},
            {"Key": "ahx:sweep", "Value": "s1"},
        ],
        "Environment": {"PYTHONUNBUFFERED": "1", "AHX_MAX_RUNTIME": "3600"},
    }


def run(*exact: float) -> list[dict[str, float]]:
    return [{"epoch": epoch + 1, "val_exact": value, "val_loss": 1 - value} for epoch, value in enumerate(exact)]


def test_halving_keeps_the_best_half_at_every_rung() -> None:
    histories = {"a": run(0.1), "b": run(0.2), "c": run(0.3, 0.5), "d": run(0.4, 0.4)}
    assert hopeless(histories, 2) == {"a", "b", "d"}
    assert hopeless({"a": run(0.1)}, 2) == set()  # nothing to compare with
    assert hopeless({"a": run(1.0), "b": run(1.0), "c": run(0.9)}, 3) == {"c"}  # what is right is not hopeless


def test_ties_in_exact_match_are_broken_by_margin_loss_and_size_before_the_clock() -> None:
    def trial(name: str, margin: float, loss: float, seconds: float, **config: object) -> Trial:
        metrics = {"val_exact": 1.0, "val_margin": margin, "val_loss": loss, "seconds": seconds}
        return Trial(template(), {**RULE, **config}, name, history=[metrics])

    on_the_verge = trial("verge", 0.01, 1.47, 1.0)
    safe, large, slow = (
        trial("safe", 5.0, 0.037, 1.5),
        trial("large", 5.0, 0.037, 1.0, n_embd=96),
        trial("slow", 5.0, 0.037, 2.0),
    )
    untrained = Trial(template(), RULE, "untrained")
    assert ranked([on_the_verge, large, untrained, slow, safe]) == [safe, slow, large, on_the_verge]
    printed = Console(width=120, file=io.StringIO())
    printed.print(leaderboard(SweepState("s1", [on_the_verge, safe]), costs=False))
    title, first, second = printed.file.getvalue().splitlines()
    assert "margin" in title
    assert ("5.00" in first, "0.01" in second) == (True, True)
