"""Run a training job in SageMaker's local mode: the SDK's own ModelTrainer, with Docker, on this machine.

It needs no account, credentials, region or network. The SDK, which takes six seconds to import and 1 GB on the disk, is
imported in local_mode_job.py only. Both files work around faults of sagemaker 3.27.
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
from infra.run_local.docker import docker, find_image
from infra.run_local.job import GRACE_SECONDS, ContainerJob, spawn
from infra.run_local.local_mode_job import Order, containers
from infra.run_local.runner import IMAGE
from opt_ml.paths import OptMl

#: The SDK's name for the network of its containers.
NETWORK = "sagemaker-local"


@dataclass(frozen=True)
class LocalModeRunner:
    """Jobs as containers that SageMaker's SDK starts."""

    image: str = IMAGE

    def start(self, tree: OptMl, environment: Mapping[str, str] | None = None) -> "LocalModeJob":
        """Start the job in `tree`. Raises ServiceError and InputError before anything is started."""
        check_installed()
        find_image(self.image)  # docker-compose would look in the registries first
        for place in (tree.base, *(channel.resolve() for channel in tree.channels.iterdir())):
            if {":", "$"} & set(str(place)):
                raise InputError(f"docker-compose cannot use {place}: its name has a : or $; use another folder")
        ensure_network()
        tree.failure.unlink(missing_ok=True)
        # The folder's name is that of docker-compose's project: equal ones would stop each other's containers.
        root = tree.base / f"ahx-{secrets.token_hex(6)}"
        root.mkdir()
        # Settings of the SDK for all users or for this one must not change the job.
        settings = root / "settings.json"
        opt_out = {"SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
        settings.write_text(json.dumps({"SchemaVersion": "1.0", **opt_out}), "utf-8")
        own = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
        }
        # The SDK itself calls nothing; the job gets credentials only if it is given some.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SM_"))}
        order = Order(
            tree=str(tree.base),
            root=str(root),
            image=self.image,
            environment=dict(environment or {}),
            owner=os.getpid(),
        )
        order.write(root / "order.json")
        command = [sys.executable, "-m", "infra.run_local.local_mode_job", str(root / "order.json")]
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
    """Make the network that the SDK's containers share, once: two first jobs at the same time would make two of one
    name, which docker-compose refuses. Raises ServiceError."""
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
