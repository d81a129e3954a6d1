"""Which folders are accepted for state, and that temporary folders are removed."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aws_process import COMMAND, serving


def refused(*options: str) -> str:
    """What a server says that does not start."""
    done = subprocess.run([*COMMAND, "--instant", *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("ahx: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_folder_that_is_no_state_of_this_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, other = tmp_path / "state", tmp_path / "other"
    with serving("--instant", "--state", str(state)) as aws:
        assert "in use by another `ahx aws`" in refused("--state", str(state))
        aws("s3").create_bucket(Bucket="kept")
    other.mkdir()
    (other / "s3.pickle").write_bytes(b"")
    assert "was kept by an older version, whose pickles are not signed" in refused("--state", str(other))
    (other / "s3.pickle").rename(other / "diary")
    assert "holds something else (diary); choose a new or empty folder" in refused("--state", str(other))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "stranger"))
    assert "was not written by you on this machine" in refused("--state", str(state))
    os.chmod(tmp_path / "stranger/ahx/aws-state.key", 0o644)
    assert "that you alone can read; run: chmod 600" in refused("--state", str(state))
    assert "--durable: needs a folder" in refused("--durable")
    os.chmod(tmp_path / "stranger/ahx/aws-state.key", 0o600)
    if os.geteuid() == 0:
        os.chown(state, 12345, -1)
        assert "belongs to somebody else" in refused("--state", str(state))


def test_a_server_that_is_stopped_as_soon_as_it_is_announced_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    at_once = "import os, signal; from entrypoints import main; from entrypoints.verbs import aws; "
    at_once += "aws._announce = lambda *_: os.kill(os.getpid(), signal.SIGTERM); "
    at_once += "raise SystemExit(main.main(['aws', '--port', '0', '--instant']))"
    assert subprocess.run([sys.executable, "-c", at_once], check=False).returncode == 0
    assert list(tmp_path.glob("ahx-aws-*")) == []


def test_files_of_a_dead_server_go_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving("--instant") as living:
        with serving("--instant") as dead:
            assert len(list(tmp_path.glob("ahx-aws-*"))) == 2
            dead.end(signal.SIGKILL)
        with serving("--instant") as other:
            assert len(list(tmp_path.glob("ahx-aws-*"))) == 2
            other.end(signal.SIGTERM)
        assert living.end(signal.SIGTERM) == ""
    assert list(tmp_path.glob("ahx-aws-*")) == []


def test_a_short_body_is_what_io_says() -> None:
    from infra.embedded.http.protocols import AwsError
    from infra.embedded.http.recorded_request import Request

    with pytest.raises(AwsError, match="IncompleteBody"):
        Request.read({"CONTENT_LENGTH": "3", "wsgi.input": io.BytesIO(b"ab")}, b"")
