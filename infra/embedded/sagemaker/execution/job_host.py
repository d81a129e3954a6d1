"""What this machine offers to every job that it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.sagemaker.execution.runners import Pulled, Runners
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.run_local.runner import Runner
from opt_ml.paths import OptMl


@dataclass(frozen=True)
class JobHost:
    """`environment` leads a job's program to this AWS; jobs have their files below `folder`."""

    runners: Runners
    pulled: Pulled
    environment: Mapping[str, str]
    folder: Path
    grace_seconds: float = 120.0

    def runner(self, job: TrainingJob, tree: OptMl) -> Runner:
        """The runner of one host of a job. Raises ServiceError if there is no image."""
        return self.runners.of(job, tree, self.pulled)
