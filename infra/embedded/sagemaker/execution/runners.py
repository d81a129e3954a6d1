"""How jobs run: as processes of this machine, or as containers of Docker."""

import ipaddress
import json
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ahx.errors import ServiceError
from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.execution import container_inputs
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.run_local import process_identity
from infra.run_local.docker import docker, find_image
from infra.run_local.runner import ContainerRunner, ProcessRunner, Runner, leftovers
from opt_ml.paths import BASE_VARIABLE, OptMl

_INSIDE = OptMl()
_MOUNTED = (_INSIDE.model, _INSIDE.output, _INSIDE.checkpoints)  # in every container
_HOST_INSIDE = "host.docker.internal"
_ISOLATED = (
    "--internal",
    "--opt",
    "com.docker.network.bridge.inhibit_ipv4=true",
)  # also without access to this machine
_LABEL = "ahx.aws"  # of containers and networks; the value identifies the server's process
_ML, _SCRIPT = str(_INSIDE.base), "sagemaker_program"  # in a command, and a hyperparameter, of the SDKs

Pulled = Callable[[str, str], str | None]  # (image, region) -> its name in Docker, if this ECR has it


@dataclass(frozen=True)
class Runners:
    """Runs jobs as processes or, with `containers`, as containers of `image` or else of their TrainingImage.

    A TrainingImage is looked up in this AWS's ECR, then in this machine's Docker, with and without the registry's
    address.
    """

    containers: bool = False
    image: str | None = None
    program: Sequence[str] = ProcessRunner.program  # what a process runs if a job has no ContainerEntrypoint

    def of(self, job: TrainingJob, tree: OptMl, pulled: Pulled) -> Runner:
        """The runner for one host of a job; `pulled` pulls from ECR. Raises ServiceError if there is no image."""
        algorithm = job.request["AlgorithmSpecification"]
        entrypoint: list[str] = algorithm.get("ContainerEntrypoint", [])
        arguments: list[str] = algorithm.get("ContainerArguments", [])
        if not self.containers:
            for synced in container_inputs.synced(job.request):
                if not synced.inside.is_relative_to(_INSIDE.base):
                    raise ServiceError(
                        f"the LocalPath {synced.inside} is not below {_INSIDE.base}, where a job that is a process has "
                        "its folders; choose another, or run jobs as containers"
                    )
            return ProcessRunner([*(entrypoint or self.program), *arguments])
        options = ["--entrypoint", entrypoint[0]] if entrypoint else []
        for synced in container_inputs.synced(job.request):
            if not any(synced.inside.is_relative_to(mounted) for mounted in _MOUNTED):
                place = container_inputs.folder_of(tree, synced.inside)
                options += ["--mount", f'type=bind,"source={place}","target={synced.inside}"']
        network = _network_of(tree.base.parent) if job.instance_count > 1 else None
        if job.request.get("EnableNetworkIsolation"):
            network = network or "none"
        else:
            options += ["--add-host", f"{_HOST_INSIDE}:{self.gateway or 'host-gateway'}"]
        if network and network != "none":  # created for the first host; then it exists
            isolated = _ISOLATED if job.request.get("EnableNetworkIsolation") else ()
            docker("network", "create", *isolated, "--label", f"{_LABEL}={process_identity.name()}", network)
        image = self.image or _image(str(algorithm.get("TrainingImage", "")), job.region, pulled)
        program = [*entrypoint[1:], *arguments] if entrypoint else arguments or ["train"]
        return ContainerRunner(
            image,
            network=network,
            options=options,
            program=program,
            labels={_LABEL: process_identity.name()},
            own_inputs=True,
        )

    def check(self, request: dict[str, Any]) -> None:
        """Raises AwsError (ValidationException) for what only a container can run."""
        algorithm = request["AlgorithmSpecification"]
        words = [*algorithm.get("ContainerEntrypoint", []), *algorithm.get("ContainerArguments", [])]
        text = " ".join(words)
        if self.containers or (_ML not in text and _SCRIPT not in request.get("HyperParameters", {})):
            return
        if _ML in text and BASE_VARIABLE in text:  # it handles both paths
            return
        why = f"its command names {_ML}" if _ML in text else f"{_SCRIPT} is for the toolkit in an image"
        raise AwsError(
            "ValidationException",
            f"Jobs run as processes of this machine here, and this one needs a container: {why}. Start `ahx aws` where "
            f"Docker runs and without --process, or have the program find its files in ${BASE_VARIABLE}.",
        )

    def remove_leftovers(self) -> None:
        """Remove containers and networks of dead servers."""
        if self.containers:
            for container in leftovers(_LABEL, "ps", "--all"):
                docker("rm", "--force", container)
            for network in leftovers(_LABEL, "network", "ls"):
                docker("network", "rm", network)

    def close(self, job: TrainingJob, folder: Path) -> None:
        """Remove the network of the hosts in `folder`."""
        if self.containers and job.instance_count > 1:
            docker("network", "rm", _network_of(folder))

    @property
    def description(self) -> str:
        """How jobs run, to follow the word "Jobs"."""
        if not self.containers:
            return "run as processes of this machine"
        return f"run as containers of {self.image}" if self.image else "run as containers of their TrainingImage"

    @property
    def host_name_inside(self) -> str | None:
        """The host name of this machine in containers."""
        return _HOST_INSIDE if self.containers else None

    @cached_property
    def gateway(self) -> str | None:
        """This machine's address in Docker's default network, at which the server must listen for containers."""
        if not self.containers:
            return None
        done = docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
        for config in json.loads(done.stdout) if done.returncode == 0 else []:
            # By default, the gateway is the first address.
            address = config.get("Gateway") or str(ipaddress.ip_network(config["Subnet"])[1])
            if _is_local(address):
                return address
        return None


@dataclass(frozen=True)
class JobHost:
    """`environment` leads a job's program to this AWS; jobs have their files below `folder`."""

    runners: Runners
    pulled: Pulled
    environment: Mapping[str, str]
    folder: Path
    grace_seconds: float = 120.0
    start_seconds: float = 0.0  # that a job waits for its instances

    def runner(self, job: TrainingJob, tree: OptMl) -> Runner:
        """The runner of one host of a job. Raises ServiceError if there is no image."""
        return self.runners.of(job, tree, self.pulled)


def _image(name: str, region: str, pulled: Pulled) -> str:
    """The image's name in Docker: from this AWS's ECR, or else from this machine."""
    if found := pulled(name, region):
        return found
    for candidate in (name, name.partition("/")[2]):
        if candidate and docker("image", "inspect", candidate).returncode == 0:
            return candidate
    raise ServiceError(
        f"there is no image {name} in the ECR of this AWS or on this machine; push it, build it, or give "
        "`ahx aws --image IMAGE`"
    )


def _network_of(folder: Path) -> str:
    """The network of a job with several hosts, in which they have the names algo-1, algo-2, ..."""
    return f"ahx-aws-{folder.name}"


def choose(image: str | None, process: bool) -> Runners:
    """Containers if a Docker engine answers, unless `process`. Raises ServiceError for a missing image."""
    if process:
        return Runners()
    if shutil.which("docker") is None or docker("version").returncode != 0:
        if image is None:
            return Runners()
        raise ServiceError(
            f"no Docker engine answers, so --image {image} cannot be run; start Docker, or give --process"
        )
    if image is not None:
        find_image(image)
    return Runners(containers=True, image=image)


def _is_local(address: str) -> bool:
    """Whether this machine has the address; with Docker Desktop, the gateway is in a virtual machine."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
