"""What TensorBoard and MLflow have of runs, read by their own clients, each in a process: both warn when imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_TENSORBOARD = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

events = EventAccumulator(sys.argv[1])
events.Reload()
found = {"scalars": {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}}
for tag in ("start", "end"):
    content = events.SummaryMetadata(f"_hparams_/session_{tag}_info").plugin_data.content
    found[tag] = HParamsPluginData.FromString(content)
values = found.pop("start").session_start_info.hparams
found["hyperparameters"] = {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}
found["status"] = found.pop("end").session_end_info.status
print(json.dumps(found))
"""

_MLFLOW = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient(sys.argv[1])
found = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        points = {}
        for name in run.data.metrics:
            points[name] = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
        about = {"experiment": experiment.name, "name": run.info.run_name, "status": run.info.status}
        found.append({**about, "hyperparameters": run.data.params, "scalars": points})
print(json.dumps(found))
"""


def tensorboard(folder: Path) -> dict[str, Any]:
    """One run: `scalars` as [step, value] by name, `hyperparameters`, `status` (1: success, 2: failure)."""
    return _read(_TENSORBOARD, str(folder))


def mlflow(uri: str) -> list[dict[str, Any]]:
    """All runs: the same, with `experiment`, `name` and MLflow's word for the status."""
    return _read(_MLFLOW, uri)


def _read(program: str, place: str) -> Any:
    done = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
