"""The status page of the embedded AWS, and the addresses at which tools ask whether it runs.

GET /_ahx/page?token=...              jobs, quotas in use, faults
GET /_ahx/page/REGION/JOB?token=...   one job: its transitions, hyperparameters and log
GET /_ahx/health, /_localstack/health whether the server runs; without a key

A browser cannot sign a request, so the address of the page holds a token. The page shows, and changes nothing.
"""

import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ahx.report.page import Section, html
from infra.embedded.faults import Faults
from infra.embedded.http.protocols import AwsError, Body, Environ, StartResponse
from infra.embedded.http.target import pairs
from infra.embedded.sagemaker.execution.log_shipping import GROUP
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.sagemaker.service import SageMaker

PAGE = "/_ahx/page"
HEALTH = ("/_ahx/health", "/_localstack/health")
_SERVICES = ("cloudwatch", "ecr", "iam", "logs", "s3", "sagemaker", "service-quotas", "sns", "sts")
_MOST_JOBS, _MOST_LINES = 200, 500
_REFRESH_SECONDS = 3


class StatusPage:
    """`secret` is that of the server's own key, from which the token is derived."""

    def __init__(self, sagemaker: SageMaker, faults: Faults, clients: OwnClients, secret: str) -> None:
        self._sagemaker, self._faults, self._clients = sagemaker, faults, clients
        self.token = hmac.digest(secret.encode(), b"status page", "sha256").hex()[:32]

    def is_meant(self, environ: Environ) -> bool:
        path = environ.get("PATH_INFO", "")
        return environ["REQUEST_METHOD"] in ("GET", "HEAD") and (path in HEALTH or f"{path}/".startswith(f"{PAGE}/"))

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        path = environ["PATH_INFO"]
        if path in HEALTH:
            told = {"status": "ok", "services": dict.fromkeys(_SERVICES, "running"), "edition": "ahx"}
            return _send(start, 200, "application/json", json.dumps(told))
        given = dict(pairs(environ)).get(b"token", b"")
        if not hmac.compare_digest(given, self.token.encode()):
            return _send(start, 403, "text/plain", "Open the address of the status page that `ahx aws` printed.\n")
        _, _, _, *words = path.split("/")
        try:
            made = self._job(*words) if len(words) == 2 else self._overview()
        except AwsError as error:
            return _send(start, 404, "text/plain", f"{error.message}\n")
        return _send(start, 200, "text/html", made)

    def _overview(self) -> str:
        training, now = self._sagemaker.training.jobs, time.time()
        with training.changed:
            jobs = sorted(training.all(), key=lambda job: -job.created)
            rows = [(job, *_row(job, now)) for job in jobs[:_MOST_JOBS]]
            used = [self._sagemaker.quotas.used(job for job in jobs if not job.is_over)]
        listed = Section("Training jobs")
        listed.table(_COLUMNS, [row for _, *row in rows], links=[self._address(job) for job, *_ in rows])
        tuning = Section("Tuning jobs")
        tuning.table(
            ("name", "status", "training jobs"),
            [(job.name, job.status, len(job.children)) for job in self._sagemaker.tuning.all()],
        )
        quotas = Section("Quotas in use")
        quotas.table(
            ("quota", "in use", "limit"), [(n, k, self._sagemaker.quotas.value(n)) for n, k in used[0].items()]
        )
        faults = Section("Faults")
        shown = self._faults.shown()
        faults.table(list(shown[0]) if shown else ("kind",), [list(map(str, rule.values())) for rule in shown])
        summary = f"{len(jobs):,} training jobs, {sum(not job.is_over for job in jobs):,} of them not over."
        return html("The embedded AWS", [summary], [listed, tuning, quotas, faults], _REFRESH_SECONDS)

    def _job(self, region: str, name: str) -> str:
        training = self._sagemaker.training.jobs
        with training.changed:
            job = training.find(region, name)
            told = job.describe()
        steps = Section("Transitions")
        steps.table(
            ("status", "from", "seconds", "message"),
            [
                (one["Status"], _clock(one["StartTime"]), one.get("EndTime", time.time()) - one["StartTime"],
                 one["StatusMessage"])
                for one in told["SecondaryStatusTransitions"]
            ],
        )  # fmt: skip
        given = Section("Hyperparameters")
        given.table(("name", "value"), sorted(told.get("HyperParameters", {}).items()))
        metrics = Section("Metrics")
        metrics.table(("name", "value"), [(one["MetricName"], one["Value"]) for one in told["FinalMetricDataList"]])
        log = Section(f"Log, the last {_MOST_LINES} lines")
        log.code("\n".join(self._lines(job)[-_MOST_LINES:]))
        summary = [
            f"{told['TrainingJobStatus']}: {told['SecondaryStatus']}",
            *filter(None, [told.get("FailureReason")]),
        ]
        return html(name, summary, [steps, given, metrics, log], 0 if job.is_over else _REFRESH_SECONDS)

    def _lines(self, job: TrainingJob) -> list[str]:
        try:
            pages = self._clients("logs", job.region).get_paginator("filter_log_events")
            found = pages.paginate(logGroupName=GROUP, logStreamNamePrefix=f"{job.name}/")
            return [event["message"] for page in found for event in page["events"]]
        except (BotoCoreError, ClientError):  # there is no log yet
            return []

    def _address(self, job: TrainingJob) -> str:
        return f"{PAGE}/{job.region}/{job.name}?token={self.token}"


_COLUMNS = ("name", "status", "phase", "created", "on instances, s", "instance", "region", "reason")


def _row(job: TrainingJob, now: float) -> Iterator[Any]:
    resources = job.request["ResourceConfig"]
    yield from (job.name, job.status, job.secondary, _clock(job.created))
    yield (job.instance_seconds or (now - job.started)) if job.started else None
    yield from (f"{job.instance_count} x {resources.get('InstanceType', 'groups')}", job.region)
    yield job.failure_reason.partition("\n")[0][:120]


def _clock(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _send(start: StartResponse, status: int, kind: str, text: str) -> Body:
    headers = [
        ("Content-Type", f"{kind}; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
    ]
    start(f"{status} {'OK' if status == 200 else 'Error'}", headers)
    return [text.encode()]
