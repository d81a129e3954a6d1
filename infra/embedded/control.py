"""The embedded AWS's own API, below /_ahx/: faults, spot interruptions, status.

GET    /_ahx/status     {"jobs": {"InProgress": 2, ...}, "faults": [...]}
GET    /_ahx/faults     the rules, with the number of calls that each has affected
POST   /_ahx/faults     a rule to add: {"kind": "throttle", "operation": "CreateTrainingJob", "count": 3}
DELETE /_ahx/faults     remove all rules
POST   /_ahx/interrupt  {"TrainingJobName": ..., "Seconds": 5, "Region": "us-east-1"}
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from infra.embedded.faults import Fault, Faults
from infra.embedded.http.protocols import AwsError, Body, Environ, StartResponse, read_body
from infra.embedded.sagemaker.training.operations import TrainingOperations

PREFIX = "/_ahx/"


class Control:
    """Answers requests below /_ahx/. `reset` forgets all state that is not moto's."""

    def __init__(self, faults: Faults, training: TrainingOperations, reset: Callable[[], None]) -> None:
        self._faults, self._training, self.reset = faults, training, reset

    def __call__(self, environ: Environ, start: StartResponse) -> Body:
        try:
            return _send(start, 200, self._answer(environ))
        except (ValueError, TypeError, KeyError) as error:
            raise AwsError("BadRequest", str(error)) from error

    def _answer(self, environ: Environ) -> dict[str, Any]:
        what = environ["PATH_INFO"].removeprefix(PREFIX).strip("/")
        method = environ["REQUEST_METHOD"]
        request = json.loads(read_body(environ) or b"{}")
        if (method, what) == ("GET", "status"):
            jobs = Counter(job.status for job in self._training.jobs.all())
            return {"jobs": dict(jobs), "faults": self._faults.shown()}
        if what == "faults" and method in ("GET", "POST", "DELETE"):
            if method == "POST":
                self._faults.add(Fault(**{name: value for name, value in request.items() if name != "hits"}))
            elif method == "DELETE":
                self._faults.clear()
            return {"faults": self._faults.shown()}
        if (method, what) == ("POST", "interrupt"):
            seconds, region = float(request.get("Seconds", 0)), request.get("Region", "us-east-1")
            self._training.interrupt(region, request["TrainingJobName"], seconds)
            return {}
        raise AwsError("NotFound", f"there is no {method} {environ['PATH_INFO']}", 404)


def refuse(start: StartResponse, error: AwsError) -> Body:
    """The answer to a failed request below /_ahx/."""
    return _send(start, error.status, {"error": error.message})


def _send(start: StartResponse, status: int, answer: dict[str, Any]) -> Body:
    start(f"{status} {'OK' if status == 200 else 'Error'}", [("Content-Type", "application/json")])
    return [json.dumps(answer, indent=1).encode() + b"\n"]
