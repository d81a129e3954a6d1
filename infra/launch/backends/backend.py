"""A place where jobs run, seen by the launcher: SageMaker, the embedded AWS, or this machine. One interface for all.

Every place takes the request of CreateTrainingJob and speaks SageMaker's words for statuses. It remembers jobs and
sweeps by itself: the launcher keeps nothing that it could not read back.
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


class Taken(AhxError):
    """There is a job of this name already: it has been submitted before."""


class Full(AhxError):
    """The quota of the instance type is used up for now."""


class Busy(AhxError):
    """The service asks to be called less often, or fails for the moment."""


class NotYet(AhxError):
    """The role cannot be assumed yet, as new ones cannot for some seconds."""


@dataclass(frozen=True)
class Job:
    """What a place knows about one job. Times are seconds since 1970."""

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
    model: str = ""  # where the model is

    @property
    def over(self) -> bool:
        return self.status in TERMINAL


class Image(NamedTuple):
    """What jobs run."""

    address: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """All of a sweep: what its jobs share, and each configuration with the setting (by its number) it belongs to."""

    templates: Sequence[JobTemplate]
    entries: Sequence[tuple[int, Config]]
    limits: Mapping[str, Any]  # max_parallel, max_cost, halving

    def to_json(self) -> dict[str, Any]:
        templates = [template.to_json() for template in self.templates]
        return {"format": 1, "settings": templates, "jobs": list(self.entries), "limits": dict(self.limits)}

    @classmethod
    def parse(cls, text: bytes, backend: str) -> Self:
        """Raises ServiceError when `text` is no manifest."""
        try:
            data = json.loads(text)
            templates = [JobTemplate.from_json(one) for one in data["settings"]]
            entries = [(int(number), dict(config)) for number, config in data["jobs"]]
            return cls(templates, entries, dict(data["limits"]))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ServiceError(f"{backend} is not the record of a sweep ({error}); run `ahx sweep` again") from error


class Backend(Protocol):
    """All methods raise ServiceError with one sentence; those that change something may be called again."""

    on: str  # the word after --on
    title: str  # "SageMaker in us-east-1"
    costs: bool  # whether instances are paid for
    stack_id: StackId

    def image(self, given: str | None) -> Image:
        """What jobs are to run: the image that was named, or the usual one."""

    def shared_at(self, digest: str) -> str:
        """Where `share` puts files with this digest; nothing is written."""

    def share(self, files: Sequence[Path], digest: str) -> str:
        """Put files where jobs can read them, once; the channel's address. `digest` is of their contents."""

    def slots(self, template: JobTemplate) -> int:
        """How many jobs may run at once."""

    def submit(self, request: Mapping[str, Any]) -> None:
        """Start a job. Raises Taken, Full, Busy, NotYet."""

    def jobs(self, sweep: str) -> dict[str, Job]:
        """The sweep's jobs, all attempts, by name. Raises Busy."""

    def log(self, job: str, cursor: Any) -> tuple[list[str], Any]:
        """What a job has printed since `cursor` (None: from the start), and where it goes on."""

    def stop(self, job: str) -> None:
        """Ask a job to stop; one that is over already is no error."""

    def fetch(self, job: Job, folder: Path) -> None:
        """Write the job's model (folder/model) and its outputs (folder/output)."""

    def read_manifest(self, sweep: str) -> Manifest | None: ...

    def write_manifest(self, sweep: str, manifest: Manifest) -> None: ...

    def sweeps(self) -> list[str]:
        """The names of all sweeps."""
