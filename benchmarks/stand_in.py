"""An embedded AWS whose jobs are stand-ins: a process that takes two seconds, obeys SIGTERM, and leaves a model.

    python benchmarks/stand_in.py QUOTA

For the launcher they are like any other; two hundred of them do not keep two processors busy for a quarter of an hour.
"""

import signal
import sys
import threading

from ahx.training.opt_ml import OptMl
from infra.embedded.job import TrainingJob
from infra.embedded.runners import Runners
from infra.embedded.server import EmbeddedAws
from infra.local.runner import ProcessRunner, Runner

PROGRAM = """
import os, pathlib, signal, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
def leave(*_):
    (base / "model" / "config.json").write_text("{}")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
for step in range(20):
    time.sleep(0.1)
print("step=20; epoch=1; val_loss=0.5; val_exact=0.5; seconds=2;", flush=True)
leave()
"""


class StandIns(Runners):
    """Runs the program instead of a training."""

    def of(self, job: TrainingJob, tree: OptMl) -> Runner:
        return ProcessRunner((sys.executable, "-S", "-c", PROGRAM))


def main() -> None:
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    with EmbeddedAws(0, runners=StandIns(), quotas={"ml.m5.large": float(sys.argv[1])}) as aws:
        for variable, value in aws.environment.items():
            print(f"export {variable}={value}")
        print("#", flush=True)
        asked.wait()


if __name__ == "__main__":
    main()
