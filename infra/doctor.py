"""Checks what prevents a training job: each finding is a sentence and a next step."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import groupby
from typing import Any, Literal

import boto3

from ahx.errors import ServiceError
from infra import aws_clients, ecr
from infra.provision import permission_check, policies
from infra.provision.bucket import Bucket
from infra.provision.repository import Repository
from infra.provision.stack_id import StackId

Level = Literal["ok", "warning", "problem"]

_SKEW = 300  # seconds that AWS accepts
_THREADS = 8


@dataclass(frozen=True)
class Finding:
    """The result of a check. A problem prevents training; a warning does not."""

    check: str
    level: Level
    text: str
    next_step: str = ""


def examine(region: str | None, prefix: str, image: str, instance_types: Sequence[str]) -> Iterator[Finding]:
    """All checks, each as soon as it is done. Without credentials, only those that need none."""
    caller = None
    for finding in credentials(region):
        if isinstance(finding, aws_clients.Caller):
            caller = finding
        else:
            yield finding
    if caller is not None:
        stack_id = caller.stack_id(prefix)
        checks = {
            "region": where(stack_id, region),
            "permissions": rights(stack_id, caller),
            "quotas": quotas(stack_id, instance_types),
            "image": image_in_ecr(stack_id, image),
        }
        for name, findings in checks.items():
            try:
                yield from findings
            except ServiceError as error:
                yield _finding(name, "problem", error)
    yield from docker(image)


def credentials(region: str | None) -> Iterator[Finding | aws_clients.Caller]:
    """Whose they are, and the error of this machine's clock: a wrong clock looks like wrong credentials."""
    started = time.time()
    try:
        caller = aws_clients.caller(region)
    except ServiceError as error:
        yield _finding("credentials", "problem", error)
        cause = error.__cause__
        if isinstance(cause, aws_clients.exceptions.ClientError):
            yield from clock(cause.response, started)
        return
    yield caller
    to = f", at {aws_clients.endpoint()}, which is not Amazon's" if aws_clients.endpoint() else ""
    yield Finding("credentials", "ok", f"You are {caller.arn} in account {caller.account}{to}.")
    yield from clock(caller.response, started)


def clock(response: dict[str, Any], asked: float) -> Iterator[Finding]:
    """This machine's clock against the Date of an answer that came just after `asked`."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if date is None:
        return
    answered = time.time()
    theirs = parsedate_to_datetime(date).timestamp()
    skew = max(theirs - answered, asked - 1 - theirs, 0)  # AWS gives whole seconds, and the answer took time
    if skew > _SKEW:
        way = "behind" if theirs > answered else "ahead of"
        text = f"This machine's clock is {skew / 60:,.0f} minutes {way} AWS's, which refuses more than {_SKEW // 60}."
        yield Finding("clock", "problem", text, "set it; with systemd: timedatectl set-ntp true")
    else:
        yield Finding("clock", "ok", f"This machine's clock agrees with AWS's to within {skew + 1:.0f} s.")


def where(stack_id: StackId, region: str | None) -> Iterator[Finding]:
    """In which regions the stack is: jobs that seem to be missing are often in another."""
    source = _source(region)
    first, second = os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION")
    if first and second and first != second:
        text = f"AWS_REGION is {first} but AWS_DEFAULT_REGION is {second}; ahx takes the first, boto3 the second."
        yield Finding("region", "warning", text, "set both to the same")
    here, *others = _stacks(stack_id)
    elsewhere = [region for region in others if region]
    if here:
        yield Finding("region", "ok", f"The stack {stack_id.prefix!r} is in {stack_id.region} ({source}).")
        if elsewhere:
            text = f"There is one in {' and '.join(elsewhere)} too: its jobs, logs and data are seen only from there."
            yield Finding("region", "warning", text, f"to look at them, set AWS_REGION={elsewhere[0]}")
    elif elsewhere:
        text = (
            f"There is nothing of {stack_id.prefix!r} in {stack_id.region} ({source}), but there is in"
            f" {' and '.join(elsewhere)}: jobs and logs that seem to be missing are there."
        )
        yield Finding("region", "problem", text, f"set AWS_REGION={elsewhere[0]}")
    else:
        text = f"There is nothing of {stack_id.prefix!r} in {stack_id.region} ({source}), nor in any other region."
        yield Finding("region", "problem", text, "run `ahx infra apply`")


def rights(stack_id: StackId, caller: aws_clients.Caller) -> Iterator[Finding]:
    """Whether every action that `ahx infra policy user` lists is allowed."""
    of = permission_check.principal(caller)
    if of is None:
        text = "These are the keys of the account's root user, who may do everything; one slip can cost the account."
        yield Finding("permissions", "warning", text, "make a user with what `ahx infra policy user` prints")
        return
    verdicts, how = permission_check.simulate(policies.user(stack_id), of, stack_id.region), "IAM's policy simulation"
    if verdicts is None:
        verdicts, how = (
            list(permission_check.probe(stack_id)),
            "calls that only read, as IAM's simulation is not allowed",
        )
    denied = sorted((one for one in verdicts if not one.allowed), key=lambda one: one.resource)
    for resource, group in groupby(denied, key=lambda one: one.resource):
        text = f"Not allowed on {resource}: {', '.join(sorted({one.action for one in group}))} (by {how})."
        yield Finding("permissions", "problem", text, "have an administrator grant what `ahx infra policy user` prints")
    if not denied:
        count = len({one.action for one in verdicts})
        yield Finding("permissions", "ok", f"All {count} actions that were tried are allowed (by {how}).")


def quotas(stack_id: StackId, instance_types: Sequence[str]) -> Iterator[Finding]:
    """How many instances of each type may train at once. A new account often has none of those with a GPU."""
    client = aws_clients.client("service-quotas", stack_id.region)
    with aws_clients.sentences("read the quotas of SageMaker"):
        found = _quotas(client, "list_aws_default_service_quotas") | _quotas(client, "list_service_quotas")
    for kind in instance_types:
        quota = found.get(f"{kind} for training job usage")
        if quota is None:
            yield Finding("quotas", "problem", f"SageMaker has no quota for {kind}.", "check the name of the type")
        elif quota["Value"] < 1:
            place = _console(stack_id, f"servicequotas/home/services/sagemaker/quotas/{quota['QuotaCode']}")
            text = f"The quota of {kind} for training is 0 in {stack_id.region}: every job would be refused."
            yield Finding("quotas", "problem", text, f"ask for more at {place}")
        else:
            yield Finding("quotas", "ok", f"{quota['Value']:,.0f} instances of {kind} may train at once.")


def image_in_ecr(stack_id: StackId, image: str) -> Iterator[Finding]:
    """Whether there is an image to train with, and whether it is the one built here last."""
    repository = Repository(stack_id)
    pushed = ecr.pushed(repository)
    if not pushed:
        level: Level = (
            "warning" if aws_clients.endpoint() else "problem"
        )  # the embedded AWS can run this machine's images
        yield Finding("image", level, f"There is no image in {repository.image}.", f"run `ahx push --image {image}`")
        return
    newest = pushed[0]
    text = (
        f"The newest of {len(pushed)} in {repository.image} is {newest.digest}, pushed {newest.pushed:%Y-%m-%d %H:%M}."
    )
    yield Finding("image", "ok", text)
    try:
        tag = ecr.local(image).tag
    except ServiceError:
        return
    if all(tag not in one.tags for one in pushed):
        text = f"{image} as it is on this machine has not been pushed: jobs would run an older one."
        yield Finding("image", "warning", text, f"run `ahx push --image {image}`")


def docker(image: str) -> Iterator[Finding]:
    """Docker is needed here to build, to push and to run jobs on this machine; not to train on SageMaker."""
    try:
        found = ecr.local(image)
        yield Finding("docker", "ok", f"Docker answers, and has {image} ({found.id[7:19]}).")
    except ServiceError as error:
        yield _finding("docker", "warning", error)


def _finding(check: str, level: Level, error: ServiceError) -> Finding:
    """An error as a finding; its next step follows the semicolon."""
    text, _, step = str(error).partition("; ")
    return Finding(check, level, f"{text[:1].upper()}{text[1:]}.", step)


def _stacks(stack_id: StackId) -> list[str | None]:
    """The regions with a bucket of this stack: first stack_id.region or None, then the others or None each.

    S3 answers 404 for a bucket that does not exist, whatever the caller may do.
    """
    session = boto3.Session()
    others = sorted({*session.get_available_regions("sagemaker", stack_id.partition)} - {stack_id.region})
    s3 = aws_clients.client("s3", stack_id.region)

    def there(region: str) -> str | None:
        bucket = Bucket(replace(stack_id, region=region)).name
        try:
            s3.head_bucket(Bucket=bucket)
        except aws_clients.exceptions.ClientError as error:
            return None if aws_clients.code(error) in ("404", "NoSuchBucket") else region
        return region

    with aws_clients.sentences("look for buckets"), ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(there, [stack_id.region, *others]))


def _console(stack_id: StackId, path: str) -> str:
    """An address in AWS's web console."""
    hosts = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
    return f"https://{stack_id.region}.{hosts.get(stack_id.partition, 'console.aws.amazon.com')}/{path}"


def _quotas(client: Any, operation: str) -> dict[str, dict[str, Any]]:
    pages = client.get_paginator(operation).paginate(ServiceCode="sagemaker")
    return {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}


def _source(region: str | None) -> str:
    if region:
        return "from --region"
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if os.environ.get(variable):
            return f"from {variable}"
    return "from ~/.aws/config"
