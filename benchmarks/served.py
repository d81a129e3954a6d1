"""An `ahx aws` in a process of its own, for benchmarks."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

AHX = [sys.executable, "-m", "entrypoints.main"]


@contextmanager
def served(*command: str) -> Iterator[None]:
    """Start one and stop it afterwards; the environment of this process leads to it."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert server.stdout is not None
        for line in iter(server.stdout.readline, ""):
            if not line.startswith("export "):
                break
            name, _, value = line.removeprefix("export ").strip().partition("=")
            os.environ[name] = value
        try:
            yield
        finally:
            server.terminate()
            server.communicate()
