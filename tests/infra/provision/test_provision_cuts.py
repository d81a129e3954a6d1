"""apply and destroy, cut after each call that writes, then run again."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import aws_here
import pytest

from infra.provision import stack
from infra.provision.resource import Choices

BUCKET, REPOSITORY = "ahx-123456789012-eu-west-1", "ahx-transformer"
READS = ("Get", "List", "Describe", "Head")
MANIFEST = (
    '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",'
    ' "config": {"mediaType": "a", "size": 1, "digest": "sha256:' + "0" * 64 + '"}, "layers": []}'
)


class Killed(BaseException):
    """The process ends here: nothing of ours may catch it."""


@contextmanager
def killed_after(found, writes):
    """The next call that writes, once `writes` of them have been answered, is never sent."""
    count = itertools.count()

    def cut(model, **_):
        if not model.name.startswith(READS) and next(count) >= writes:
            raise Killed

    events = [resource.api.meta.events for resource in found]
    for each in events:
        each.register_first("before-call.*.*", cut)
    try:
        yield
    finally:
        for each in events:
            each.unregister("before-call.*.*", cut)


def fill(aws):
    """What training leaves: objects with old versions and a deletion, half an upload, an image."""
    s3 = aws("s3")
    for key in ("data/a", "data/a", "data/b"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="data/b")
    s3.create_multipart_upload(Bucket=BUCKET, Key="output/half")
    aws("ecr").put_image(repositoryName=REPOSITORY, imageManifest=MANIFEST, imageTag="one")


def destroy(stack_id):
    for resource, ours in reversed(list(stack.present(stack.resources(stack_id, Choices())))):
        assert ours
        stack.destroy(resource)


@pytest.mark.slow
def test_apply_cut_after_each_write_converges(address, everything, apply, todo):
    for writes in itertools.count():
        aws_here.empty(address)
        try:
            with killed_after(everything, writes):
                apply(everything)
            break
        except Killed:
            apply(everything)
        assert todo(everything) == [], f"cut after {writes} writes"
    assert writes == 23  # as many as a fresh apply makes calls that write


@pytest.mark.slow
def test_destroy_cut_after_each_write_leaves_nothing(aws, stack_id, everything, apply):
    for writes in itertools.count():
        apply(everything)
        fill(aws)
        found = list(stack.present(everything))
        assert len(found) == 11
        try:
            with killed_after(everything, writes):
                for resource, _ in reversed(found):
                    stack.destroy(resource)
            break
        except Killed:
            destroy(stack_id)
        assert list(stack.present(everything)) == [], f"cut after {writes} writes"
    assert writes == 14  # as many as an uncut one makes calls that write


def test_apply_killed_at_random_moments_converges(aws, stack_id, everything, todo):
    rng = random.Random(0)
    command = [sys.executable, "-m", "entrypoints.main", "infra", "apply", "--yes"]
    command += ["--email", "me@example.org", "--budget", "50", "--spend", "70"]
    killed = 0
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            lines = rng.randrange(1, 12)
            steps = (line for line in process.stdout if line.startswith(("create", "set")))
            for _ in itertools.islice(steps, lines):
                pass
            time.sleep(rng.random() * 0.02)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert todo(everything) == []
    assert killed
