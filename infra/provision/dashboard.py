"""One page in CloudWatch: failed jobs, what has been spent, how busy the machines are, the newest lines of logs."""

import json
from collections.abc import Iterable
from typing import Any

from infra import aws_clients
from infra.provision.names import SAGEMAKER_LOG_GROUP, Names
from infra.provision.resource import Attributes, Resource, our_tags, tag_list

_GONE = ("ResourceNotFound", "DashboardNotFoundError")


class Dashboard(Resource):
    """The page `body` describes."""

    kind = "dashboard"
    service = "cloudwatch"

    @property
    def arn(self) -> str:
        return self.names.dashboard_arn

    def wanted(self, live: Attributes | None) -> Attributes:
        return {"tags": self.names.tags, "body": body(self.names)}

    def read(self) -> Attributes | None:
        found = aws_clients.unless(_GONE, self.api.get_dashboard, DashboardName=self.names.dashboard)
        if found is None:
            return None
        tags = self.api.list_tags_for_resource(ResourceARN=self.arn)["Tags"]
        return {"tags": our_tags(self.names, tags), "body": json.loads(found["DashboardBody"])}

    def create(self, wanted: Attributes) -> Iterable[str]:
        self._put(wanted["body"], Tags=tag_list(wanted["tags"]))
        return list(wanted)

    def write(self, attribute: str, value: Any) -> None:
        if attribute == "tags":
            self.api.tag_resource(ResourceARN=self.arn, Tags=tag_list(value))
        elif attribute == "body":
            self._put(value)

    def delete(self) -> None:
        aws_clients.unless(_GONE, self.api.delete_dashboards, DashboardNames=[self.names.dashboard])

    def _put(self, value: Any, **more: Any) -> None:
        self.api.put_dashboard(DashboardName=self.names.dashboard, DashboardBody=json.dumps(value), **more)


def body(names: Names) -> dict[str, Any]:
    """The page, as https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    has it: a grid 24 columns wide."""
    failed = [["AWS/Events", "TriggeredRules", "RuleName", names.failed_jobs_rule]]
    spent = [["AWS/Billing", "EstimatedCharges", "ServiceName", "AmazonSageMaker", "Currency", "USD"]]
    widgets = [
        _widget(0, 0, "Failed jobs", metrics=failed, stat="Sum", period=300, region=names.region),
        _widget(8, 0, "GPU, %", metrics=[_busy("GPUUtilization", names)], region=names.region),
        _widget(16, 0, "Processor, %", metrics=[_busy("CPUUtilization", names)], region=names.region),
    ]
    for row, group in enumerate((SAGEMAKER_LOG_GROUP, names.log_group), 1):
        query = f"SOURCE '{group}' | fields @timestamp, @logStream, @message | sort @timestamp desc | limit 50"
        widgets.append(_log(6 * row, group, query, names.region))
    if names.partition == "aws":
        widgets.append(
            _widget(
                0,
                18,
                "SageMaker's bill of the month, USD",
                metrics=spent,
                stat="Maximum",
                period=21600,
                region=names.billing_region,
            )
        )
    return {"widgets": widgets}


def _widget(x: int, y: int, title: str, **properties: Any) -> dict[str, Any]:
    place = {"x": x, "y": y, "width": 8, "height": 6}
    return {"type": "metric", **place, "properties": {"title": title, "view": "timeSeries", **properties}}


def _log(y: int, title: str, query: str, region: str) -> dict[str, Any]:
    place = {"x": 0, "y": y, "width": 24, "height": 6}
    return {"type": "log", **place, "properties": {"title": title, "query": query, "region": region, "view": "table"}}


def _busy(metric: str, names: Names) -> list[dict[str, str]]:
    search = f"SEARCH('{{/aws/sagemaker/TrainingJobs,Host}} MetricName=\"{metric}\" {names.prefix}', 'Average', 60)"
    return [{"expression": search}]
