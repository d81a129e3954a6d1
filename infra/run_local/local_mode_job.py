"""One job in SageMaker's local mode, through ModelTrainer: a process of its own, started by local_mode_runner.py.

    python -m infra.run_local.local_mode_job ORDER        a JSON file with the fields of Order

It ends with the container's exit code. By then the job's results are in the tree, and the container is removed.
"""

import json
import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TextIO, cast

from ahx.errors import AhxError, ServiceError
from infra.run_local.docker import docker
from infra.run_local.job import GRACE_SECONDS
from infra.run_local.runner import LABEL
from opt_ml import config, failure
from opt_ml.paths import OptMl

# What docker-compose adds to lines: colours, and the container's name before each.
_COLOURS, _NAME = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"^[\w.-]*algo-1(?:[_-]\d+)?\s*\| ?")
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    """What to run. `root` is a fresh folder; docker-compose calls its project by the folder's name."""

    tree: str
    root: str
    image: str
    environment: Mapping[str, str]
    owner: int  # the process that asked for it

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)) + "\n", "utf-8")


def run(order: Order) -> int:
    """Run the job; its exit code. Raises ServiceError when Docker or the SDK fails."""
    root, tree = Path(order.root), OptMl(Path(order.tree))
    threading.Thread(target=_stop_at_eof, args=(root.name,), daemon=True).start()
    message = ""
    try:
        trainer = _trainer(order, tree)
        with _without_prefixes():
            trainer.train(wait=True)
    except RuntimeError as error:  # the container failed, or docker-compose; the container's exit code shows which
        message = str(error)
    except ImportError as error:
        raise ServiceError(f"SageMaker's local mode cannot start: {error}") from error
    finally:
        code = _remove_containers(root.name)
    if code is None:
        raise ServiceError(f"docker-compose could not start {order.image}; see its lines above ({message})")
    for name, place in (("model", tree.model), ("output", tree.output)):
        if (found := root / "artifacts" / name).is_dir():
            shutil.copytree(found, place, dirs_exist_ok=True)
    if code == 0 and not tree.success.exists():
        raise ServiceError("the container ended with code 0, but left no file output/success: it did not train")
    return code


def _trainer(order: Order, tree: OptMl) -> Any:
    """The ModelTrainer for the job."""
    from sagemaker.core.training.configs import Compute, InputData
    from sagemaker.train import model_trainer

    logging.getLogger("sagemaker").setLevel(logging.WARNING)

    class Container(model_trainer._LocalContainer):  # type: ignore[misc]  # its types are unknown
        """The SDK's, with checkpoints that are kept, files that belong to this user, a label, and as much time to stop
        as SageMaker gives."""

        def _create_docker_host(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            made: dict[str, Any] = super()._create_docker_host(*args, **kwargs)
            made["volumes"] = [*made["volumes"], f"{tree.checkpoints}:{OptMl().checkpoints}"]
            made["user"] = f"{os.getuid()}:{os.getgid()}"
            made["labels"] = {LABEL: str(order.owner)}
            made["stop_grace_period"] = f"{GRACE_SECONDS:.0f}s"
            return made

    model_trainer._LocalContainer = Container
    (Path(order.root) / "model").mkdir()  # otherwise Docker makes it, owned by root
    channels = sorted(channel.name for channel in tree.channels.iterdir())
    return model_trainer.ModelTrainer(
        training_mode=model_trainer.Mode.LOCAL_CONTAINER,
        training_image=order.image,
        base_job_name=Path(order.root).name,
        compute=Compute(instance_type="local_cpu", instance_count=1),
        hyperparameters=config.read(tree.hyperparameters),
        # docker-compose replaces $NAME in what it reads.
        environment={name: value.replace("$", "$$") for name, value in order.environment.items()},
        input_data_config=[
            InputData(channel_name=name, data_source=str(tree.channel(name).resolve())) for name in channels
        ],
        local_container_root=order.root,
    )


def containers(project: str, running: bool = False) -> list[str]:
    """The identifiers of a docker-compose project's containers."""
    which = ["--filter", f"label=com.docker.compose.project={project}", *([] if running else ["--all"])]
    return docker("ps", "--quiet", *which).stdout.split()


def _remove_containers(project: str) -> int | None:
    """Remove what docker-compose has left; the exit code of the container, or None when there was none."""
    code = None
    for container in containers(project):
        inspected = docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip()
        code = int(inspected) if inspected.isdigit() else code
        docker("rm", "--force", "--volumes", container)
    return code


def _stop_at_eof(project: str) -> None:
    """The end of standard input means that the process that started this one has died: the job must end, too."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    while True:
        for container in containers(project, running=True):
            docker("stop", "--time", f"{GRACE_SECONDS:.0f}", container)
        time.sleep(_POLL_SECONDS)


@contextmanager
def _without_prefixes() -> Iterator[None]:
    """Print the container's lines without docker-compose's prefixes."""
    console = sys.stdout

    class Plain:
        def write(self, text: str) -> int:
            return console.write(_NAME.sub("", _COLOURS.sub("", text)))

        def __getattr__(self, name: str) -> Any:
            return getattr(console, name)

    sys.stdout = cast(TextIO, Plain())
    try:
        yield
    finally:
        sys.stdout = console


def main(path: Path) -> int:
    order = Order.read(path)
    try:
        return run(order)
    except AhxError as error:
        print(f"ahx: error: {error}", file=sys.stderr, flush=True)
        failure.write(OptMl(Path(order.tree)).failure, str(error))
        return 1
    finally:
        shutil.rmtree(order.root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
