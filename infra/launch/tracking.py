"""Trackers of jobs: the address by which jobs reach one, and what they may lack there."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from ahx.errors import InputError
from ahx.training.tracking.choice import MLFLOW, SQLITE, URI_VARIABLE, check, is_arn, mlflow_uri, tracker_fault
from infra.provision.role import Role
from infra.provision.stack_id import StackId

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def for_jobs(track: str, on: str) -> str:
    """The value of `track` for jobs of the backend `on`. Raises InputError for a tracker that they cannot reach."""
    if not (uri := mlflow_uri(track, os.environ)):
        return track
    if on == "process":
        check(track, os.environ)
        if uri.startswith(SQLITE):
            return f"{MLFLOW}:{SQLITE}{Path(uri.removeprefix(SQLITE)).absolute()}"
        return track  # jobs inherit the environment
    if uri.startswith(SQLITE):
        raise InputError(
            f"track: {uri} is a file of this machine, which jobs on {on} do not have; give the address of a server: "
            "mlflow:http(s)://HOST or mlflow:ARN"
        )
    if why := tracker_fault(f"{MLFLOW}:{uri}"):
        raise InputError(f"track: {URI_VARIABLE}: {why}")
    if on != "embedded" and urlsplit(uri).hostname in _LOOPBACK:
        raise InputError(f"track: in a container {uri} is the container itself; give an address that jobs can reach")
    return f"{MLFLOW}:{uri}"


def notes(track: str, on: str, stack_id: StackId) -> list[str]:
    """What a user should know before jobs with this tracker are submitted to the backend `on`."""
    uri = mlflow_uri(track, {})
    if not uri or on == "process":
        return []
    found = ["nothing is tracked by an image without MLflow; build it with: make image EXTRAS=mlflow"]
    if is_arn(uri) and on in ("embedded", "sagemaker"):
        grant = f"`ahx infra apply --mlflow {uri}`"
        allowed = Role(stack_id).may_track(uri)
        if allowed is None:
            found.append(f"you may not read the role of jobs; {grant} must have given it access to MLflow")
        elif not allowed:
            found.append(f"the role of jobs may not write to {uri}, so nothing would be tracked; run {grant} first")
    return found
