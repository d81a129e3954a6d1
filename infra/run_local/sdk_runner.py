"""Run a training job in SageMaker's local mode: the SDK's own ModelTrainer, with Docker, on this machine.

It needs no account, credentials, region or network. What sagemaker 3.27 gets wrong on the way is dealt with here and in
sdk_job.py, which is where the SDK is imported: it takes six seconds, and 1 GB on the disk.
"""

import fcntl
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ahx.errors import InputError, ServiceError
from infra.run_local.runner import IMAGE, check_image
from infra.run_local.sdk_job import Order, containers
from infra.run_local.started import GRACE_SECONDS, ContainerJob, docker, spawn
from opt_ml.paths import OptMl

#: The SDK's name for the network of its containers.
NETWORK = "sagemaker-local"


@dataclass(frozen=True)
class LocalModeRunner:
    """Jobs as containers that SageMaker's SDK starts."""

    image: str = IMAGE
    gpu: bool = False

    def start(self, tree: OptMl, environment: Mapping[str, str] | None = None) -> "LocalModeJob":
        """Start the job in `tree`. Raises ServiceError and InputError before anything is started."""
        check_installed()
        check_image(self.image)  # docker-compose would look for it in the registries first
        for place in (tree.base, *(channel.resolve() for channel in tree.channels.iterdir())):
            if {":", "$"} & set(str(place)):
                raise InputError(f"docker-compose cannot use {place}: its name has a : or $; use another folder")
        ensure_network()
        tree.failure.unlink(missing_ok=True)
        # The folder's name is that of docker-compose's project: equal ones would stop each other's containers.
        root = tree.base / f"ahx-{secrets.token_hex(6)}"
        root.mkdir()
        # The SDK's settings for all users and for this one might ask for more than the job does.
        settings = root / "settings.json"
        opt_out = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
        settings.write_text(json.dumps({"SchemaVersion": "1.0", **opt_out}), "utf-8")
        own = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
        }
        # Credentials are for the job, if anybody hands it some; the SDK itself calls nobody.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SM_"))}
        order = Order(
            tree=str(tree.base),
            root=str(root),
            image=self.image,
            instance_type="local_gpu" if self.gpu else "local_cpu",
            environment=dict(environment or {}),
            owner=os.getpid(),
        )
        order.write(root / "order.json")
        command = [sys.executable, "-m", "infra.run_local.sdk_job", str(root / "order.json")]
        process = spawn(command, inherited | own, tree, grace_seconds=GRACE_SECONDS + 10, listens=True)
        return LocalModeJob(tree, process, root.name)


class LocalModeJob(ContainerJob):
    """A job in local mode. Its process here is the SDK's, which ends after the container; the name is the project's."""

    def containers(self) -> list[str]:
        return containers(self.name, running=True)


def check_installed() -> None:
    """Raises ServiceError, with what to do, when the SDK or docker-compose is missing."""
    if find_spec("sagemaker") is None:
        raise ServiceError(
            "SageMaker's SDK is not installed (it takes 1 GB); run: pip install 'ahx-transformer[sagemaker]'"
        )
    if shutil.which("docker-compose") is None and docker("compose", "version").returncode != 0:
        raise ServiceError("docker-compose is not installed; see https://docs.docker.com/compose/install/")


def ensure_network(name: str = NETWORK) -> None:
    """Make the network that the SDK's containers share, once: two first jobs at the same time would make two of it, and
    docker-compose refuses to work with either. Raises ServiceError."""
    lock = Path(tempfile.gettempdir()) / f"ahx-networks-{os.getuid()}.lock"
    with open(lock, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        listed = docker("network", "ls", "--quiet", "--no-trunc", "--filter", f"name=^{name}$")
        if listed.returncode != 0:
            raise ServiceError(f"Docker does not answer: {listed.stderr.strip() or 'start it, and try again'}")
        found = listed.stdout.split()
        if len(found) > 1:
            raise ServiceError(
                f"there are {len(found)} Docker networks called {name}, and docker-compose needs one; "
                f"remove the others: docker network rm {' '.join(one[:12] for one in found[1:])}"
            )
        if not found:
            made = docker("network", "create", "--label", f"com.docker.compose.network={name}", name)
            if made.returncode != 0:
                raise ServiceError(f"cannot make the Docker network {name}: {made.stderr.strip()}")
