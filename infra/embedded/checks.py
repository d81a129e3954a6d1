"""What CreateTrainingJob refuses beyond the published constraints: roles, buckets, times, modes."""

import re
from typing import Any, NoReturn
from urllib.parse import urlsplit

from infra.embedded import moto_side
from infra.embedded.policy import Decision, decide
from infra.embedded.wire import ACCOUNT, AwsError

_DAY = 86_400
_MAX_RUNTIME = 28 * _DAY
_MAX_VOLUME = 16_384  # GB


def check_training_job(request: dict[str, Any], region: str) -> None:
    """Raises AwsError (ValidationException) on the first thing that SageMaker would refuse."""
    _check_algorithm(request["AlgorithmSpecification"])
    _check_resources(request.get("ResourceConfig"))
    _check_times(request)
    arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:training-job/{request['TrainingJobName']}"
    check_role(request["RoleArn"], arn)
    _check_output(request["OutputDataConfig"]["S3OutputPath"])
    if checkpoint := request.get("CheckpointConfig"):
        _check_output(checkpoint["S3Uri"])
    channels = request.get("InputDataConfig", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) != len(names):
        _refuse(f"Duplicate channel names {sorted({name for name in names if names.count(name) > 1})} are not allowed.")
    for channel in channels:
        _check_channel(channel, request, region)


def check_role(arn: str, job_arn: str) -> None:
    """Raises AwsError unless the role exists and its trust policy lets SageMaker assume it for this job."""
    role = moto_side.role(arn)
    context = {"aws:SourceArn": job_arn, "aws:SourceAccount": ACCOUNT}
    trusts = role is not None and (
        decide([role.assume_role_policy_document], "sts:AssumeRole", "*", context, "sagemaker.amazonaws.com").outcome
        == Decision.ALLOWED
    )
    if not trusts:
        _refuse(
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        )


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The bucket and the key or prefix of s3://BUCKET/KEY."""
    parts = urlsplit(uri, allow_fragments=False)
    return parts.netloc, parts.path.lstrip("/")


def _check_algorithm(algorithm: dict[str, Any]) -> None:
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        _refuse("You must specify either TrainingImage or AlgorithmName in AlgorithmSpecification, and not both.")
    for definition in algorithm.get("MetricDefinitions", []):
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error:
            groups = 0
        if not groups:
            _refuse(
                f"Invalid metric definition regex '{definition['Regex']}' of metric '{definition['Name']}': "
                "it must be a valid regular expression with a capturing group."
            )


def _check_resources(resources: dict[str, Any] | None) -> None:
    if resources is None:
        _refuse("ResourceConfig is required.")
    if "InstanceGroups" not in resources:
        for name in ("InstanceType", "InstanceCount"):
            if name not in resources:
                _refuse(f"Missing required field in ResourceConfig: {name}.")
    if resources.get("InstanceCount", 1) < 1:
        _refuse(f"Invalid InstanceCount {resources['InstanceCount']}. It must be greater than or equal to 1.")
    if not 1 <= resources.get("VolumeSizeInGB", 1) <= _MAX_VOLUME:
        _refuse(f"Invalid VolumeSizeInGB {resources['VolumeSizeInGB']}. It must be between 1 and {_MAX_VOLUME}.")


def _check_times(request: dict[str, Any]) -> None:
    stopping = request.get("StoppingCondition")
    if stopping is None:
        _refuse("StoppingCondition is required.")
    runtime, wait = stopping.get("MaxRuntimeInSeconds", _DAY), stopping.get("MaxWaitTimeInSeconds")
    if runtime > _MAX_RUNTIME:
        _refuse(f"Invalid MaxRuntimeInSeconds. It must be less than or equal to {_MAX_RUNTIME} seconds.")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            _refuse(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif wait is not None:
        _refuse("Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true")


def _check_output(uri: str) -> None:
    name, _ = bucket_and_key(uri)
    if moto_side.bucket(name) is None:
        _refuse(f'The S3 bucket "{name}" of "{uri}" does not exist.')


def _check_channel(channel: dict[str, Any], request: dict[str, Any], region: str) -> None:
    mode = channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"]
    source = channel["DataSource"].get("S3DataSource")
    if mode == "Pipe" or source is None or source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        _refuse(
            f"Channel {channel['ChannelName']}: the embedded AWS reads S3Prefix and ManifestFile sources in File and "
            "FastFile mode only."
        )
    uri = source["S3Uri"]
    name, prefix = bucket_and_key(uri)
    held = moto_side.bucket(name)
    if held is None or not moto_side.has_key(name, prefix):
        _refuse(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({region}), that objects exist under that S3 prefix, and that the role "
            f'"{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket "{name}".'
        )
    if held.region_name != region:
        _refuse(
            f"The S3 bucket {name} is in region {held.region_name}; it must be in {region}, the training job's region."
        )


def _refuse(message: str) -> NoReturn:
    raise AwsError("ValidationException", message)
