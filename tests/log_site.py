"""A place for tests of logs: programs in processes of their own, and what has arrived of what they print."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import Proxy

GROUP, STREAM = "/ahx/tests", "one"
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}


def program(body: str) -> str:
    """A program that keeps what the lines of `body` print."""
    begin = "import os, sys\nfrom run_logs.run_log import open_log\nwith open_log(os.environ, 'test'):\n"
    return begin + "".join(f"    {line}\n" for line in body.strip().splitlines())


@dataclass
class Ended:
    """How a program ended, and its log file."""

    code: int
    stdout: str
    stderr: str
    file: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.file.read_text("ascii").splitlines()]

    @property
    def lines(self) -> list[str]:
        return [event["message"] for event in self.events]

    @property
    def conclusion(self) -> str:
        return self.stderr.splitlines()[-1]


@dataclass
class Site:
    """A folder to run programs in, and a CloudWatch Logs of their own behind `proxy`."""

    folder: Path
    proxy: Proxy
    client: Any

    def start(self, program: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AHX_"))}
        given = {"AWS_ENDPOINT_URL": self.proxy.url, "AHX_LOG_GROUP": GROUP, "AHX_LOG_STREAM": STREAM, **environ}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            env=inherited | AWS | given,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self, started: subprocess.Popen[str], stdout: str = "") -> Ended:
        with started:
            rest, stderr = started.communicate(timeout=60)
        return Ended(started.returncode, stdout + rest, stderr, next(self.folder.glob("logs/*.jsonl")))

    def run(self, body: str, **environ: str) -> Ended:
        """Run the lines of `body` while they are kept."""
        return self.end(self.start(program(body), **environ))

    def delivered(self) -> list[str]:
        """What has arrived in the stream."""
        messages: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self.client.get_log_events(logGroupName=GROUP, logStreamName=STREAM, startFromHead=True, **token)
            if not page["events"]:
                return messages
            messages += [event["message"] for event in page["events"]]
            token = {"nextToken": page["nextForwardToken"]}
