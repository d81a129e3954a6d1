"""The image in this machine's Docker and those in ECR, and pushing from one to the other."""

import base64
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ahx.errors import ServiceError
from infra import aws_clients
from infra.provision.repository import Repository
from infra.run_local.docker import docker, docker_command, find_image, last_line

PLATFORM = ("linux", "amd64")  # what SageMaker's instances are
_STDERR = 2  # where progress belongs
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True)
class LocalImage:
    """An image in this machine's Docker."""

    name: str
    id: str  # sha256:..., of its configuration
    platform: tuple[str, str]
    revision: str  # of the sources it was built from; "" when it does not say

    @property
    def tag(self) -> str:
        """A tag that no other image gets: the revision it was built from, and its id."""
        revision = f"{self.revision[:12]}-" if self.revision and self.revision != "unknown" else ""
        return f"{revision}{self.id.removeprefix('sha256:')[:12]}"


@dataclass(frozen=True)
class Pushed:
    """An image in ECR."""

    digest: str
    tags: tuple[str, ...]
    pushed: datetime
    size: int  # bytes, compressed


@dataclass(frozen=True)
class Registry:
    """Where to push, with user and password. The password is valid for hours and never printed."""

    host: str
    user: str
    password: str


def local(name: str) -> LocalImage:
    """The image of this name. Raises ServiceError when Docker, or the image, is not there."""
    found = find_image(name)
    labels = found["Config"].get("Labels") or {}
    revision = str(labels.get("org.opencontainers.image.revision", ""))
    return LocalImage(name, found["Id"], (found["Os"], found["Architecture"]), revision)


def pushed(repository: Repository) -> list[Pushed]:
    """The images in ECR, the newest first. Raises ServiceError when there is no repository."""
    with _missing(repository):
        pages = list(repository.api.get_paginator("describe_images").paginate(repositoryName=repository.name))
    images = [_pushed(one) for page in pages for one in page["imageDetails"]]
    return sorted(images, key=lambda image: image.pushed, reverse=True)


def with_tag(repository: Repository, tag: str) -> Pushed | None:
    """The image in ECR that has this tag."""
    with _missing(repository):
        found = aws_clients.unless(
            ["ImageNotFoundException"],
            repository.api.describe_images,
            repositoryName=repository.name,
            imageIds=[{"imageTag": tag}],
        )
    return _pushed(found["imageDetails"][0]) if found else None


def registry(repository: Repository) -> Registry:
    """ECR's address and a password for it. Raises ServiceError where an AWS that is not Amazon's has no registry."""
    with aws_clients.sentences("get a password for ECR"):
        given = repository.api.get_authorization_token()["authorizationData"][0]
    host = given["proxyEndpoint"].partition("://")[2]
    if aws_clients.endpoint() and host.endswith(_AMAZON):
        raise ServiceError(f"the AWS at {aws_clients.endpoint()} has no registry of its own; `ahx aws` has one")
    user, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    return Registry(host, user, password)


def push(image: LocalImage, registry: Registry, repository: Repository) -> None:
    """Tag and push the image; Docker prints progress. A push that is cut short leaves no image. Raises ServiceError."""
    there = f"{registry.host}/{repository.name}:{image.tag}"
    _call("tag", image.id, there)
    _call("login", "--username", registry.user, "--password-stdin", registry.host, stdin=registry.password)
    try:
        done = subprocess.run([docker_command(), "push", there], stdin=subprocess.DEVNULL, stdout=_STDERR, check=False)
    finally:
        docker("logout", registry.host)  # the password would stay in a file
    if done.returncode != 0:
        raise ServiceError(f"docker push {there} failed, as it says above; run the command again to go on from there")


def _call(*words: str, stdin: str = "") -> None:
    done = docker(*words, stdin=stdin)
    if done.returncode != 0:
        raise ServiceError(f"docker {words[0]} failed: {last_line(done.stderr)}")


@contextmanager
def _missing(repository: Repository) -> Iterator[None]:
    """Errors as sentences, a missing repository with its next step."""
    with aws_clients.sentences(f"look into the repository {repository.name}"):
        try:
            yield
        except aws_clients.exceptions.ClientError as error:
            if aws_clients.code(error) == "RepositoryNotFoundException":
                raise ServiceError(
                    f"there is no repository {repository.name} in {repository.region}; `ahx infra apply` makes it"
                ) from error
            raise


def _pushed(one: dict[str, Any]) -> Pushed:
    return Pushed(
        one["imageDigest"], tuple(one.get("imageTags", ())), one["imagePushedAt"], one.get("imageSizeInBytes", 0)
    )
