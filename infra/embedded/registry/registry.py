"""ECR's registry for `docker push` and `docker pull`, at the server's address.

Follows the OCI Distribution Specification (https://github.com/opencontainers/distribution-spec/blob/main/spec.md) and
"Private registry authentication" of the ECR User Guide. Docker uses registries on 127.0.0.1 without TLS. Layers are
stored in a folder; manifests are moto's images, which DescribeImages lists.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from moto.core.exceptions import ServiceException
from moto.ecr.models import ecr_backends

from infra.embedded.http.protocols import ACCOUNT, AwsError, Body, Environ, StartResponse
from infra.embedded.http.recorded_request import body_of
from infra.embedded.state.journal import IMAGE
from infra.embedded.state.persistence import Persistence

PREFIX = "/v2/"

_USER = "AWS"
_TOKEN_SECONDS = 12 * 3600
_IDLE_SECONDS = 24 * 3600
_PATH = re.compile(r"/v2/(?P<name>[a-z0-9._/-]+?)/(?P<kind>blobs|manifests)/(?P<rest>.*)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK = 1 << 20
_LARGEST_MANIFEST = 4 << 20
_REGION = "ahx.region"
_OCTETS = "application/octet-stream"


class _Refusal(Exception):
    """An error of the registry's API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


_DENIED = _Refusal(401, "UNAUTHORIZED", "authentication required")


class Registry:
    """The WSGI application below /v2/, and the operation that returns its passwords, signed with `secret`."""

    def __init__(self, folder: Path, persistence: Persistence, secret: str) -> None:
        self._secret = secret.encode()
        self._blobs, self._uploads, self._persistence = folder / "blobs", folder / "uploads", persistence

    def remove_unused(self) -> None:
        """Remove layers that no image has needed for a day, and abandoned uploads."""
        old = time.time() - _IDLE_SECONDS
        images = [
            image
            for backend in ecr_backends[ACCOUNT].values()
            for repository in backend.repositories.values()
            for image in repository.images
        ]
        needed: set[str] = set()
        for image in images:
            with suppress(_Refusal):  # put through ECR's API, which accepts any manifest; its layers are not here
                needed |= set(_layers(image.image_manifest.encode()))
        for folder in (self._blobs, self._uploads):
            for file in folder.iterdir() if folder.is_dir() else ():
                if file.name not in needed and file.stat().st_mtime < old:
                    file.unlink()

    def operations(self, address: str) -> dict[tuple[str, str], Callable[..., dict[str, Any]]]:
        """ECR's operation that returns a password for the registry at `address`."""
        return {("ecr", "GetAuthorizationToken"): partial(self._authorization_token, address)}

    def _authorization_token(self, address: str, request: dict[str, Any], region: str) -> dict[str, Any]:
        """The password contains the region, because a push names no region otherwise."""
        until = int(time.time()) + _TOKEN_SECONDS
        token = base64.b64encode(self.login(region, until).encode()).decode()
        data = {"authorizationToken": token, "expiresAt": until, "proxyEndpoint": address}
        return {"authorizationData": [data] * max(1, len(request.get("registryIds", ())))}

    def login(self, region: str, until: int) -> str:
        """USER:PASSWORD, valid for a region until then."""
        return f"{_USER}:{region}.{until}.{self._signature(region, until)}"

    def digest(self, region: str, name: str, reference: str) -> str | None:
        """The digest of an image that was pushed here, with its layers, under this tag or digest."""
        repository = ecr_backends[ACCOUNT][region].repositories.get(name)
        for image in repository.images if repository else ():
            if reference == image.image_digest or reference in image.image_tags:
                with suppress(_Refusal):
                    needed = _layers(image.image_manifest.encode())
                    return str(image.image_digest) if all((self._blobs / one).is_file() for one in needed) else None
        return None

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        try:
            environ[_REGION] = self._region(environ)
            if environ["REQUEST_METHOD"] == "PUT" and "/manifests/" in environ["PATH_INFO"]:
                return self._persistence.perform(IMAGE, environ, start, self.answer)
        except _Refusal as refusal:
            return _refuse(start, refusal)
        except AwsError as error:
            return _refuse(start, _Refusal(error.status, "UNKNOWN", error.message))
        return self.answer(environ, start)

    def answer(self, environ: Environ, start: StartResponse) -> Body:
        """An authenticated request; one that changes moto's images has been saved."""
        try:
            return self._answer(environ, start)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return _refuse(start, _Refusal(500, "UNKNOWN", f"the layer cannot be kept: {reason}"))
        except _Refusal as refusal:
            return _refuse(start, refusal)

    def _answer(self, environ: Environ, start: StartResponse) -> Body:
        region = environ[_REGION]
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == PREFIX:
            return _send(start, 200, [], b"{}", "application/json")
        found = _PATH.fullmatch(path)
        if found is None:
            raise _Refusal(404, "UNSUPPORTED", f"there is no resource at {path}")
        name, kind, rest = found["name"], found["kind"], found["rest"]
        repository = ecr_backends[ACCOUNT][region].repositories.get(name)
        if repository is None:
            raise _Refusal(
                404,
                "NAME_UNKNOWN",
                f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'",
            )
        if kind == "manifests":
            return self._manifest(environ, start, region, repository, rest)
        if rest.startswith("uploads/"):
            return self._upload(environ, start, name, rest.removeprefix("uploads/"))
        if method in ("GET", "HEAD"):
            return self._blob(start, method, rest)
        raise _Refusal(405, "UNSUPPORTED", f"{method} {path} is not supported")

    def _region(self, environ: Environ) -> str:
        """The region for which the caller has logged in. Raises _Refusal."""
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
            region, until, signature = password.split(".")
            right = hmac.compare_digest(self._signature(region, int(until)).encode(), signature.encode())
        except ValueError:
            raise _DENIED from None
        if kind != "Basic" or user != _USER or not right or int(until) < time.time():
            raise _DENIED
        return region

    def _signature(self, region: str, until: int) -> str:
        return hmac.digest(self._secret, f"registry {region} {until}".encode(), "sha256").hex()

    # Layers.

    def _blob(self, start: StartResponse, method: str, digest: str) -> Body:
        file = self._blobs / _checked(digest)
        if not file.is_file():
            raise _Refusal(404, "BLOB_UNKNOWN", f"there is no layer {digest}")
        headers = [("Docker-Content-Digest", digest), ("Content-Length", str(file.stat().st_size))]
        start("200 OK", [*headers, ("Content-Type", _OCTETS)])
        return _pieces(file) if method == "GET" else []

    def _upload(self, environ: Environ, start: StartResponse, name: str, upload: str) -> Body:
        """POST begins an upload, PATCH adds to it, PUT ends it under its digest."""
        method = environ["REQUEST_METHOD"]
        if method == "POST":
            upload = uuid.uuid4().hex
            self._uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._uploads / upload).touch(mode=0o600)
        file = self._uploads / upload
        if not re.fullmatch(r"[0-9a-f]{32}", upload) or not file.is_file():
            raise _Refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
        if method in ("PATCH", "PUT"):
            with open(file, "ab", buffering=0) as out:
                before = out.tell()
                try:
                    for piece in _body(environ):
                        _write(out, piece)
                except OSError:
                    out.truncate(before)  # so that the client can retry
                    raise
        place = ("Location", f"{PREFIX}{name}/blobs/uploads/{upload}")
        if method != "PUT":
            size = file.stat().st_size
            headers = [place, ("Docker-Upload-UUID", upload), ("Range", f"0-{max(size - 1, 0)}")]
            return _send(start, 202, headers)
        digest = _checked(_query(environ, "digest"))
        with open(file, "rb") as held:
            if hashlib.file_digest(held, "sha256").hexdigest() != digest.partition(":")[2]:
                raise _Refusal(400, "DIGEST_INVALID", f"the layer is not {digest}")
        self._blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._persistence.sync_file(file)
        os.replace(file, self._blobs / digest)
        self._persistence.sync_file(self._blobs)
        location = ("Location", f"{PREFIX}{name}/blobs/{digest}")
        return _send(start, 201, [location, ("Docker-Content-Digest", digest)])

    # Images.

    def _manifest(self, environ: Environ, start: StartResponse, region: str, repository: Any, reference: str) -> Body:
        method = environ["REQUEST_METHOD"]
        if method == "PUT":
            return self._put_manifest(environ, start, region, repository, reference)
        for image in repository.images:
            if reference == image.image_digest or reference in image.image_tags:
                text = image.image_manifest.encode()
                headers = [("Docker-Content-Digest", image.image_digest)]
                return _send(start, 200, headers, text, image.image_manifest_media_type, head=method == "HEAD")
        raise _Refusal(404, "MANIFEST_UNKNOWN", f"there is no image {reference}")

    def _put_manifest(
        self, environ: Environ, start: StartResponse, region: str, repository: Any, reference: str
    ) -> Body:
        text = b"".join(_body(environ, _LARGEST_MANIFEST))
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        files = [self._blobs / _checked(blob) for blob in _layers(text)]
        for file in files:
            if not file.is_file():
                raise _Refusal(400, "MANIFEST_BLOB_UNKNOWN", f"the layer {file.name} was not pushed")
        tag = None if _DIGEST.fullmatch(reference) else reference
        held = next((image for image in repository.images if image.image_digest == digest), None)
        if held is None or (tag is not None and tag not in held.image_tags):
            try:
                kind = environ.get("CONTENT_TYPE")
                ecr_backends[ACCOUNT][region].put_image(repository.name, text.decode(), tag, kind, digest)
            except ServiceException as error:
                raise _Refusal(400, "TAG_INVALID", str(error.message)) from error
        location = ("Location", f"{PREFIX}{repository.name}/manifests/{digest}")
        return _send(start, 201, [location, ("Docker-Content-Digest", digest)])


def is_meant(environ: Environ) -> bool:
    """Whether a request is for the registry, and not for a service with similar paths."""
    path, signed = environ.get("PATH_INFO", ""), environ.get("HTTP_AUTHORIZATION", "").startswith("AWS")
    return str(path).startswith(PREFIX) and not signed


def _layers(manifest: bytes) -> list[str]:
    """The digests of an image's layers and configuration; none of a multi-platform image."""
    try:
        held = json.loads(manifest)
        parts = [*held.get("layers", ()), *([held["config"]] if "config" in held else ())]
        return [str(part["digest"]) for part in parts]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Refusal(400, "MANIFEST_INVALID", "this is not a manifest") from error


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise _Refusal(400, "DIGEST_INVALID", f"{digest!r} is not a digest")
    return digest


def _body(environ: Environ, most: int | None = None) -> Iterable[bytes]:
    if most is not None and not 0 < int(environ.get("CONTENT_LENGTH") or 0) <= most:
        raise _Refusal(413, "SIZE_INVALID", f"a manifest has at most {most} bytes, and needs a Content-Length")
    return body_of(environ)


def _write(out: IO[bytes], piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[out.write(rest) :]


def _refuse(start: StartResponse, refusal: _Refusal) -> Body:
    body = json.dumps({"errors": [{"code": refusal.code, "message": refusal.message}]}).encode()
    headers = [("WWW-Authenticate", 'Basic realm="ECR"')] if refusal.status == 401 else []
    return _send(start, refusal.status, headers, body, "application/json")


def _pieces(file: Path) -> Iterable[bytes]:
    with open(file, "rb") as held:
        while piece := held.read(_CHUNK):
            yield piece


def _query(environ: Environ, name: str) -> str:
    values: list[str] = parse_qs(environ.get("QUERY_STRING", "")).get(name, [""])
    return values[0]


def _send(
    start: StartResponse,
    status: int,
    headers: Iterable[tuple[str, str]],
    body: bytes = b"",
    kind: str | None = None,
    head: bool = False,
) -> Body:
    more = [("Content-Length", str(len(body))), ("Docker-Distribution-Api-Version", "registry/2.0")]
    start(f"{status} {'OK' if status < 300 else 'Error'}", [*headers, *more, ("Content-Type", kind or _OCTETS)])
    return [] if head else [body]
