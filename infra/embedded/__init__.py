"""An AWS on this machine: moto's server, with a layer over it that behaves as SageMaker does.

server       the addresses it listens on; starts and stops everything
app          one request: control, faults, our own operations, or moto's
wire         which operation a request calls; answers and errors of each protocol
constraints  what AWS publishes of its API: lengths, patterns, ranges; checks: what it refuses besides
job, jobs    a training job's record; all of them, with names and quotas
execution    one job's way through its statuses; cluster: its hosts; channels, artifacts, shipping: what goes in and out
tuning       tuning jobs over training jobs: tuning_run runs one, tuning_search chooses its points
policy       IAM's evaluation of policies; simulation: the operations that show it
faults       calls that fail on demand
state        what survives a restart: journal (of requests, and of what jobs have become), snapshot (pickles, signed)
repeatable   how a request to moto is made again with the same outcome
ledger       the lock under which jobs change, with which changes are kept
moto_side    the few places where we look inside moto
"""

from importlib.util import find_spec

from ahx.errors import ServiceError

for _package in ("boto3", "moto", "flask", "flask_cors"):
    if find_spec(_package) is None:
        raise ServiceError(
            f"this needs the package {_package}, which is not installed; run: pip install 'ahx-transformer[embedded]'"
        )
