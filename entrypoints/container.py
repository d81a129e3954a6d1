"""The training job that SageMaker, its local mode and `docker run` start: reads an /opt/ml tree, writes a model to it.

`train` is the image's command of that name. It starts SageMaker's toolkit, which calls `main`
(SAGEMAKER_TRAINING_MODULE). `python -m entrypoints.container` runs without the toolkit, on the tree in
SAGEMAKER_BASE_DIR.
"""

import os
import sys
from functools import partial

from ahx.errors import AhxError
from ahx.training.signals import StopRequest


def train(with_toolkit: bool = True) -> int:
    """Run the job. Returns the exit code."""
    # Signals are handled from here on. Everything else is imported later: torch alone takes seconds.
    with StopRequest(patience=30.0) as stop:
        from ahx.text.printing import guarded
        from container import batch_job, hosts, job, outcome, parent
        from container.toolkit import within_toolkit
        from opt_ml.paths import OptMl
        from run_logs.run_log import open_log

        tree = OptMl.of(os.environ)
        parent.watch(os.environ)

        def work() -> None:
            ready = (batch_job if batch_job.is_batch(tree) else job).read(tree, os.environ)
            if with_toolkit:
                within_toolkit(lambda: ready.train(stop))
            else:
                ready.train(stop)

        failure = None if hosts.is_helper(os.environ) else tree.failure
        try:
            log = open_log(os.environ, "train", tree.output_data / "log.jsonl")
        except AhxError as error:
            with guarded():
                return outcome.run(failure, partial(_refuse, error))
        with guarded(), log:
            return outcome.run(failure, work)


def _refuse(error: AhxError) -> None:
    raise error


def main() -> None:
    """Called by SageMaker's toolkit, which `train` or the user has started."""
    from container import toolkit

    if not toolkit.call_waiting() and (code := train(with_toolkit=False)):
        toolkit.fail(code)


if __name__ == "__main__":
    sys.exit(train(with_toolkit=False))
