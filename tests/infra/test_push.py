"""`ahx push`: a real `docker push`, to the registry of the AWS on this machine."""

import json
import os
import shutil
import uuid

import aws_here
import boto3
import pytest
from docker_missing import unavailable
from small_image import build, docker, log_in

from entrypoints.main import main
from entrypoints.verbs.push import EXAMPLES

REGION = aws_here.REGION


@pytest.fixture(scope="module")
def image():
    """The smallest image there is, of linux/amd64, with a label; removed with all its names afterwards."""
    if shutil.which("docker") is None or docker("version").returncode != 0:
        unavailable("no Docker engine answers")
    name = f"ahx-push-test:{uuid.uuid4().hex[:8]}"
    build(name, name.encode())  # a name of its own, as parallel tests remove theirs
    yield name
    found = docker("image", "inspect", name, "--format", "{{.Id}}").stdout.decode().strip()
    docker("image", "rm", "--force", found)


@pytest.fixture
def ecr(monkeypatch):
    with aws_here.serving() as address:
        aws_here.empty(address)
        for name, value in aws_here.settings(address).items():
            monkeypatch.setenv(name, value)
        yield boto3.client("ecr", region_name=REGION)


def address(ecr):
    return ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"].partition("://")[2]


def test_what_is_pushed_is_in_ecr_and_comes_back(image, ecr, capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert main(["infra", "apply", "--yes"]) == 0
    capfd.readouterr()

    assert main(["push", "--image", image, "--json"]) == 0
    pushed = json.loads(capfd.readouterr().out)
    assert pushed["pushed"]
    assert pushed["tag"].startswith("0123456789ab-")
    found = ecr.describe_images(repositoryName="ahx-transformer")["imageDetails"]
    assert [(one["imageDigest"], one["imageTags"]) for one in found] == [(pushed["digest"], [pushed["tag"]])]
    assert pushed["image"] == f"123456789012.dkr.ecr.{REGION}.amazonaws.com/ahx-transformer@{pushed['digest']}"
    assert json.loads((tmp_path / "config.json").read_text()).get("auths", {}) == {}  # no password stays behind

    assert main(["push", "--image", image]) == 0  # the same again: nothing to do
    assert "Already there" in capfd.readouterr().out

    # Nobody gets in without a password; with one, what comes back is what was pushed.
    there = f"{address(ecr)}/ahx-transformer@{pushed['digest']}"
    tagged = f"{address(ecr)}/ahx-transformer:{pushed['tag']}"
    docker("image", "rm", tagged)
    assert docker("pull", there).returncode != 0
    log_in(ecr)
    assert docker("pull", there).returncode == 0
    ids = {docker("image", "inspect", name, "--format", "{{.Id}}").stdout for name in (image, there)}
    docker("image", "rm", there)
    assert len(ids) == 1


def test_a_tag_never_changes_its_meaning(image, ecr, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert main(["infra", "apply", "--yes"]) == 0
    log_in(ecr)
    other, there = f"{image}-other", f"{address(ecr)}/ahx-transformer:v1"
    build(other, other.encode())
    docker("tag", image, there)
    first = docker("push", there)
    again = docker("push", there)
    docker("tag", other, there)
    second = docker("push", there)
    docker("image", "rm", there, other)
    assert (first.returncode, again.returncode) == (0, 0)
    assert second.returncode != 0
    assert b"and tag 'v1' already exists" in second.stderr


def test_a_kept_state_forgets_the_layers_of_deleted_images(image, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    layers = tmp_path / "state" / "registry" / "blobs"

    def served():
        with aws_here.serving(state=str(tmp_path / "state")) as address:
            for name, value in aws_here.settings(address).items():
                monkeypatch.setenv(name, value)
            yield boto3.client("ecr", region_name=REGION)

    for ecr in served():
        aws_here.empty(ecr.meta.endpoint_url)
        assert main(["infra", "apply", "--yes"]) == 0
        assert main(["push", "--image", image]) == 0
    assert len(list(layers.iterdir())) == 2  # one layer, and the configuration
    for ecr in served():
        assert len(list(layers.iterdir())) == 2
        ecr.delete_repository(repositoryName="ahx-transformer", force=True)
    for _ in served():
        assert len(list(layers.iterdir())) == 2  # the next image may need them
        for layer in layers.iterdir():
            os.utime(layer, (0, 0))
    for _ in served():
        assert list(layers.iterdir()) == []


def test_the_examples_of_the_usage_run(image, ecr, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert main(["infra", "apply", "--yes"]) == 0
    for line in EXAMPLES:  # with a smaller image, or this would take a minute
        assert main([image if word == "ahx-transformer:dev" else word for word in line.split()[1:]]) == 0


def test_before_apply_there_is_nowhere_to_push_to(image, ecr, capsys):
    assert main(["push", "--image", image]) == 1
    assert capsys.readouterr().err == (
        f"ahx: error: there is no repository ahx-transformer in {REGION}; `ahx infra apply` makes it\n"
    )


def test_what_cannot_be_pushed_is_one_sentence(image, ecr, capsys, monkeypatch):
    assert main(["push", "--image", "no-such-image:x"]) == 1
    assert "there is no image no-such-image:x here; build it with `make image`" in capsys.readouterr().err
    other = f"{image}-arm"
    build(other, other.encode(), "arm64")
    assert main(["push", "--image", other]) == 2
    docker("image", "rm", other)
    assert "is for linux/arm64, and SageMaker's instances are linux/amd64" in capsys.readouterr().err
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert main(["push", "--image", image]) == 1
    assert "no Docker engine answers" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert main(["push", "--image", image]) == 1
    assert "there is no docker command here" in capsys.readouterr().err
