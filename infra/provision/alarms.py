"""Alarms when jobs fail or money is spent: a rule that counts failures, and two alarms."""

import json
from typing import Any

from infra.provision import training_jobs
from infra.provision.resource import EMAIL_TAG, LIMIT_TAG, Attributes, Replaced, document, unless
from infra.provision.statements import TAGGING, Statement, allow
from infra.provision.topic import Topic

DEFAULT_SPEND = 50.0  # USD

_GONE = ("ResourceNotFoundException",)


class FailedJobsRule(Replaced):
    """An EventBridge rule that our failed jobs match. AWS counts its matches; it has no other count of failures.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """

    kind = "rule"
    service = "events"
    name_format = "{prefix}-failed-jobs"
    arn_format = "arn:{partition}:events:{region}:{account}:rule/{name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = ("PutRule", "DescribeRule", "DeleteRule", "ListTargetsByRule", "RemoveTargets")
        return [allow("FailedJobs", [f"events:{verb}" for verb in (*verbs, *TAGGING)], self.arn)]

    def wanted(self, live: Attributes | None) -> Attributes:
        ours = {"prefix": training_jobs.name_prefix(self.stack_id)}
        pattern = {
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Training Job State Change"],
            "detail": {"TrainingJobStatus": ["Failed"], "TrainingJobName": [ours]},
        }
        return {"tags": self.stack_id.tags, "pattern": document(pattern), "state": "ENABLED"}

    def read(self) -> Attributes | None:
        rule = unless(_GONE, self.api.describe_rule, **self._rule)
        if rule is None:
            return None
        return {
            "tags": self.tags(),
            "pattern": document(rule.get("EventPattern") or "{}"),
            "state": rule["State"],
        }

    def delete(self) -> None:
        """AWS deletes a rule only without targets, which others may have added."""
        targets = unless(_GONE, self.api.list_targets_by_rule, Rule=self.name)
        if targets and targets["Targets"]:
            ids = [target["Id"] for target in targets["Targets"]]
            unless(_GONE, self.api.remove_targets, Rule=self.name, Ids=ids)
        unless(_GONE, self.api.delete_rule, **self._rule)

    @property
    def _rule(self) -> dict[str, str]:
        return {"Name": self.name}

    def put(self, values: Attributes, **more: Any) -> None:
        """EventBridge takes lists only; `document` made those of one string plain."""
        pattern = _lists(values["pattern"])
        self.api.put_rule(**self._rule, EventPattern=json.dumps(pattern), State=values["state"], **more)


class Alarm(Replaced):
    """A CloudWatch alarm on one metric, which sends mail to the topic if there is one."""

    kind = "alarm"
    service = "cloudwatch"
    arn_format = "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm")
        return [
            allow("Alarms", [f"cloudwatch:{verb}" for verb in verbs], self.arn),
            allow("AlarmTags", [f"cloudwatch:{verb}" for verb in TAGGING], self.arn),
        ]

    def wanted(self, live: Attributes | None) -> Attributes:
        email = self.chosen(self.choices.email, EMAIL_TAG, live)
        tags = {**self.stack_id.tags, EMAIL_TAG: email} if email else self.stack_id.tags
        actions = [Topic(self.stack_id, self.choices, self.region).arn] if email else []
        return {"tags": tags, "actions": actions, "actions enabled": True, "missing data": "notBreaching"}

    def read(self) -> Attributes | None:
        found = self.api.describe_alarms(AlarmNames=[self.name])["MetricAlarms"]
        if not found:
            return None
        alarm = found[0]
        return {
            "tags": self.tags(),
            "metric": f"{alarm['Namespace']} {alarm['MetricName']}",
            "dimensions": {one["Name"]: one["Value"] for one in alarm["Dimensions"]},
            "when": f"{alarm['Statistic']} of {alarm['EvaluationPeriods']} x {alarm['Period']} s",
            "comparison": alarm["ComparisonOperator"],
            "threshold": float(alarm["Threshold"]),
            "missing data": alarm.get("TreatMissingData", "missing"),
            "actions": sorted(alarm["AlarmActions"]),
            "actions enabled": alarm["ActionsEnabled"],
        }

    def delete(self) -> None:
        unless(["ResourceNotFound", *_GONE], self.api.delete_alarms, AlarmNames=[self.name])

    def put(self, values: Attributes, **more: Any) -> None:
        namespace, metric = values["metric"].rsplit(" ", 1)
        statistic, _, periods, _, seconds, _ = values["when"].split(" ")
        self.api.put_metric_alarm(
            AlarmName=self.name,
            AlarmDescription="Made by `ahx infra apply`, which repairs it",
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in values["dimensions"].items()],
            Statistic=statistic,
            EvaluationPeriods=int(periods),
            Period=int(seconds),
            ComparisonOperator=values["comparison"],
            Threshold=values["threshold"],
            TreatMissingData=values["missing data"],
            AlarmActions=values["actions"],
            ActionsEnabled=values["actions enabled"],
            **more,
        )


class FailedJobsAlarm(Alarm):
    """Goes off within five minutes of a failed job."""

    name_format = "{prefix}-failed-jobs"

    def wanted(self, live: Attributes | None) -> Attributes:
        return super().wanted(live) | {
            "metric": "AWS/Events TriggeredRules",
            "dimensions": {"RuleName": FailedJobsRule(self.stack_id).name},
            "when": "Sum of 1 x 300 s",
            "comparison": "GreaterThanOrEqualToThreshold",
            "threshold": 1.0,
        }


class SpendAlarm(Alarm):
    """Goes off when SageMaker's bill of the month so far passes a limit. AWS updates it a few times a day.

    The metric exists once "billing alerts" are on in the account's billing preferences.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/monitor_estimated_charges_with_cloudwatch.html
    """

    name_format = "{prefix}-spend-{region}"

    def wanted(self, live: Attributes | None) -> Attributes:
        limit = float(self.chosen(self.choices.spend, LIMIT_TAG, live) or DEFAULT_SPEND)
        common = super().wanted(live)
        return common | {
            "tags": {**common["tags"], LIMIT_TAG: f"{limit:g}"},
            "metric": "AWS/Billing EstimatedCharges",
            "dimensions": {"Currency": "USD", "ServiceName": "AmazonSageMaker"},
            "when": "Maximum of 1 x 21600 s",
            "comparison": "GreaterThanThreshold",
            "threshold": limit,
        }


def _lists(value: Any) -> Any:
    """Every leaf a list, as event patterns have it."""
    if isinstance(value, dict):
        return {key: inner if key == "prefix" else _lists(inner) for key, inner in value.items()}
    return [_lists(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else [value]
