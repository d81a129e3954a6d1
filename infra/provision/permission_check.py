"""Which permissions of a policy the caller has: by IAM's policy simulation or, where that is denied, by calls that only
read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from infra import aws_clients
from infra.provision import training_jobs
from infra.provision.bucket import Bucket
from infra.provision.repository import Repository
from infra.provision.stack_id import StackId

_DENIED = ("AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation")
_NO_SIMULATION = (
    *_DENIED,
    "NoSuchEntity",
    "InvalidInput",
)  # of the last, a role of an identity centre, whose path is unknown


@dataclass(frozen=True)
class Permission:
    """One action on one resource."""

    action: str
    resource: str
    allowed: bool


def principal(caller: aws_clients.Caller) -> str | None:
    """The ARN to simulate: the user, or the role of a session. None for the root user, who may do everything."""
    kind, _, rest = caller.arn.split(":", 5)[5].partition("/")
    if kind == "assumed-role":
        return f"arn:{caller.partition}:iam::{caller.account}:role/{rest.partition('/')[0]}"
    return None if kind == "root" else caller.arn


def simulate(policy: dict[str, Any], of: str, region: str) -> list[Permission] | None:
    """IAM's verdict on every action of `policy` for the user or role `of`; None where that is denied.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    iam = aws_clients.client("iam", region)
    found: list[Permission] = []
    for statement in policy["Statement"]:
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in statement.get("Condition", {}).get("StringEquals", {}).items()
        ]
        for resource in statement["Resource"]:
            request = {
                "PolicySourceArn": of,
                "ActionNames": statement["Action"],
                "ResourceArns": [_example(resource, of)],  # one example for all that the pattern matches
                "ContextEntries": entries,
            }
            with aws_clients.sentences("have IAM simulate your policies"):
                results = aws_clients.unless(_NO_SIMULATION, _results, iam=iam, **request)
            if results is None:
                return None
            found += [Permission(one["EvalActionName"], resource, one["EvalDecision"] == "allowed") for one in results]
    return found


def probe(stack_id: StackId) -> Iterator[Permission]:
    """What read-only calls show; a resource that does not exist counts as readable."""
    for action, resource, call in _probes(stack_id):
        try:
            call()
            allowed = True
        except aws_clients.exceptions.ClientError as error:
            allowed = aws_clients.code(error) not in _DENIED
        yield Permission(action, resource, allowed)


def _probes(stack_id: StackId) -> list[tuple[str, str, Callable[[], Any]]]:
    def client(service: str) -> Any:
        return aws_clients.client(service, stack_id.region)

    bucket, repository = Bucket(stack_id), Repository(stack_id)
    group = training_jobs.SAGEMAKER_LOG_GROUP
    return [
        ("sagemaker:ListTrainingJobs", "*", lambda: client("sagemaker").list_training_jobs(MaxResults=1)),
        ("s3:ListBucket", bucket.arn, lambda: client("s3").list_objects_v2(Bucket=bucket.name, MaxKeys=1)),
        (
            "ecr:DescribeImages",
            repository.arn,
            lambda: client("ecr").describe_images(repositoryName=repository.name, maxResults=1),
        ),
        (
            "logs:DescribeLogStreams",
            training_jobs.log_group_arn(stack_id),
            lambda: client("logs").describe_log_streams(logGroupName=group, limit=1),
        ),
        (
            "servicequotas:ListServiceQuotas",
            "*",
            lambda: client("service-quotas").list_service_quotas(ServiceCode="sagemaker", MaxResults=1),
        ),
    ]


def _results(iam: Any, **request: Any) -> list[dict[str, Any]]:
    pages = iam.get_paginator("simulate_principal_policy").paginate(**request)
    return [one for page in pages for one in page["EvaluationResults"]]


def _example(resource: str, of: str) -> str:
    if "${aws:username}" in resource:
        return of
    return resource if resource == "*" else resource.replace("*", "example")
