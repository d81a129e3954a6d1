"""The machines of a job, the processes on each, their ranks, and how they find each other.

The command that SageMaker starts is the first process of its machine; it starts one more for each further GPU, with the
same module. A signal to any of them stops all at the same step.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ahx.errors import AhxError, InputError, PeerError
from opt_ml.config import Resources
from opt_ml.paths import STOP_AT_EOF

#: The number of processes on each machine; otherwise one for each GPU, at least one.
PROCESSES = "AHX_PROCESSES"
_PORT = "29500"
_GRACE_SECONDS = 10.0  # for this process to notice that another one was lost


@dataclass(frozen=True)
class Hosts:
    """All machines of a job, and which of them this is."""

    names: tuple[str, ...]
    current: str
    interface: str | None  # of the network between them
    processes: int = 1  # on each

    @classmethod
    def of(cls, resources: Resources, environ: Mapping[str, str], device: str) -> Self:
        """From resourceconfig.json. `device` is the hyperparameter. Raises InputError for a bad AHX_PROCESSES."""
        asked = environ.get(PROCESSES, "")
        if asked and not (asked.isdecimal() and 1 <= int(asked) <= 256):
            raise InputError(f"{PROCESSES} must be a number of processes from 1 to 256 (got {asked!r})")
        gpus = len(list(Path("/dev").glob("nvidia[0-9]*"))) if device in ("auto", "cuda") else 0
        interface = resources.network_interface
        known = interface if Path("/sys/class/net", interface or "none").exists() else None
        return cls(resources.hosts, resources.current_host, known, int(asked or 0) or max(1, gpus))

    @property
    def first(self) -> bool:
        """Whether this machine's first process writes the results."""
        return self.names.index(self.current) == 0

    def environment(self, local_rank: int) -> dict[str, str]:
        """The variables of torch.distributed for a process of this machine; none for a job of one process."""
        world = len(self.names) * self.processes
        if world == 1:
            return {}
        settings = {
            "MASTER_ADDR": self.names[0] if len(self.names) > 1 else "127.0.0.1",
            "MASTER_PORT": os.environ.get("MASTER_PORT", _PORT),
            "WORLD_SIZE": str(world),
            "RANK": str(self.names.index(self.current) * self.processes + local_rank),
            "LOCAL_RANK": str(local_rank),
            "LOCAL_WORLD_SIZE": str(self.processes),
        }
        if self.processes > 1:
            settings["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(
                max(1, (os.cpu_count() or 1) // self.processes)
            )
        if self.interface and len(self.names) > 1:
            settings |= {"GLOO_SOCKET_IFNAME": self.interface, "NCCL_SOCKET_IFNAME": self.interface}
        return settings


class Helpers:
    """The other processes of this machine. They end with the block, and when one fails, this process ends too."""

    def __init__(self, hosts: Hosts, give_up: Callable[[AhxError], None]) -> None:
        self.hosts, self.give_up = hosts, give_up  # give_up ends this process at once
        self.running: list[subprocess.Popen[bytes]] = []
        self.ended = threading.Event()

    def __enter__(self) -> Self:
        for rank in range(1, self.hosts.processes):
            environment = {**os.environ, **self.hosts.environment(rank), STOP_AT_EOF: "0"}
            command = [sys.executable, "-m", "entrypoints.container"]
            self.running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment))
        os.environ.update(self.hosts.environment(0))
        if self.running:
            threading.Thread(target=self._watch, name="helpers", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.ended.set()
        for process in self.running:
            try:
                process.wait(_GRACE_SECONDS if kind is None else 0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self) -> None:
        """End this process when a helper has failed and this one does not notice."""
        while not self.ended.wait(0.5):
            failed = [(rank, code) for rank, process in enumerate(self.running, 1) if (code := process.poll())]
            if failed and not self.ended.wait(_GRACE_SECONDS):
                rank, code = failed[0]
                self.give_up(PeerError(f"process {rank} of this machine ended with code {code}; the log says why"))


def is_helper(environ: Mapping[str, str]) -> bool:
    """Whether this process was started by the first one of its machine."""
    return environ.get("LOCAL_RANK", "0") != "0"
