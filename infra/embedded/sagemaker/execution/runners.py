"""How the embedded AWS runs a job: as a process of this machine, or as a container where Docker is."""

import ipaddress
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ahx.errors import ServiceError
from infra.embedded.http.wire import AwsError
from infra.embedded.sagemaker.execution import container_inputs
from infra.embedded.sagemaker.jobs.training_job import TrainingJob
from infra.run_local import process_identity
from infra.run_local.runner import ContainerRunner, ProcessRunner, Runner, leftovers
from opt_ml.paths import BASE_VARIABLE, OptMl

_INSIDE = OptMl()
_MOUNTED = (_INSIDE.model, _INSIDE.output, _INSIDE.checkpoints)  # in every container
_HOST_INSIDE = "host.docker.internal"
_ISOLATED = ("--internal", "--opt", "com.docker.network.bridge.inhibit_ipv4=true")  # nor this machine, by its address
_LABEL = "ahx.aws"  # on containers and networks; its value names the server's process
_ML, _SCRIPT = str(_INSIDE.base), "sagemaker_program"  # what a command, and a hyperparameter, of the SDKs name

Pulled = Callable[[str, str], str | None]  # (image, region) -> its name in Docker, if ECR here has it


@dataclass(frozen=True)
class Runners:
    """`containers` says whether jobs are containers; `image` then stands in for every job's TrainingImage.

    Without `image`, a job's TrainingImage must be one that was pushed to this AWS's ECR, or an image of this machine's
    Docker, by its whole name or by what follows the registry's address.
    """

    containers: bool = False
    image: str | None = None
    program: Sequence[str] = ProcessRunner.program  # what a process runs where a job names no entry point

    def of(self, job: TrainingJob, tree: OptMl, pulled: Pulled) -> Runner:
        """The runner for one host of a job; `pulled` looks into ECR. Raises ServiceError where the image is not."""
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
                place = container_inputs.place(tree, synced.inside)
                options += ["--mount", f'type=bind,"source={place}","target={synced.inside}"']
        network = _network_of(tree.base.parent) if job.instance_count > 1 else None
        if job.request.get("EnableNetworkIsolation"):
            network = network or "none"
        else:
            options += ["--add-host", f"{_HOST_INSIDE}:{self.gateway or 'host-gateway'}"]
        if network and network != "none":  # for the first host; for the others it is there
            isolated = _ISOLATED if job.request.get("EnableNetworkIsolation") else ()
            docker("network", "create", *isolated, "--label", f"{_LABEL}={process_identity.name()}", network)
        image = self.image or _image(str(algorithm.get("TrainingImage", "")), job.region, pulled)
        program = [*entrypoint[1:], *arguments] if entrypoint else arguments or ["train"]
        return ContainerRunner(
            image, network=network, options=options, program=program, labels={_LABEL: process_identity.name()}, own_inputs=True
        )

    def check(self, request: dict[str, Any]) -> None:
        """Raises AwsError (ValidationException) for what only a container can run."""
        algorithm = request["AlgorithmSpecification"]
        words = [*algorithm.get("ContainerEntrypoint", []), *algorithm.get("ContainerArguments", [])]
        text = " ".join(words)
        if self.containers or (_ML not in text and _SCRIPT not in request.get("HyperParameters", {})):
            return
        if _ML in text and BASE_VARIABLE in text:  # it knows both places
            return
        why = f"its command names {_ML}" if _ML in text else f"{_SCRIPT} is for the toolkit in an image"
        raise AwsError(
            "ValidationException",
            f"Jobs run as processes of this machine here, and this one needs a container: {why}. Start `ahx aws` where "
            f"Docker runs and without --process, or have the program find its files in ${BASE_VARIABLE}.",
        )

    def remove_leftovers(self) -> None:
        """End containers, and remove networks, of servers that are gone."""
        if self.containers:
            for container in leftovers(_LABEL, "ps", "--all"):
                docker("rm", "--force", container)
            for network in leftovers(_LABEL, "network", "ls"):
                docker("network", "rm", network)

    def close(self, job: TrainingJob, folder: Path) -> None:
        """Remove what was made for the hosts in `folder` besides the containers."""
        if self.containers and job.instance_count > 1:
            docker("network", "rm", _network_of(folder))

    @property
    def told(self) -> str:
        """What jobs do, after "Jobs"."""
        if not self.containers:
            return "run as processes of this machine"
        return f"run as containers of {self.image}" if self.image else "run as containers of their TrainingImage"

    @property
    def host_name_inside(self) -> str | None:
        """The name by which containers know this machine."""
        return _HOST_INSIDE if self.containers else None

    @cached_property
    def gateway(self) -> str | None:
        """This machine's address in Docker's default network, where it has one: a server must listen there."""
        if not self.containers:
            return None
        done = docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
        for config in json.loads(done.stdout) if done.returncode == 0 else []:
            # An engine that has not been asked for a gateway takes the first address.
            address = config.get("Gateway") or str(ipaddress.ip_network(config["Subnet"])[1])
            if _is_ours(address):
                return address
        return None


def _image(name: str, region: str, pulled: Pulled) -> str:
    """As Docker knows it: from this AWS's ECR or, where that has none, an image of this machine."""
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
    """The network of a job of several hosts, in which algo-1, algo-2, ... are known by these names."""
    return f"ahx-aws-{folder.name}"


def docker(*words: str) -> "subprocess.CompletedProcess[str]":
    """`docker WORDS`. Raises ServiceError when there is no such command."""
    command = shutil.which("docker")
    if command is None:
        raise ServiceError(
            "there is no docker command here; install Docker, or run jobs as processes: ahx aws --process"
        )
    return subprocess.run([command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def choose(image: str | None, process: bool) -> Runners:
    """Containers where an engine answers, unless processes are asked for. Raises ServiceError for a missing image."""
    if process:
        return Runners()
    found = shutil.which("docker")
    answer = docker("version", "--format", "{{.Server.Version}}") if found else None
    if answer is None or answer.returncode != 0:
        if image is None:
            return Runners()
        reason = "there is no docker command here" if answer is None else "no Docker engine answers"
        raise ServiceError(f"{reason}, so --image {image} cannot be run; start Docker, or give --process")
    if image is not None and docker("image", "inspect", image).returncode != 0:
        raise ServiceError(f"Docker has no image {image}; build it with `make image`, or choose one of `docker images`")
    return Runners(containers=True, image=image)


def _is_ours(address: str) -> bool:
    """Whether this machine has the address; with Docker Desktop the network's gateway is another machine's."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
