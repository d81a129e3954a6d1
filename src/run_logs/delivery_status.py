"""The state of a delivery, shared by the thread that delivers and the one that waits for its end."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class DeliveryStatus:
    """`delivered` counts lines, `failures` attempts; `reason` is why the last attempt failed or lines were refused."""

    delivered: int = 0
    failures: int = 0
    reason: str = ""
    closing: threading.Event = field(default_factory=threading.Event)
    deadline: float = float("inf")  # by time.monotonic()

    def close(self, seconds: float) -> None:
        """No more lines will come; give up on the rest after `seconds`."""
        self.deadline = time.monotonic() + seconds
        self.closing.set()

    def given_up(self) -> bool:
        return time.monotonic() >= self.deadline
