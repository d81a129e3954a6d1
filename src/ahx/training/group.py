"""Several processes as one run: how they connect, and what happens when one is lost."""

import os
import socket
import time
from datetime import timedelta

import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from ahx.errors import PeerError


class ProcessGroup:
    """The processes that torchrun or a container started (RANK and WORLD_SIZE are set), or this one alone.

    Entering it returns this process's rank.

    Inside, the loss of another process becomes a PeerError: at once if its connections are closed, and within
    AHX_PEER_SECONDS (600) if it stops answering. The others also wait for the evaluations of the first process.
    """

    def __init__(self, device: str) -> None:
        self.backend = "nccl" if device == "cuda" else "gloo"
        self.grouped = int(os.environ.get("WORLD_SIZE", "1")) > 1

    def __enter__(self) -> int:
        if not self.grouped:
            return 0
        seconds = float(os.environ.get("AHX_PEER_SECONDS", "600"))
        patience = timedelta(seconds=seconds)
        try:
            if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun has connected its processes
                dist.init_process_group(self.backend, timeout=patience)
            else:
                rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
                store = _meet(rank, world, seconds)
                dist.init_process_group(self.backend, store=store, rank=rank, world_size=world, timeout=patience)
        except RuntimeError as error:
            raise _lost(error) from error
        return dist.get_rank()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self.grouped:
            return
        if error is None:
            dist.destroy_process_group()
        elif isinstance(error, RuntimeError) and _is_of_the_network(error):
            raise _lost(error) from error


def _meet(rank: int, world: int, seconds: float) -> TCPStore:
    """Wait for all processes; returns the store through which they communicate. Raises PeerError after `seconds`.

    torch's own wait ignores signals, takes twice the time, and ends with a page of C++.
    """
    address, until = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), time.monotonic() + seconds
    while rank:
        try:
            socket.create_connection(address, timeout=5).close()
            break
        except OSError as error:
            if time.monotonic() > until:
                raise PeerError(
                    f"the first process of this run cannot be reached at {address[0]}:{address[1]} ({error}); "
                    "look for the reason in its own log, and start again"
                ) from error
            time.sleep(0.2)
    store = TCPStore(*address, is_master=rank == 0, wait_for_workers=False, timeout=timedelta(seconds=seconds))
    store.set(f"here/{rank}", "")
    while missing := [other for other in range(world) if not store.check([f"here/{other}"])]:
        if time.monotonic() > until:
            raise PeerError(
                f"{len(missing)} of {world} processes of this run have not come within {seconds:g} seconds; "
                "look for the reason in their own logs, and start again"
            )
        time.sleep(0.2)
    return store


def _is_of_the_network(error: RuntimeError) -> bool:
    """Whether `error` comes from torch.distributed. Gloo's failures have no exception class."""
    message = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in message for word in ("gloo", "connection", "timed out"))


def _lost(error: RuntimeError) -> PeerError:
    why = " ".join(str(error).split())[:200]
    return PeerError(
        f"another process of this run was lost or never came ({why}); look for the reason in its own log, "
        "then start again: the run continues from its last checkpoint"
    )
