"""Images of this AWS's ECR for jobs: Docker pulls them from here, as SageMaker does from ECR."""

import base64
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ahx.errors import ServiceError
from infra.embedded.registry.registry import Registry

Docker = Callable[..., Any]

_SECONDS = 3600  # for which Docker may pull with one password

# The address of a repository of ECR in a TrainingImage, followed by NAME[:TAG][@DIGEST].
_ECR = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(.+)")
_IMAGE = re.compile(r"(?P<name>[^:@]+)(?::(?P<tag>[^:@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


class Images:
    """`address` is the registry's host:port for Docker; `docker` runs `docker WORDS`."""

    def __init__(self, registry: Registry, address: str, docker: Docker) -> None:
        self._registry, self._address, self._docker = registry, address, docker

    def pulled(self, image: str, region: str) -> str | None:
        """Pull `image` if this ECR has it, and return its name in Docker; None otherwise.

        `region`, the job's, is that of an image named by our own address. Raises ServiceError.
        """
        if in_ecr := _ECR.fullmatch(image):
            region, rest = in_ecr[1], in_ecr[2]
        elif image.startswith((f"{self._address}/", f"localhost:{self._address.rpartition(':')[2]}/")):
            rest = image.partition("/")[2]
        else:
            return None
        found = _IMAGE.fullmatch(rest)
        digest = found and self._registry.digest(region, found["name"], found["digest"] or found["tag"] or "latest")
        if not found or not digest:
            return None
        there = f"{self._address}/{found['name']}@{digest}"
        if self._docker("image", "inspect", there).returncode != 0:
            with self._logged_in(region) as config:
                done = self._docker("--config", config, "pull", "--quiet", there)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["Docker gave no reason"])[-1]
                raise ServiceError(f"cannot pull {image} from the registry here: {reason}")
        return there

    @contextmanager
    def _logged_in(self, region: str) -> Iterator[str]:
        """A configuration folder for Docker: the user's, with our password instead of others."""
        own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        with tempfile.TemporaryDirectory(prefix="ahx-docker-") as folder:
            settings: dict[str, Any] = {}
            with suppress(OSError, ValueError):
                settings = json.loads((own / "config.json").read_text("utf-8"))
            for name in ("credsStore", "credHelpers"):
                settings.pop(name, None)
            password = base64.b64encode(self._registry.login(region, int(time.time()) + _SECONDS).encode()).decode()
            settings["auths"] = {self._address: {"auth": password}}
            (Path(folder) / "config.json").write_text(json.dumps(settings), "utf-8")
            if (own / "contexts").is_dir():
                (Path(folder) / "contexts").symlink_to(own / "contexts")
            yield folder
