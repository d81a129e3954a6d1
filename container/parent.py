"""Ends a job when the program that started it dies: the end of standard input counts as SIGTERM.

SageMaker stops its containers itself, so this is done only where the starter asks for it.
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping

from opt_ml.paths import STOP_AT_EOF


def watch(environ: Mapping[str, str]) -> None:
    """Begin to watch standard input, if the environment asks for it."""
    if environ.get(STOP_AT_EOF) == "1":
        threading.Thread(target=_wait_for_end, name="parent", daemon=True).start()


def _wait_for_end() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
