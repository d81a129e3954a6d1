"""A page in CloudWatch: failed jobs, the bill, use of processors and GPUs, the newest lines of logs."""

import json
from typing import Any

from infra.provision.alarms import FailedJobsRule
from infra.provision.log_group import LogGroup
from infra.provision.resource import Attributes, Replaced, unless
from infra.provision.stack_id import BILLING_REGION, StackId
from infra.provision.statements import TAGGING, Statement, allow
from infra.provision.training_jobs import SAGEMAKER_LOG_GROUP

_GONE = ("ResourceNotFound", "DashboardNotFoundError")


class Dashboard(Replaced):
    """The page that `body` describes."""

    kind = "dashboard"
    service = "cloudwatch"
    name_format = "{prefix}-{region}"
    arn_format = "arn:{partition}:cloudwatch::{account}:dashboard/{name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = ("GetDashboard", "PutDashboard", "DeleteDashboards")
        return [
            allow("Dashboard", [f"cloudwatch:{verb}" for verb in verbs], self.arn),
            allow("AlarmTags", [f"cloudwatch:{verb}" for verb in TAGGING], self.arn),
        ]

    def wanted(self, live: Attributes | None) -> Attributes:
        return {"tags": self.stack_id.tags, "body": body(self.stack_id)}

    def read(self) -> Attributes | None:
        found = unless(_GONE, self.api.get_dashboard, DashboardName=self.name)
        if found is None:
            return None
        return {"tags": self.tags(), "body": json.loads(found["DashboardBody"])}

    def delete(self) -> None:
        unless(_GONE, self.api.delete_dashboards, DashboardNames=[self.name])

    def put(self, values: Attributes, **more: Any) -> None:
        """Where boto3 is older than 1.43.2, which has no tags here, they are set by a second call."""
        known = self.api.meta.service_model.operation_model("PutDashboard").input_shape.members
        with_tags = {name: value for name, value in more.items() if name in known}
        self.api.put_dashboard(DashboardName=self.name, DashboardBody=json.dumps(values["body"]), **with_tags)
        if more and not with_tags:
            self.write_tags(values["tags"])


def body(stack_id: StackId) -> dict[str, Any]:
    """The page, as https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    has it: a grid 24 columns wide."""
    failed = [["AWS/Events", "TriggeredRules", "RuleName", FailedJobsRule(stack_id).name]]
    spent = [["AWS/Billing", "EstimatedCharges", "ServiceName", "AmazonSageMaker", "Currency", "USD"]]
    widgets = [
        _widget(0, 0, "Failed jobs", metrics=failed, stat="Sum", period=300, region=stack_id.region),
        _widget(8, 0, "GPU, %", metrics=[_busy("GPUUtilization", stack_id)], region=stack_id.region),
        _widget(16, 0, "Processor, %", metrics=[_busy("CPUUtilization", stack_id)], region=stack_id.region),
    ]
    for row, group in enumerate((SAGEMAKER_LOG_GROUP, LogGroup(stack_id).name), 1):
        query = f"SOURCE '{group}' | fields @timestamp, @logStream, @message | sort @timestamp desc | limit 50"
        widgets.append(_log(6 * row, group, query, stack_id.region))
    if stack_id.partition == "aws":
        title = "SageMaker's bill of the month, USD"
        widgets.append(_widget(0, 18, title, metrics=spent, stat="Maximum", period=21600, region=BILLING_REGION))
    return {"widgets": widgets}


def _widget(x: int, y: int, title: str, **properties: Any) -> dict[str, Any]:
    place = {"x": x, "y": y, "width": 8, "height": 6}
    return {"type": "metric", **place, "properties": {"title": title, "view": "timeSeries", **properties}}


def _log(y: int, title: str, query: str, region: str) -> dict[str, Any]:
    place = {"x": 0, "y": y, "width": 24, "height": 6}
    return {"type": "log", **place, "properties": {"title": title, "query": query, "region": region, "view": "table"}}


def _busy(metric: str, stack_id: StackId) -> list[dict[str, str]]:
    search = f"SEARCH('{{/aws/sagemaker/TrainingJobs,Host}} MetricName=\"{metric}\" {stack_id.prefix}', 'Average', 60)"
    return [{"expression": search}]
