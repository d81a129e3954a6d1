"""The values of the hyperparameter `track`.

none                              no tracker
tensorboard                       event files in the run's folder
mlflow                            the server that MLFLOW_TRACKING_URI names, or else the file mlflow.db
mlflow:http://127.0.0.1:5000      a tracking server
mlflow:sqlite:///runs/mlflow.db   a file of this machine
mlflow:arn:aws:sagemaker:...      a managed MLflow of SageMaker
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from ahx.errors import InputError
from ahx.text.suggest import did_you_mean

NONE, TENSORBOARD, MLFLOW = "none", "tensorboard", "mlflow"
URI_VARIABLE, EXPERIMENT_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"  # MLflow's own
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")  # MLflow's own, too
SQLITE = "sqlite:///"
ARN_FORM = "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
_ARN = re.compile(r"arn:aws(-us-gov)?:sagemaker:[a-z0-9-]+:\d{12}:mlflow-(tracking-server|app)/[A-Za-z0-9-]+")
_HTTP = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[^\s?#]*)?")
_FORMS = f"http(s)://HOST, {SQLITE}FILE or {ARN_FORM}"


def tracker_fault(track: str) -> str:
    """What is wrong with a value, in a sentence that holds no password; "" for a valid one."""
    kind, _, uri = track.partition(":")
    if track in (NONE, TENSORBOARD, MLFLOW):
        return ""
    if kind != MLFLOW:
        near = did_you_mean(kind, (TENSORBOARD, MLFLOW), "use tensorboard, mlflow or mlflow:ADDRESS")
        return f"{kind[:40]!r} is not a tracker{near}" if kind != TENSORBOARD else "tensorboard takes no address"
    if "@" in uri:
        return (
            "a user and password in the address would be stored with the run; leave them out, and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if not uri:
        return f"there is no address after mlflow:; give {_FORMS}"
    if uri.startswith("arn:"):
        return "" if is_arn(uri) else f"{uri[:80]!r} is not the ARN of an MLflow server; it has the form {ARN_FORM}"
    if uri.startswith("sqlite:"):
        named = re.fullmatch(rf"{SQLITE}[^\s?#]*[^\s?#/]", uri)
        return "" if named else f"{uri[:80]!r} names no file; an example is sqlite:///runs/mlflow.db"
    return "" if _is_server(uri) else f"{uri[:80]!r} is not an address of MLflow; give {_FORMS}"


def is_arn(text: str) -> bool:
    """Whether it is the ARN of a managed MLflow, a tracking server or an app."""
    return _ARN.fullmatch(text) is not None


def mlflow_uri(track: str, environ: Mapping[str, str]) -> str:
    """Where a valid value leads to in MLflow; "" without MLflow."""
    kind, _, uri = track.partition(":")
    return (uri or environ.get(URI_VARIABLE) or f"{SQLITE}mlflow.db") if kind == MLFLOW else ""


def check(track: str, environ: Mapping[str, str]) -> None:
    """Raises InputError when a package that the tracker needs is not installed."""
    if not (uri := mlflow_uri(track, environ)):
        return
    needed = ["mlflow"]
    if uri.startswith(SQLITE):
        needed += ["sqlalchemy", "alembic", "cryptography"]
    elif is_arn(uri):
        needed += ["sagemaker_mlflow"]
    if missing := [package for package in needed if find_spec(package) is None]:
        raise InputError(
            f"track: {track} needs the package {missing[0]}, which is not installed; run: "
            "pip install 'ahx-transformer[mlflow]' (an image with it: make image EXTRAS=mlflow)"
        )


def without_password(text: str) -> str:
    """`text` with *** for the user and password of addresses.

    >>> without_password("no answer from http://me:secret@127.0.0.1:5000/api")
    'no answer from http://***@127.0.0.1:5000/api'
    """
    return re.sub(r"://\S*@", "://***@", text)


def _is_server(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return _HTTP.fullmatch(uri) is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too great
        return False
