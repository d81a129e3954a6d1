"""SageMaker: training jobs, tuning jobs, their tags and Search, and the quotas that bound them."""

from collections.abc import Callable, Mapping
from typing import Any

from infra.embedded.sagemaker.api.defaults import with_defaults
from infra.embedded.sagemaker.execution.runners import JobHost
from infra.embedded.sagemaker.jobs.job_table import TrainingJobs
from infra.embedded.sagemaker.jobs.quotas import Quotas
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.sagemaker.own_clients import OwnClients
from infra.embedded.sagemaker.tags_and_search import TagsAndSearch
from infra.embedded.sagemaker.training.operations import TrainingOperations
from infra.embedded.sagemaker.tuning.operations import TuningOperations
from infra.embedded.state.ledger import Ledger


class SageMaker:
    """`operations` maps (signing name of the service, operation) to a function; where it returns None, moto answers.

    With `instant`, jobs run nothing and complete after that many seconds.
    """

    def __init__(
        self, ledger: Ledger, quotas: Quotas, clients: OwnClients, host: JobHost, instant: float | None
    ) -> None:
        self.quotas = quotas
        self.training = TrainingOperations(TrainingJobs(quotas, ledger), clients, host, instant)
        self.tuning = TuningOperations(self.training)
        shared = TagsAndSearch(self.training, self.tuning)
        api = self.training.operations | self.tuning.operations | shared.operations
        self.operations: dict[tuple[str, str], Callable[[dict[str, Any], str], dict[str, Any] | None]] = {
            **{("sagemaker", name): with_defaults(name, operation) for name, operation in api.items()},
            **{("servicequotas", name): operation for name, operation in quotas.operations.items()},
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "quotas": self.quotas.changed,
            "training_jobs": {job.arn: job.to_json() for job in self.training.jobs.all()},
            "tuning_jobs": {job.arn: job.to_json() for job in self.tuning.all()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what `to_json` returned in an earlier process."""
        self.quotas.changed = saved.get("quotas", {}) | self.quotas.changed
        self.training.jobs.restore(map(TrainingJob.from_json, saved.get("training_jobs", {}).values()))
        self.tuning.restore(saved.get("tuning_jobs", {}).values())

    def forget(self) -> None:
        """End and remove all jobs, and reset quotas."""
        self.tuning.close()
        self.training.kill()
        self.training.close()
        self.tuning.forget()
        self.training.forget()

    def close(self) -> None:
        """Stop all jobs as the Stop operations do, and wait for them."""
        self.tuning.close()
        self.training.close()
