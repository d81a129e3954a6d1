"""The backends by their names after --on."""

import os
from pathlib import Path

from ahx.errors import InputError, ServiceError
from infra.launch.backends.backend import Backend
from infra.launch.backends.local import FOLDER, LocalBackend
from infra.provision.stack_id import DEFAULT_PREFIX

_EMBEDDED = "http://127.0.0.1:4566"


def default_backend() -> str:
    """The default: the AWS that AWS_ENDPOINT_URL names, else this machine. Never one that costs money."""
    return "embedded" if os.environ.get("AWS_ENDPOINT_URL") else "process"


def open_backend(on: str, folder: Path = FOLDER, prefix: str = DEFAULT_PREFIX) -> Backend:
    """The backend called `on`. Raises InputError, ServiceError when it cannot be used."""
    if on in ("process", "docker", "local-mode"):
        return LocalBackend(on, folder)
    if on == "embedded":
        _use_embedded_aws()
    elif address := os.environ.get("AWS_ENDPOINT_URL"):
        raise InputError(f"--on sagemaker: AWS_ENDPOINT_URL leads to {address}; unset it, or take --on embedded")

    from infra import aws_clients
    from infra.launch.backends.sagemaker import SageMakerBackend

    return SageMakerBackend(aws_clients.caller().stack_id(prefix), on)


def find_backend(sweep: str | None, folder: Path = FOLDER, prefix: str = DEFAULT_PREFIX) -> Backend:
    """The backend that has this sweep: this machine, else the AWS of the environment. Raises ServiceError.

    Without a sweep, this machine if it has any.
    """
    here = LocalBackend("process", folder)
    if sweep is None and here.sweeps():
        return here
    if found := here.read_manifest(sweep) if sweep else None:
        return open_backend(str(found.limits["on"]), folder, prefix)
    try:
        return open_backend("embedded" if os.environ.get("AWS_ENDPOINT_URL") else "sagemaker", folder, prefix)
    except ServiceError as error:
        missing = f"there is no sweep{f' {sweep}' if sweep else ''} in {folder}"
        raise ServiceError(f"{missing}, and elsewhere: {error}") from error


def _use_embedded_aws() -> None:
    """Set this process's AWS_* variables for it, where they are not set. `ahx aws --open` takes these credentials."""
    for variable, value in {
        "AWS_ENDPOINT_URL": _EMBEDDED,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
    }.items():
        os.environ.setdefault(variable, value)
    os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])

    from infra.embedded import remote

    remote.get("status")
