"""An embedded AWS that takes the instances of every fifth spot job away once, while it trains.

    python benchmarks/stand_in.py QUOTA [--real]

Its jobs are stand-ins: a process that takes two seconds, obeys SIGTERM, and leaves a model. For the launcher they are
like any other; two hundred of them do not keep two processors busy for a quarter of an hour. With --real they train.
"""

import signal
import sys
import threading
import time
from itertools import count

from infra.embedded.sagemaker.execution.runners import Pulled, Runners
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.embedded.server import EmbeddedAws
from infra.run_local.runner import ProcessRunner, Runner
from opt_ml.paths import OptMl

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


EVERY = 5


class StandIns(Runners):
    """Runs the program instead of a training."""

    def of(self, job: TrainingJob, tree: OptMl, pulled: Pulled) -> Runner:
        return ProcessRunner((sys.executable, "-S", "-c", PROGRAM))


def interrupt_some(aws: EmbeddedAws, done: threading.Event) -> None:
    """Half a second into its training. From in here: two seconds are too short to poll over the network."""
    numbers = count()
    chosen: set[str] = set()
    seen: set[str] = set()
    while not done.wait(0.05):
        with aws.sagemaker.training.jobs.changed:  # no job goes on meanwhile
            for job in aws.sagemaker.training.jobs.all():
                if job.name not in seen:
                    seen.add(job.name)
                    if next(numbers) % EVERY == 0:
                        chosen.add(job.name)
                if job.name in chosen and job.secondary == "Training" and job.modified < time.time() - 0.5:
                    aws.sagemaker.training.interrupt(job.region, job.name, 1)
                    chosen.remove(job.name)


def main() -> None:
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    runners = Runners() if "--real" in sys.argv else StandIns()
    with EmbeddedAws(0, runners=runners, quotas={"ml.m5.large": float(sys.argv[1])}) as aws:
        for variable, value in aws.environment.items():
            print(f"export {variable}={value}")
        print("#", flush=True)
        threading.Thread(target=interrupt_some, args=(aws, asked), daemon=True).start()
        asked.wait()


if __name__ == "__main__":
    main()
