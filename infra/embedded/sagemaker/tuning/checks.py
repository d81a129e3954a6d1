"""Checks of CreateHyperParameterTuningJob beyond the model's constraints."""

import math
import secrets
import time
from typing import Any

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.api.constraints import check, refuse
from infra.embedded.sagemaker.api.members import shared
from infra.embedded.sagemaker.jobs.quotas import Quotas
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.training.checks import check_training_job
from infra.embedded.sagemaker.training.members import TRAINING_JOB
from infra.embedded.sagemaker.tuning.job import TuningJob, definitions, resources, static
from infra.embedded.sagemaker.tuning.space import Point, Space

Request = dict[str, Any]
# The largest values to which "Resource Limits for Automatic Model Tuning" of the Developer Guide can be raised.
_MOST_JOBS = {"Bayesian": 750, "Grid": 750, "Random": 10_000}
_MOST_PARALLEL = 100

_SHARED = shared("HyperParameterTrainingJobDefinition", "CreateTrainingJobRequest")


def child_name(tuning_job: str, number: int) -> str:
    """A unique name for a training job."""
    return f"{tuning_job}-{number:03d}-{secrets.token_hex(4)}"


def training_request(definition: Request, resource: Request, name: str, point: Point) -> Request:
    """The CreateTrainingJob of a point."""
    given = {member: definition[member] for member in _SHARED if member in definition}
    own = {"TrainingJobName": name, "ResourceConfig": resource, "HyperParameters": static(definition) | point}
    return given | own


def check_tuning_job(request: Request, region: str, quotas: Quotas) -> tuple[int, list[Space]]:
    """The number of training jobs, and the space of each definition.

    Raises AwsError for the first value that SageMaker would refuse, or with which no training job could start.
    """
    if ("TrainingJobDefinition" in request) == ("TrainingJobDefinitions" in request):
        refuse("You must specify either TrainingJobDefinition or TrainingJobDefinitions, and not both.")
    config = request["HyperParameterTuningJobConfig"]
    if "TrainingJobDefinitions" in request:
        _check_several(request)
    all_ = definitions(request)
    name = child_name(request["HyperParameterTuningJobName"], 1)
    spaces = [_check_definition(one, name, region, quotas) for one in all_]
    if not all_[0]["TuningObjective"]["MetricName"]:
        _check_needs_no_objective(config)
    target = config.get("TuningJobCompletionCriteria", {}).get("TargetObjectiveMetricValue", 0)
    if not math.isfinite(target):
        refuse(f"TargetObjectiveMetricValue must be a finite number (got {target}).")
    return _check_limits(config, spaces), spaces


def check_warm_start(request: Request, parents: list[TuningJob]) -> None:
    """Raises AwsError unless the parents match the new tuning job.

    Follows "Run a Warm Start Hyperparameter Tuning Job" of the Developer Guide.
    """
    if request["HyperParameterTuningJobConfig"]["Strategy"] == "Grid":
        refuse("WarmStartConfig: a grid tries every combination in any case; leave it out.")
    (own, *more) = definitions(request)
    for parent in parents:
        (theirs, *others) = parent.definitions
        which = f"WarmStartConfig: the parent tuning job {parent.name}"
        if not parent.is_over:
            refuse(f"{which} is in status {parent.status}; it must be Completed, Stopped or Failed.")
        if more or others:
            refuse(f"{which} and the new one must each have one definition of training jobs.")
        if own["TuningObjective"] != theirs["TuningObjective"]:
            refuse(f"{which} has another objective; it must be the same.")
        if len(_names(own)) != len(_names(theirs)):
            refuse(
                f"{which} has {len(_names(theirs))} hyperparameters, static and tunable ones together; their number "
                f"must be the same (got {len(_names(own))})."
            )
        if request["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm":
            image = [one["AlgorithmSpecification"].get("TrainingImage") for one in (own, theirs)]
            if image[0] != image[1]:
                refuse(f"{which} has the TrainingImage {image[1]}; IdenticalDataAndAlgorithm needs the same.")
            if own.get("InputDataConfig", []) != theirs.get("InputDataConfig", []):
                refuse(f"{which} has another InputDataConfig; IdenticalDataAndAlgorithm needs the same.")


def _names(definition: Request) -> set[str]:
    given: set[str] = set(definition.get("StaticHyperParameters", {}))
    return given.union(one.name for one in Space(definition["HyperParameterRanges"]).all)


def _check_several(request: Request) -> None:
    config, several = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinitions"]
    for name, instead in {"HyperParameterTuningJobObjective": "TuningObjective", "ParameterRanges": ""}.items():
        if config.get(name):
            refuse(
                f"With TrainingJobDefinitions, {name} belongs to each definition, as "
                f"{instead or 'HyperParameterRanges'}."
            )
    for name in ("DefinitionName", "TuningObjective", "HyperParameterRanges"):
        if any(not one.get(name) for one in several):
            refuse(f"With TrainingJobDefinitions, each must have {name}.")
    names = [one["DefinitionName"] for one in several]
    if len(set(names)) != len(names):
        refuse(f"The DefinitionName of each of TrainingJobDefinitions must be different (got {', '.join(names)}).")
    if len({one["TuningObjective"]["Type"] for one in several}) > 1:
        refuse("The objectives of TrainingJobDefinitions must be of one Type: all Maximize, or all Minimize.")


def _check_definition(definition: Request, name: str, region: str, quotas: Quotas) -> Space:
    if ("ResourceConfig" in definition) == ("HyperParameterTuningResourceConfig" in definition):
        refuse("You must specify either ResourceConfig or HyperParameterTuningResourceConfig, and not both.")
    several = definition.get("HyperParameterTuningResourceConfig", {})
    if several.get("InstanceConfigs"):
        for member in ("InstanceType", "InstanceCount", "VolumeSizeInGB"):
            if member in several:
                refuse(f"HyperParameterTuningResourceConfig has InstanceConfigs, so {member} belongs to each of them.")
    space = Space(definition["HyperParameterRanges"])
    given = static(definition)
    if both := sorted(one.name for one in space.all if one.name in given):
        refuse(f"A hyperparameter is either static or tunable, and not both (got {', '.join(both)}).")
    metric = definition["TuningObjective"]["MetricName"]
    measured = [one["Name"] for one in definition["AlgorithmSpecification"].get("MetricDefinitions", [])]
    if metric and metric not in measured:
        refuse(
            f"The objective metric {metric} must be one of the MetricDefinitions of the training job "
            f"(got {', '.join(measured) or 'none'})."
        )
    too_many: list[AwsError] = []
    for resource in resources(definition):
        request = training_request(definition, resource, name, space.point([0.5] * len(space.all)))
        check("CreateTrainingJob", request)
        TRAINING_JOB.refuse(request)
        check_training_job(request, region)
        try:
            quotas.check(TrainingJob(request, region, "", time.time()), [])
        except AwsError as error:
            too_many.append(error)
    if len(too_many) == len(resources(definition)):
        raise too_many[0]
    return space


def _check_needs_no_objective(config: Request) -> None:
    needing = {
        "the strategy Bayesian": config["Strategy"] == "Bayesian",
        "TrainingJobEarlyStoppingType Auto": config.get("TrainingJobEarlyStoppingType") == "Auto",
        "TuningJobCompletionCriteria": bool(config.get("TuningJobCompletionCriteria")),
    }
    for what, is_wanted in needing.items():
        if is_wanted:
            refuse(f"HyperParameterTuningJobObjective is required for {what}.")


def _check_limits(config: Request, spaces: list[Space]) -> int:
    """The number of training jobs."""
    strategy, limits = config["Strategy"], config["ResourceLimits"]
    count: int | None = limits.get("MaxNumberOfTrainingJobs")
    if strategy == "Grid":
        if any(space.numbers for space in spaces):
            refuse("The Grid strategy supports categorical hyperparameters only, and needs at least one.")
        combinations = sum(space.combinations for space in spaces)
        if count not in (None, combinations):
            refuse(
                f"MaxNumberOfTrainingJobs must be {combinations}, the number of combinations, for the Grid strategy, "
                "or absent."
            )
        count = combinations
    if count is None:
        refuse(f"MaxNumberOfTrainingJobs is required in ResourceLimits for the {strategy} strategy.")
    for name, asked, most in (
        (f"training jobs per hyperparameter tuning job ({strategy})", count, _MOST_JOBS[strategy]),
        ("parallel training jobs per hyperparameter tuning job", limits["MaxParallelTrainingJobs"], _MOST_PARALLEL),
    ):
        if asked > most:
            raise AwsError("ResourceLimitExceeded", f"The number of {name} is at most {most} (got {asked}).")
    return count
