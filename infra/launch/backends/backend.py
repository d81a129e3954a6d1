"""What the launcher needs of a backend: SageMaker, the embedded AWS, or this machine.

Every backend takes CreateTrainingJob requests and reports SageMaker's statuses. It stores jobs and sweeps: the launcher
itself keeps no state.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from ahx.errors import AhxError, ServiceError
from infra.launch.job_request import JobTemplate
from infra.launch.sweep import Config
from infra.provision.stack_id import StackId

COMPLETED, FAILED, STOPPED, STOPPING, IN_PROGRESS = "Completed", "Failed", "Stopped", "Stopping", "InProgress"
TERMINAL = (COMPLETED, FAILED, STOPPED)
INTERRUPTED = "Interrupted"  # the phase of a job whose process has died: submitted again, it continues


class JobExistsError(AhxError):
    """A job of this name exists: it was submitted before."""


class QuotaExceededError(AhxError):
    """The quota of the instance type is used up at present."""


class ServiceBusyError(AhxError):
    """The service throttles calls, or is temporarily unavailable."""


class RoleNotReadyError(AhxError):
    """The role cannot be assumed yet: a new one takes some seconds."""


@dataclass(frozen=True)
class Job:
    """What a backend knows about one job. Times are seconds since 1970."""

    name: str
    status: str
    phase: str = ""  # SageMaker's SecondaryStatus
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0  # of training time, once it has ended
    billed_seconds: float = 0.0
    reason: str = ""  # why it failed
    metrics: Mapping[str, float] = field(default_factory=dict)
    model: str = ""  # address of its models, with a folder KEY for each trial
    output: str = ""  # address of its outputs, in the same way
    trials: str = ""  # address of its channel `trials`; "" for a job of an earlier version, which has one trial

    @property
    def over(self) -> bool:
        return self.status in TERMINAL


class Image(NamedTuple):
    """What jobs run."""

    address: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """All of a sweep: templates of its jobs, and each configuration with the number of its template."""

    templates: Sequence[JobTemplate]
    entries: Sequence[tuple[int, Config]]
    limits: Mapping[str, Any]  # max_parallel, max_cost, halving, trials_per_job

    def to_json(self) -> dict[str, Any]:
        templates = [template.to_json() for template in self.templates]
        return {"format": 1, "settings": templates, "jobs": list(self.entries), "limits": dict(self.limits)}

    @classmethod
    def parse(cls, text: bytes, source: str) -> Self:
        """Raises ServiceError when `text` is no manifest."""
        try:
            data = json.loads(text)
            templates = [JobTemplate.from_json(one) for one in data["settings"]]
            entries = [(int(number), dict(config)) for number, config in data["jobs"]]
            return cls(templates, entries, dict(data["limits"]))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ServiceError(f"{source} is not the record of a sweep ({error}); run `ahx sweep` again") from error


class Backend(Protocol):
    """All methods raise ServiceError with one sentence; those that change something may be called again."""

    on: str  # the word after --on
    title: str  # "SageMaker in us-east-1"
    costs: bool  # whether instances cost money
    stack_id: StackId

    def image(self, given: str | None) -> Image:
        """What jobs run: the image that is named, or the default one."""

    def shared_at(self, digest: str) -> str:
        """The address at which `share` puts files with this digest."""

    def share(self, files: Sequence[Path], digest: str) -> str:
        """Put files where jobs can read them, once; the channel's address. `digest` is that of their contents."""

    def slots(self, template: JobTemplate) -> int:
        """How many jobs may run at once."""

    def submit(self, request: Mapping[str, Any]) -> None:
        """Start a job. Raises JobExistsError, QuotaExceededError, ServiceBusyError, RoleNotReadyError."""

    def jobs(self, sweep: str) -> dict[str, Job]:
        """The sweep's jobs, all attempts, by name. Raises ServiceBusyError."""

    def trials(self, job: Job) -> bytes:
        """The file trials.json of a job. Raises ServiceBusyError."""

    def states(self, job: Job) -> bytes:
        """The record trials.jsonl of a job; empty before its first trial starts. Raises ServiceBusyError."""

    def log(self, job: str, cursor: Any) -> tuple[list[str], Any]:
        """The lines that a job has printed since `cursor` (None: from the start), and the next cursor."""

    def stop(self, job: str) -> None:
        """Ask a job to stop; one that has ended is no error."""

    def read_manifest(self, sweep: str) -> Manifest | None: ...

    def write_manifest(self, sweep: str, manifest: Manifest) -> None: ...

    def sweeps(self) -> list[str]:
        """The names of all sweeps."""
