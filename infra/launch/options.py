"""Options of a sweep other than hyperparameters.

Each field is an option of the command line and a key of sweep files; those of JobOptions are kept with the sweep, and
job_request.py turns them into members of the request.
"""

from dataclasses import Field, dataclass, field, fields
from typing import Any, get_args

from ahx.errors import InputError
from infra.launch import prices

BACKENDS = ("process", "docker", "local-mode", "embedded", "sagemaker")  # the values of --on
INSTANCE_TYPE = "ml.m5.large"
_LEAST = {"max_runtime": 1, "keep_alive": 1, "max_parallel": 1, "max_cost": 0, "halving": 2}
MOST_KEEP_ALIVE = 21_600  # seconds: KeepAlivePeriodInSeconds in the API's model


def _option(default: Any, help: str = "", metavar: str | None = None) -> Any:
    """A field; without `help` not every command has it as an option."""
    return field(default=default, metadata={"help": help, "metavar": metavar})


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Options of each job."""

    instance_type: str = _option(INSTANCE_TYPE, f"SageMaker instance type (default: {INSTANCE_TYPE}).", "TYPE")
    spot: bool = _option(False, "Use managed spot training: cheaper, may be interrupted.")
    max_runtime: int = _option(3600, "Time limit of a job, in seconds (default: 3600).", "S")
    keep_alive: int | None = _option(
        None, "Keep a job's instance for the next job, up to this many seconds, which are billed.", "SECONDS"
    )


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """All options, those of the launcher too. Raises InputError for impossible values."""

    max_parallel: int = _option(8, "Most jobs at the same time, within the quota (default: 8).", "N")
    trials_per_job: str = _option(
        "auto", "Trials that a job trains; auto: start-up is at most a tenth (default: auto).", "N"
    )
    max_cost: float | None = _option(None, "Submit no job that could raise the total cost above this.", "USD")
    halving: int | None = _option(None)
    image: str | None = _option(None, "Image (default: the last one pushed; for docker, ahx-transformer:dev).", "IMAGE")

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(f"--{name.replace('_', '-')}: must be at least {least} (got {value})")
        if self.keep_alive is not None and self.keep_alive > MOST_KEEP_ALIVE:
            raise InputError(f"--keep-alive: must be at most {MOST_KEEP_ALIVE:,} seconds (got {self.keep_alive:,})")
        if self.keep_alive is not None and self.spot:
            raise InputError(
                "--keep-alive: SageMaker keeps no spot instances; leave out one of --keep-alive and --spot"
            )
        if self.trials_per_job != "auto" and not (self.trials_per_job.isdecimal() and int(self.trials_per_job)):
            raise InputError(f"--trials-per-job: must be auto or a whole number from 1 (got {self.trials_per_job!r})")
        if self.instance_type not in prices.USD_PER_HOUR and not self.instance_type.startswith("ml."):
            raise InputError(
                f"--instance-type: {self.instance_type!r} is not one of SageMaker's; an example is ml.m5.large"
            )
        if self.max_cost is not None and self.instance_type not in prices.USD_PER_HOUR:
            raise InputError(
                f"--max-cost: {prices.note(self.instance_type, False)}; leave it out, or take another type"
            )

    def of_jobs(self) -> dict[str, Any]:
        """The values of JobOptions."""
        return {one.name: getattr(self, one.name) for one in fields(JobOptions)}

    def limits(self, on: str) -> dict[str, Any]:
        """The limits that the launcher keeps to, on the backend `on`."""
        names = ("max_parallel", "max_cost", "halving", "trials_per_job")
        return {"on": on, **{name: getattr(self, name) for name in names}}


def type_of(option: "Field[Any]") -> type:
    """The type of an option's value, where there is one."""
    found: type = (get_args(option.type) or (option.type,))[0]
    return found
