"""Which calls of AWS the project makes, recorded through botocore's events, and which permission each of them needs."""

import fnmatch
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.session

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Needed:
    """An action, and the ARN it is done to ("*" where AWS knows no narrower one)."""

    action: str
    resource: str


@dataclass
class Recorder:
    """The calls made while `recording`."""

    calls: list[tuple[str, str, str, Parameters]] = field(
        default_factory=list
    )  # service, operation, region, parameters

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Every client that is made meanwhile in this process, by whatever code, is listened to."""
        make = botocore.session.Session.create_client

        def make_and_listen(session: Any, *args: Any, **settings: Any) -> Any:
            client = make(session, *args, **settings)
            service, region = client.meta.service_model.service_name, client.meta.region_name

            def heard(params: Parameters, model: Any, **_: Any) -> None:
                self.calls.append((service, model.name, region, dict(params)))

            client.meta.events.register("provide-client-params.*.*", heard)
            return client

        botocore.session.Session.create_client = make_and_listen
        try:
            yield
        finally:
            botocore.session.Session.create_client = make

    def needed(self, account: str, partition: str = "aws") -> set[Needed]:
        """All permissions that the calls so far need."""
        found: set[Needed] = set()
        for service, operation, region, params in self.calls:
            found |= set(needed(service, operation, params, f"arn:{partition}:{{}}:{region}:{account}:", partition))
        return found


def needed(service: str, operation: str, params: Parameters, arn: str, partition: str) -> Iterator[Needed]:
    """What one call needs, after the Service Authorization Reference of AWS
    (https://docs.aws.amazon.com/service-authorization/latest/reference/). `arn` is how the service's ARNs begin."""
    if (service, operation) in FREE:
        return
    action = RENAMED.get((service, operation), f"{PREFIXES.get(service, service)}:{operation}")
    resource = RESOURCES[service](operation, params, arn.format(service), partition)
    for one in resource if isinstance(resource, list) else [resource]:
        yield Needed(action, one)
        for parameter, (tagging, operations) in TAGGING.get(service, {}).items():
            if operation in operations and has(params, parameter):
                yield Needed(tagging, one)
    if (service, operation) == ("s3", "DeleteObjects") and any("VersionId" in o for o in params["Delete"]["Objects"]):
        yield Needed("s3:DeleteObjectVersion", resource)
    if (service, operation) == ("sagemaker", "CreateTrainingJob"):
        yield Needed("iam:PassRole", params["RoleArn"])


def has(params: Parameters, path: str) -> bool:
    value: Any = params
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return bool(value)


# Calls that AWS answers whatever the caller's policies say.
FREE = {("sts", "GetCallerIdentity")}

# Where the prefix of the actions is not boto3's name of the service.
PREFIXES = {"service-quotas": "servicequotas"}

# Where the action is not called like the operation.
RENAMED = {
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "DeleteObjects"): "s3:DeleteObject",
    ("s3", "ListObjectVersions"): "s3:ListBucketVersions",
    ("s3", "ListMultipartUploads"): "s3:ListBucketMultipartUploads",
    ("s3", "CreateMultipartUpload"): "s3:PutObject",
    ("s3", "UploadPart"): "s3:PutObject",
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
    ("s3", "CopyObject"): "s3:PutObject",
    ("s3", "GetBucketEncryption"): "s3:GetEncryptionConfiguration",
    ("s3", "PutBucketEncryption"): "s3:PutEncryptionConfiguration",
    ("s3", "GetBucketLifecycleConfiguration"): "s3:GetLifecycleConfiguration",
    ("s3", "PutBucketLifecycleConfiguration"): "s3:PutLifecycleConfiguration",
    ("s3", "GetPublicAccessBlock"): "s3:GetBucketPublicAccessBlock",
    ("s3", "PutPublicAccessBlock"): "s3:PutBucketPublicAccessBlock",
    ("budgets", "CreateBudget"): "budgets:ModifyBudget",
    ("budgets", "UpdateBudget"): "budgets:ModifyBudget",
    ("budgets", "DeleteBudget"): "budgets:ModifyBudget",
    ("budgets", "CreateNotification"): "budgets:ModifyBudget",
    ("budgets", "DeleteNotification"): "budgets:ModifyBudget",
    ("budgets", "DescribeBudget"): "budgets:ViewBudget",
    ("budgets", "DescribeNotificationsForBudget"): "budgets:ViewBudget",
    ("budgets", "DescribeSubscribersForNotification"): "budgets:ViewBudget",
}

# Calls that tag what they create need the permission to tag as well: the parameter, the action, the calls.
TAGGING: dict[str, dict[str, tuple[str, set[str]]]] = {
    "s3": {"CreateBucketConfiguration.Tags": ("s3:TagResource", {"CreateBucket"})},
    "iam": {"Tags": ("iam:TagRole", {"CreateRole"})},
    "ecr": {"tags": ("ecr:TagResource", {"CreateRepository"})},
    "logs": {"tags": ("logs:TagResource", {"CreateLogGroup"})},
    "events": {"Tags": ("events:TagResource", {"PutRule"})},
    "sns": {"Tags": ("sns:TagResource", {"CreateTopic"})},
    "cloudwatch": {"Tags": ("cloudwatch:TagResource", {"PutMetricAlarm", "PutDashboard"})},
    "budgets": {"ResourceTags": ("budgets:TagResource", {"CreateBudget"})},
    "sagemaker": {"Tags": ("sagemaker:AddTags", {"CreateTrainingJob"})},
}


def _s3(operation: str, params: Parameters, arn: str, partition: str) -> str:
    bucket = f"arn:{partition}:s3:::{params['Bucket']}"
    if operation == "DeleteObjects":
        return f"{bucket}/{params['Delete']['Objects'][0]['Key']}"
    return f"{bucket}/{params['Key']}" if "Key" in params else bucket


def _iam(operation: str, params: Parameters, arn: str, partition: str) -> str:
    account = arn.split(":")[4]
    role = params.get("RoleName")
    return f"arn:{partition}:iam::{account}:role/{role}" if role else params["PolicySourceArn"]


def _ecr(operation: str, params: Parameters, arn: str, partition: str) -> str:
    if operation == "GetAuthorizationToken":
        return "*"
    name = params.get("repositoryName") or (params.get("repositoryNames") or [None])[0]
    return params.get("resourceArn") or f"{arn}repository/{name}"


def _logs(operation: str, params: Parameters, arn: str, partition: str) -> str:
    if operation == "DescribeLogGroups":
        return "*"
    group = params.get("resourceArn") or f"{arn}log-group:{params['logGroupName']}"
    stream = params.get("logStreamName")
    if stream and operation != "CreateLogStream":
        return f"{group}:log-stream:{stream}"
    whole = operation in ("ListTagsForResource", "TagResource")
    return group if whole else f"{group}:*"


def _events(operation: str, params: Parameters, arn: str, partition: str) -> str:
    return params.get("ResourceARN") or f"{arn}rule/{params.get('Name') or params.get('Rule')}"


def _sns(operation: str, params: Parameters, arn: str, partition: str) -> str:
    return params.get("TopicArn") or params.get("ResourceArn") or f"{arn}{params['Name']}"


def _cloudwatch(operation: str, params: Parameters, arn: str, partition: str) -> str | list[str]:
    dashboards = params.get("DashboardNames") or [params.get("DashboardName")]
    if dashboards[0]:
        return [f"arn:{partition}:cloudwatch::{arn.split(':')[4]}:dashboard/{name}" for name in dashboards]
    alarms = params.get("AlarmNames") or [params.get("AlarmName")]
    return params.get("ResourceARN") or [f"{arn}alarm:{name}" for name in alarms]


def _budgets(operation: str, params: Parameters, arn: str, partition: str) -> str:
    name = params.get("BudgetName") or params.get("Budget", params.get("NewBudget", {})).get("BudgetName")
    return params.get("ResourceARN") or f"arn:{partition}:budgets::{params['AccountId']}:budget/{name}"


def _sagemaker(operation: str, params: Parameters, arn: str, partition: str) -> str:
    name = params.get("TrainingJobName")
    return f"{arn}training-job/{name}" if name else "*"


def _any(operation: str, params: Parameters, arn: str, partition: str) -> str:
    return "*"


RESOURCES: dict[str, Callable[[str, Parameters, str, str], str | list[str]]] = {
    "s3": _s3,
    "iam": _iam,
    "ecr": _ecr,
    "logs": _logs,
    "events": _events,
    "sns": _sns,
    "cloudwatch": _cloudwatch,
    "budgets": _budgets,
    "sagemaker": _sagemaker,
    "service-quotas": _any,
    "sts": _any,
}


def allows(policy: dict[str, Any], wanted: Needed) -> bool:
    """Whether a statement of the policy covers it; all of ours allow, and conditions are left out."""
    return any(
        any(fnmatch.fnmatchcase(wanted.action, action) for action in statement["Action"])
        and any(fnmatch.fnmatchcase(wanted.resource, resource) for resource in statement["Resource"])
        for statement in policy["Statement"]
    )


def granted(policy: dict[str, Any]) -> set[str]:
    """All actions of a policy."""
    return {action for statement in policy["Statement"] for action in statement["Action"]}
