"""Checks of CreateTrainingJob beyond the model's constraints: roles, buckets, times, networks."""

import re
from typing import Any

from infra.embedded import moto_lookup
from infra.embedded.http.protocols import ACCOUNT
from infra.embedded.iam.policy import Decision, decide, unmet
from infra.embedded.sagemaker.api.constraints import refuse
from infra.embedded.sagemaker.execution import container_inputs
from infra.embedded.sagemaker.s3_uris import bucket_and_key

_SAGEMAKER = "sagemaker.amazonaws.com"
_DAY = 86_400
_MAX_RUNTIME = 28 * _DAY
_MAX_VOLUME = 16_384  # GB


def check_training_job(request: dict[str, Any], region: str) -> None:
    """Raises AwsError (ValidationException) for the first value that SageMaker would refuse."""
    _check_algorithm(request["AlgorithmSpecification"])
    groups = _check_resources(request.get("ResourceConfig"), region)
    _check_times(request)
    check_warm_pool(request)
    arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}:training-job/{request['TrainingJobName']}"
    check_role(request["RoleArn"], arn)
    for member in ("OutputDataConfig", *container_inputs.FILES):
        _check_output(member, request.get(member, {}), region)
    if vpc := request.get("VpcConfig"):
        _check_vpc(vpc, region)
    channels = request.get("InputDataConfig", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) != len(names):
        refuse(f"Duplicate channel names {sorted({name for name in names if names.count(name) > 1})} are not allowed.")
    for channel in channels:
        _check_channel(channel, request, region, groups)


def check_role(arn: str, job_arn: str) -> None:
    """Raises AwsError unless the role exists and its trust policy lets SageMaker assume it for this job."""
    why = _distrust(arn, {"aws:SourceArn": job_arn, "aws:SourceAccount": ACCOUNT})
    if why:
        refuse(
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal '{_SAGEMAKER}' to "
            f"assume the role. {why}"
        )


def _distrust(arn: str, context: dict[str, str]) -> str:
    """Why SageMaker may not assume the role, a sentence that AWS does not give; "" if it may."""
    role = moto_lookup.role(arn)
    if role is None:
        return "There is no such role."
    policy, question = role.assume_role_policy_document, ("sts:AssumeRole", "*", context, _SAGEMAKER)
    outcome = decide([policy], *question).outcome
    if outcome == Decision.EXPLICIT_DENY:
        return "Its trust policy denies it."
    if outcome == Decision.ALLOWED:
        return ""
    conditions = "; ".join(unmet(policy, *question))
    return f"In its trust policy {conditions}." if conditions else "Its trust policy allows it to others only."


def check_warm_pool(request: dict[str, Any]) -> None:
    """Raises AwsError if a warm pool is requested for instances that cannot have one."""
    resources = request["ResourceConfig"]
    if not resources.get("KeepAlivePeriodInSeconds"):
        return
    if request.get("EnableManagedSpotTraining"):
        refuse("KeepAlivePeriodInSeconds: spot instances cannot be in a warm pool; leave out one of the two.")
    if resources.get("InstanceGroups"):
        refuse("KeepAlivePeriodInSeconds: instance groups cannot be in a warm pool; leave out one of the two.")


def _check_algorithm(algorithm: dict[str, Any]) -> None:
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        refuse("You must specify either TrainingImage or AlgorithmName in AlgorithmSpecification, and not both.")
    for definition in algorithm.get("MetricDefinitions", []):
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error:
            groups = 0
        if not groups:
            refuse(
                f"Invalid metric definition regex '{definition['Regex']}' of metric '{definition['Name']}': "
                "it must be a valid regular expression with a capturing group."
            )


def _check_resources(resources: dict[str, Any] | None, region: str) -> set[str]:
    """The names of the instance groups."""
    if resources is None:
        refuse("ResourceConfig is required.")
    groups = resources.get("InstanceGroups")
    if not groups:
        for name in ("InstanceType", "InstanceCount"):
            if name not in resources:
                refuse(f"Missing required field in ResourceConfig: {name}.")
    elif "InstanceType" in resources or "InstanceCount" in resources:
        refuse("ResourceConfig has InstanceGroups, so InstanceType and InstanceCount belong to each of these.")
    names = [group["InstanceGroupName"] for group in groups or []]
    if len(set(names)) != len(names):
        refuse(f"The names of InstanceGroups must be different (got {', '.join(names)}).")
    for group in groups or [resources]:
        if group["InstanceCount"] < 1:
            refuse(f"Invalid InstanceCount {group['InstanceCount']}. It must be greater than or equal to 1.")
    if not 1 <= resources.get("VolumeSizeInGB", 1) <= _MAX_VOLUME:
        refuse(f"Invalid VolumeSizeInGB {resources['VolumeSizeInGB']}. It must be between 1 and {_MAX_VOLUME}.")
    if key := resources.get("VolumeKmsKeyId"):
        _check_key(key, region)
    return set(names)


def _check_times(request: dict[str, Any]) -> None:
    stopping = request.get("StoppingCondition")
    if stopping is None:
        refuse("StoppingCondition is required.")
    runtime, wait = stopping.get("MaxRuntimeInSeconds", _DAY), stopping.get("MaxWaitTimeInSeconds")
    if runtime > _MAX_RUNTIME:
        refuse(f"Invalid MaxRuntimeInSeconds. It must be less than or equal to {_MAX_RUNTIME} seconds.")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            refuse(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif wait is not None:
        refuse("Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true")


def _check_output(member: str, given: dict[str, Any], region: str) -> None:
    """A destination in S3, for artifacts or checkpoints."""
    if uri := given.get("S3OutputPath") or given.get("S3Uri"):
        name, _ = _bucket_and_key(uri)
        if moto_lookup.bucket(name) is None:
            refuse(f'The S3 bucket "{name}" of "{uri}" does not exist.')
    if key := given.get("KmsKeyId"):
        _check_key(key, region)
    local = given.get("LocalPath", "/")
    if not local.startswith("/") or ".." in local.split("/") or {'"', ",", "\0", "\n"} & set(local):
        refuse(f"{member}.LocalPath must be an absolute path without .., quotes, commas and line breaks (got {local}).")


def _check_key(key: str, region: str) -> None:
    if not moto_lookup.has_kms_key(key, region):
        refuse(f"The KMS key {key} does not exist in {region}, or is not enabled.")


def _check_vpc(vpc: dict[str, Any], region: str) -> None:
    for kind in ("Subnets", "SecurityGroupIds"):
        if missing := [name for name in vpc[kind] if not moto_lookup.has_network_part(kind, name, region)]:
            refuse(f"VpcConfig.{kind}: there is no {', '.join(missing)} in {region}.")


def _check_channel(channel: dict[str, Any], request: dict[str, Any], region: str, groups: set[str]) -> None:
    name = channel["ChannelName"]
    if name in (".", ".."):
        refuse(f"Channel name {name}: a folder cannot have the name . or .. itself.")
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        refuse(f"Channel {name}: the embedded AWS reads S3DataSource only; give an S3 URI.")
    if missing := set(source.get("InstanceGroupNames", ())) - groups:
        refuse(f"Channel {name}: there is no instance group {', '.join(sorted(missing))} in ResourceConfig.")
    uri = source["S3Uri"]
    bucket, prefix = _bucket_and_key(uri)
    held = moto_lookup.bucket(bucket)
    if held is None or not moto_lookup.has_key(bucket, prefix):
        hint = " There is // in it: an empty name between slashes." if "//" in prefix or prefix[:1] == "/" else ""
        refuse(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({region}), that objects exist under that S3 prefix, and that the role "
            f'"{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket "{bucket}".{hint}'
        )
    if held.region_name != region:
        refuse(
            f"The S3 bucket {bucket} is in region {held.region_name}; it must be in {region}, the training job's "
            "region."
        )


def _bucket_and_key(uri: str) -> tuple[str, str]:
    try:
        return bucket_and_key(uri)
    except ValueError as error:
        refuse(f"{error}.")
