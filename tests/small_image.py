"""Images of one file, made without a registry or a base image."""

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

TRAIN = "usr/bin/train"


def docker(*words: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    """`docker WORDS`; the outcome is the caller's to judge."""
    return subprocess.run(["docker", *words], capture_output=True, check=False, **settings)


def log_in(ecr: Any) -> str:
    """`docker login` with ECR's password; the registry's address, as host:port."""
    given = ecr.get_authorization_token()["authorizationData"][0]
    registry = str(given["proxyEndpoint"]).partition("://")[2]
    password = base64.b64decode(given["authorizationToken"]).partition(b":")[2]
    done = docker("login", "--username", "AWS", "--password-stdin", registry, input=password)
    assert done.returncode == 0, done.stderr
    return registry


def build(name: str, content: bytes, architecture: str = "amd64", place: str = "file") -> None:
    """An image of one layer with one executable file, and a label, as `docker save` would write it."""
    layer = packed({place: content})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"org.opencontainers.image.revision": "0123456789abcdef"}, "Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer, "config.json": config, "manifest.json": manifest}
    parts = {name: part if isinstance(part, bytes) else json.dumps(part).encode() for name, part in files.items()}
    done = docker("load", input=packed(parts))
    assert done.returncode == 0, done.stderr


def program(text: str, folder: Path) -> bytes:
    """A C program that needs no files of an image."""
    (folder / "train.c").write_text(text)
    subprocess.run(["cc", "-static", "-o", folder / "train", folder / "train.c"], check=True, timeout=60)
    return (folder / "train").read_bytes()


def packed(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
