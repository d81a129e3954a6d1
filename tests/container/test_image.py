"""The image: what it does for any user, and what it must not contain."""

import json
from pathlib import Path

import pytest
from container_jobs import RULE, mounted
from docker_missing import unavailable

from opt_ml import failure
from opt_ml import tree as trees

# A container as strict as they come: an unknown user, no home, no network, nothing but /data and /tmp writable.
STRICT = ("--user", "12345:54321", "--read-only", "--network", "none", "--tmpfs", "/data:mode=777", "--tmpfs", "/tmp")


def test_a_verb_runs_for_any_user(image):
    assert image.stdout("ahx", "rules", "apply", "A -> AA", "ABA", options=STRICT) == "AABAA\n"


def test_any_user_trains_and_evaluates(image):
    train = "ahx train --rule double_a --max-len 8 --until-exact 1000 --model-out m"
    done = image.run("sh", "-c", f"{train} && ahx eval --model m --rule double_a", options=STRICT)
    assert done.returncode == 0, done.stderr
    assert "100.00 %" in done.stdout


def test_two_processes_train_together(image):
    train = (
        "torchrun --nproc-per-node 2 -m entrypoints.main train --rule double_a --max-len 8 --max-steps 5 --model-out m"
    )
    done = image.run("sh", "-c", f"{train} && test -s m/model.safetensors", options=("--env", "OMP_NUM_THREADS=1"))
    assert done.returncode == 0, done.stderr


def test_compile_is_refused_in_one_sentence(image):
    done = image.run("ahx", "train", "--rule", "double_a", "--max-steps", "2", "--compile")
    assert done.returncode != 0
    assert done.stderr.startswith("ahx: error: compile needs a C++ compiler")


@pytest.mark.parametrize("command", [(), ("train",)], ids=["no command, as in local mode", "SageMaker's own call"])
def test_it_trains(image, tmp_path, command):
    tree = trees.build(tmp_path, RULE, {})
    done = image.run(*command, options=mounted(tree))
    assert done.returncode == 0, done.stderr
    assert "Reporting training SUCCESS" in done.stdout + done.stderr


def test_any_user_trains_as_a_job(image, tmp_path):
    config = trees.build(tmp_path, RULE, {}).config
    mount = ("--mount", f"type=bind,source={config},target=/opt/ml/input/config,readonly")
    done = image.run("sh", "-c", "train && test -s /opt/ml/model/model.safetensors", options=("--user", "1234", *mount))
    assert done.returncode == 0, done.stderr


def test_sagemakers_toolkit_by_itself_calls_the_same(image, tmp_path):
    options = mounted(trees.build(tmp_path / "good", RULE, {}))
    assert image.run("python", "-m", "sagemaker_training.cli.train", options=options).returncode == 0
    bad = trees.build(tmp_path / "bad", RULE | {"n_layer": "x"}, {})
    assert image.run("python", "-m", "sagemaker_training.cli.train", options=mounted(bad)).returncode == 1
    assert failure.reason(bad).startswith("n_layer: must be a whole number")


def test_any_user_may_write_where_a_job_writes_and_nowhere_else(image):
    """Set-user and set-group rights would be a way around that."""
    search = "find / -xdev ( -type d -o -type f ) -writable -not -path /proc/*"
    found = image.run(*search.split(), options=("--user", "12345:54321")).stdout.split()
    jobs = ["checkpoints", "model", "output", "output/data", "scratch"]
    places = {"/data", *(f"/opt/ml/{name}" for name in jobs)}
    assert places <= set(found)
    assert set(found) - places <= {"/tmp", "/var/tmp", "/run/lock"}
    assert image.stdout("find", "/", "-xdev", "-type", "f", "-perm", "/6000") == ""


@pytest.mark.parametrize(
    "search",
    [
        pytest.param("find / -xdev -name cc1 -o -xdev -name cc1plus", id="compiler"),
        pytest.param("which cc gcc g++ cpp clang as ld strip make", id="tools of the build"),
        pytest.param("find / -xdev -type f -path '*/.cache/*'", id="pip's cache"),
        pytest.param("find /var/cache /var/lib/apt/lists /var/log -type f", id="caches and logs of packages"),
        pytest.param("which pip pip3 pip3.11 easy_install wheel", id="pip"),
        pytest.param("find / -xdev -name 'pip*.whl' -o -xdev -type d -path '*/pip/_vendor'", id="pip in any shape"),
        pytest.param("find ~ /tmp /var/tmp /data /opt/ml -type f -size +1k", id="files of the build"),
        pytest.param("find /opt/ahx -name '*.whl' -o -name '*.a'", id="files to build with"),
        pytest.param("find /opt/ahx -type d -name tests -not -path '*/torch/*'", id="tests"),
    ],
)
def test_nothing_of_the_build_is_left(image, search):
    found = image.run("sh", "-c", search)
    assert (found.stdout, found.stderr) == ("", "")


def test_what_it_contains_is_listed_beside_it(image):
    """The bill of materials that the build writes, against what the image itself says."""
    listed = json.loads(Path("build/sbom.cdx.json").read_text("utf-8"))
    about = listed["metadata"]["component"]
    if image.name != f"{about['name']}:{about['version']}":
        unavailable(f"build/sbom.cdx.json does not list {image.name}; `make image` writes it")
    found = {(part["purl"].partition("/")[0], part["name"]) for part in listed["components"] if "purl" in part}
    debian = image.stdout("dpkg-query", "--show", "--showformat", "${Package}\\n").split()
    python = "import importlib.metadata as m; print(*{d.name.lower().replace('_', '-') for d in m.distributions()})"
    assert {name for kind, name in found if kind == "pkg:deb"} == set(debian)
    names = {name.lower().replace("_", "-") for kind, name in found if kind == "pkg:pypi"}
    assert names == set(image.stdout("python", "-c", python).split())
    assert json.loads(Path("build/sbom.spdx.json").read_text("utf-8"))["spdxVersion"] == "SPDX-2.3"


@pytest.mark.parametrize("package", ["scipy", "gevent", "werkzeug", "google.protobuf", "pip", "setuptools"])
def test_what_training_never_imports_is_not_in_it(image, package):
    done = image.run("python", "-c", f"import {package}")
    assert "ModuleNotFoundError" in done.stderr


def test_bytecode_is_compiled_and_up_to_date(image):
    # With -v Python names the file that each module came from: a .pyc, or the .py that it had to compile.
    done = image.run("python", "-v", "-c", "import torch, numpy, pydantic, rich, boto3, entrypoints.verbs.train")
    assert done.returncode == 0, done.stderr
    sources = [line for line in done.stderr.splitlines() if line.startswith("# code object from")]
    assert len(sources) > 1000
    assert [line for line in sources if line.strip("'").endswith(".py")] == []


def test_history_and_settings_keep_no_secret(image):
    history = image.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image.name).stdout
    settings = image.docker("image", "inspect", "--format", "{{json .Config}}", image.name).stdout
    for text in (history, settings):
        for word in ("BEGIN CERTIFICATE", "ca-certificates", "secret", "token", "password", "://"):
            assert word not in text, word


def test_certificates_are_those_of_the_base(image):
    own = image.stdout("sh", "-c", "cat /usr/share/ca-certificates/mozilla/*.crt | grep -c BEGIN").strip()
    assert image.stdout("grep", "-c", "BEGIN", "/etc/ssl/certs/ca-certificates.crt").strip() == own


def test_labels_say_what_it_is(image):
    labels = json.loads(image.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image.name).stdout)
    version = image.stdout("ahx", "--version").split()[-1]
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40


def test_all_but_torch_and_python_is_at_most_150_megabytes(image):
    form = "{{.Size}} {{.CreatedBy}}"
    lines = image.docker("history", "--human=false", "--no-trunc", "--format", form, image.name).stdout.splitlines()
    added = [int(line.split(" ", 1)[0]) for line in lines if "COPY /opt/ahx" in line]
    project, libraries, torch = added  # newest first
    assert torch > libraries > project
    assert libraries + project <= 150e6
