"""SIGTERM and Ctrl-C ask training to stop after the current step; nothing is lost."""

import signal
from types import FrameType, TracebackType
from typing import Self

from ahx.errors import AhxError


class StoppedEarly(AhxError):
    """Training was asked to stop before its first step, and preparations took too long."""


class StopRequest:
    """While active, the first SIGTERM or SIGINT is stored in `signal`; a second Ctrl-C interrupts at once.

    With `patience`, preparations that take longer than that many seconds after the signal end with StoppedEarly.
    """

    def __init__(self, patience: float | None = None) -> None:
        self.signal: signal.Signals | None = None
        self._patience = patience
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._remember)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._before)  # blocked by container/train until now
        if self._patience is not None:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._give_up)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.prepared()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # the value that signal.signal returned

    def prepared(self) -> None:
        """From now on `signal` is checked often enough."""
        if self._patience is not None:
            self._patience = None
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None and self._patience is not None:
            signal.setitimer(signal.ITIMER_REAL, self._patience)
        self.signal = signal.Signals(number)

    def _give_up(self, number: int, frame: FrameType | None) -> None:
        name = self.signal.name if self.signal is not None else "a signal"
        raise StoppedEarly(f"stopped by {name} before the first step, so there is no model yet; start it again")
