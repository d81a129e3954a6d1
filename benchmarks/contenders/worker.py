"""A process for each contender, which is sent "run n" in turn with the others.

Contenders take turns, so that whatever else the machine does hits all alike; and they live apart, so that nothing one
sets (the allocator, a patched module, warm caches of torch) helps or hurts another.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent.parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Contender:
    """The side of the one who asks. `note` is what the contender says of itself; `failed` why it cannot take part."""

    def __init__(self, part: str, name: str, spec: dict[str, Any], python: str = sys.executable) -> None:
        self.name, self.times, self.note, self.failed = name, list[float](), "", ""
        self.process = subprocess.Popen(
            [python, "-m", "contenders.worker", part, name, json.dumps(spec)],
            cwd=HERE, env={**os.environ, **ONE_THREAD}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def wait(self) -> None:
        """Until it is built and warmed up."""
        answer = self._answer()
        self.note, self.failed = answer.get("note", ""), answer.get("failed", "")

    def run(self, n: int) -> float:
        """CPU seconds for n units of work."""
        assert self.process.stdin is not None
        print(n, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.failed = answer.get("failed", "")
        return float(answer.get("seconds", "nan"))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"failed": f"its process ended with code {self.process.wait()}"}


def interleave(
    contenders: list[Contender], rounds: int, seconds: float, at_least: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Median CPU seconds for one unit of work of each contender, in turns of about `seconds`.

    `at_least` is how many units some contenders do in a turn, however long they take.
    """
    least = at_least or {}
    for contender in contenders:  # one after the other, before any is measured
        contender.wait()
    alive = [contender for contender in contenders if not contender.failed]
    # One turn of the least size shows how many units fill the time.
    units = {c.name: least.get(c.name, 1) for c in alive}
    for c in alive:
        units[c.name] = max(units[c.name], round(units[c.name] * seconds / max(c.run(units[c.name]), 1e-6)))
    for _ in range(rounds):
        for contender in alive:
            if not contender.failed:
                contender.times.append(contender.run(units[contender.name]) / units[contender.name])
    for contender in contenders:
        contender.close()
    return {c.name: median(c.times) for c in alive if not c.failed}


def main() -> None:
    """The side of the one who works: builds the contender, then does n units of work for each line that says n."""
    # Contenders print; what they print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    part, name, spec = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    try:
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(0)
        build = importlib.import_module(f"contenders.{part}").build
        work: Callable[[int], None]
        work, note = build(name, spec)
        say(note=note)
        for line in sys.stdin:
            began = time.process_time()
            work(int(line))
            say(seconds=time.process_time() - began)
    except Exception as error:
        say(failed=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}")
        raise


if __name__ == "__main__":
    main()
