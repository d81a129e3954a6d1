"""Folders of jobs on their way to S3 and back: odd files in /opt/ml/model, odd keys and manifests in the inputs."""

import io
import json
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.embedded.sagemaker.execution.folders import Folder, UploadError
from infra.embedded.server import EmbeddedAws

Make = Callable[..., dict[str, Any]]
When = Callable[..., dict[str, Any]]

# Runs leave this in /opt/ml/model, in the packed and in the plain form.
ODD = """
model = base / 'model'
(model / 'step-5').mkdir()
(model / 'step-5' / 'weights').write_text('w')
(model / 'latest').symlink_to('step-5')
(model / 'newest').symlink_to('/opt/ml/model/latest')
(model / 'best').symlink_to('step-5/weights')
(model / 'step-5' / 'up').symlink_to('../card')
(model / 'card').write_text('c')
os.link(model / 'card', model / 'card-too')
(model / 'empty').mkdir()
os.mkfifo(model / 'pipe')
import socket; socket.socket(socket.AF_UNIX).bind(str(model / 'sock'))
(model / 'a b\\n#?%\\u00e9').write_text('o')
(model / 'shut').write_text('s'); (model / 'shut').chmod(0)
"""
FILES = {"step-5/weights": b"w", "card": b"c", "card-too": b"c", "a b\n#?%é": b"o", "shut": b"s"}
THROUGH_LINKS = {
    "latest/weights": b"w",
    "latest/up": b"c",
    "newest/weights": b"w",
    "newest/up": b"c",
    "best": b"w",
    "step-5/up": b"c",
}


@pytest.fixture
def run(when: When) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def to_the_end(request: dict[str, Any]) -> dict[str, Any]:
        boto3.client("sagemaker").create_training_job(**request)
        return when(request["TrainingJobName"])

    return to_the_end


def objects(bucket: str, prefix: str) -> dict[str, bytes]:
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {name.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}


def test_an_archive_has_what_the_folder_has(job_request: Make, run: Any, bucket: str, tmp_path: Path) -> None:
    request = job_request(ODD + "import shutil; shutil.copytree(model / 'step-5', base / 'output/data/copy')")
    job = run(request)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    found = objects(bucket, f"out/{request['TrainingJobName']}/output/")
    assert sorted(found) == ["model.tar.gz", "output.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(found["model.tar.gz"])) as packed:
        links = {one.name: one.linkname for one in packed if one.issym()}
        files = {one.name: packed.extractfile(one).read() for one in packed if one.isreg()}  # type: ignore[union-attr]
        assert [one.name for one in packed if one.isdir()] == ["empty", "step-5"]
        packed.extractall(tmp_path / "unpacked", filter="data")
    assert files == FILES
    assert links == {
        "latest": "step-5",
        "newest": "latest",
        "best": "step-5/weights",
        "step-5/up": "../card",
    }
    assert (tmp_path / "unpacked" / "newest" / "up").read_bytes() == b"c"


def test_plain_artifacts_and_checkpoints_have_what_links_lead_to(job_request: Make, run: Any, bucket: str) -> None:
    output = {"S3OutputPath": f"s3://{bucket}/out", "CompressionType": "NONE"}
    copy = "import shutil; shutil.copytree(model / 'step-5', base / 'checkpoints/step-5'); "
    checkpoints = "(base / 'checkpoints/step-5/up').unlink(); (base / 'checkpoints/latest').symlink_to('step-5')"
    request = job_request(
        ODD + copy + checkpoints, OutputDataConfig=output, CheckpointConfig={"S3Uri": f"s3://{bucket}/ck"}
    )
    job = run(request)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert objects(bucket, f"out/{request['TrainingJobName']}/output/model/") == FILES | THROUGH_LINKS
    assert objects(bucket, "ck/") == {"latest/weights": b"w", "step-5/weights": b"w"}


@pytest.mark.parametrize("compression", ["GZIP", "NONE"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../output", "d/../../x", "to-the-outside"])
def test_a_link_out_of_the_folder_fails_the_job(
    job_request: Make, run: Any, bucket: str, target: str, compression: str
) -> None:
    made = "m = base / 'model'; (m / 'd').mkdir(); (m / 'to-the-outside').symlink_to('d/../../input'); "
    program = made if target == "to-the-outside" else f"{made}(m / 'to-the-outside').unlink(); "
    program += f"(m / 'link').symlink_to({target!r})"
    output = {"S3OutputPath": f"s3://{bucket}/out", "CompressionType": compression}
    job = run(job_request(program, OutputDataConfig=output))
    assert job["FailureReason"].startswith("ClientError: Artifact upload failed: the link ")
    assert "leads out of its folder, to " in job["FailureReason"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == ""


@pytest.mark.parametrize("replaced", ["output/data", "output"])
def test_a_folder_that_a_program_replaces_by_a_link_is_not_read(
    job_request: Make, run: Any, tmp_path: Path, replaced: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").touch()
    program = f"import shutil; shutil.rmtree(base / {replaced!r}); (base / {replaced!r}).symlink_to({str(tmp_path)!r})"
    job = run(job_request(program))
    assert job["FailureReason"] == (
        "ClientError: Artifact upload failed: /opt/ml/output/data is a link, or below one; keep it a folder"
    )


@pytest.mark.parametrize(
    "made", ["f.symlink_to('/etc/passwd')", "f.mkdir()", "os.mkfifo(f)", "f.write_bytes(b'\\xff' * 1_000_000)"]
)
def test_a_failure_file_that_is_none_says_nothing(job_request: Make, run: Any, made: str) -> None:
    job = run(job_request(f"f = base / 'output/failure'; {made}; raise SystemExit(1)"))
    assert job["FailureReason"].endswith(", exit code: 1")
    assert "root" not in job["FailureReason"]


def test_why_the_program_failed_is_more_than_that_its_output_cannot_be_uploaded(job_request: Make, run: Any) -> None:
    job = run(job_request("(base / 'output/data/link').symlink_to('/etc'); raise SystemExit(3)"))
    assert job["FailureReason"] == "AlgorithmError: , exit code: 3"


def test_circles_end(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Path("/opt/ml/model"), tmp_path)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UploadError, match="the link a leads in a circle"):
        list(folder.files())
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "me").symlink_to("/opt/ml/model/d")
    with pytest.raises(UploadError, match="the link d/me leads to a folder that contains it"):
        list(folder.files())
    assert folder.link(tmp_path / "d" / "me") == "."


def test_what_has_no_contents_is_left_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        os.mkfifo(tmp_path / "p")
        (tmp_path / "gone").symlink_to("nowhere")
        folder = Folder(tmp_path, Path("/opt/ml/model"), tmp_path)
        assert list(folder.files()) == []
        assert [path for path, _ in folder.entries()] == ["gone"]


def test_a_name_that_s3_cannot_have_is_said(job_request: Make, run: Any, bucket: str) -> None:
    output = {"S3OutputPath": f"s3://{bucket}/out", "CompressionType": "NONE"}
    named = "open(os.fsencode(base / 'model') + b'/\\xff', 'w').close()"
    job = run(job_request(named, OutputDataConfig=output))
    assert "which a key in S3 must be; rename the file" in job["FailureReason"]
    request = job_request(named)
    assert run(request)["TrainingJobStatus"] == "Completed"  # in an archive any name is possible


def source(uri: str, kind: str = "S3Prefix") -> list[dict[str, Any]]:
    return [{"ChannelName": "c", "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}}}]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a", "a/b"], "s3://{bucket}/in/a would be a file and, for s3://{bucket}/in/a/b, a folder too"),
        (["x/y/z", "x"], "s3://{bucket}/in/x would be a file and, for s3://{bucket}/in/x/y/z, a folder too"),
        (["n" * 256], "has a part of more than 255 bytes"),
        (["\u20ac" * 86], "has a part of more than 255 bytes"),
        (["d" * 200 + "/" + "/".join(["e" * 99] * 40)], None),  # more than a path may have, but not a key
        (["a//b"], "s3://{bucket}/in/a//b has an empty name between, before or after slashes (//)"),
        (["a/../../b"], "s3://{bucket}/in/a/../../b has . or .. among its parts"),
        (["./b"], "has . or .. among its parts"),
        (["b/"], "s3://{bucket}/in/b/ has an empty name between, before or after slashes (//)"),
    ],
)
def test_keys_that_cannot_be_files_are_said(
    job_request: Make, run: Any, bucket: str, names: list[str], sentence: str | None
) -> None:
    if sentence is None:
        names = [names[0][:1000]]
        sentence = ""
    for name in names:
        boto3.client("s3").put_object(Bucket=bucket, Key=f"in/{name}", Body=b"x")
    job = run(job_request(InputDataConfig=source(f"s3://{bucket}/in/")))
    if sentence:
        told = job["FailureReason"]
        assert told.startswith("ClientError: Data download failed: s3://")
        assert sentence.replace("{bucket}", bucket) in told
    else:
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_folders_of_the_console_are_no_files(job_request: Make, run: Any, bucket: str) -> None:
    for name in ("in/", "in/d/", "in/d/x"):
        boto3.client("s3").put_object(Bucket=bucket, Key=name, Body=b"x" if name.endswith("x") else b"")
    program = "assert [f.name for f in (base / 'input/data/c').rglob('*')] == ['d', 'x']"
    assert run(job_request(program, InputDataConfig=source(f"s3://{bucket}/in/")))["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (b"\xff\xfe", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"{}", "must be a list that begins with"),
        (b"[]", "must be a list that begins with"),
        (b'["a"]', "must be a list that begins with"),
        (b'[{"prefix": 3}, "a"]', "must be a list that begins with"),
        (b'[{"prefix": ""}, "a"]', "must be a list that begins with"),
        (b'[{"prefix": "in/"}, "a"]', '"in/" is not an S3 URI'),
        (b'[{"prefix": "https://example.com/in/"}, "a"]', "is not an S3 URI"),
        (b'[{"prefix": "s3://{bucket}/in/"}, {"a": 1}]', 'lists {"a": 1}, which is not a string'),
        (b'[{"prefix": "s3://{bucket}/in/"}, "none"]', "s3://{bucket}/in/none: The specified key does not exist."),
        (
            b'[{"prefix": "s3://no-such-bucket-1/in/"}, "x"]',
            "s3://no-such-bucket-1/in/x: The specified bucket does not",
        ),
        (b'[{"prefix": "s3://{bucket}/in/"}, "../x"]', "has . or .. among its parts"),
        (b'[{"prefix": "s3://{bucket}/in/"}, "/x"]', "has an empty name between, before or after slashes (//)"),
        (b'[{"prefix": "s3://{bucket}/in/"}, "s3://{bucket}/in/x"]', "has an empty name between"),
        (b'[{"prefix": "s3://{bucket}/in/"}, "a\\u0000b"]', "has a NUL in its name"),
        (b'[{"prefix": "s3://{bucket}/in/"}, "x\\ud800"]', "is not Unicode"),
    ],
)
def test_manifests_that_cannot_be_meant_are_said(
    job_request: Make, run: Any, bucket: str, manifest: bytes, sentence: str
) -> None:
    body = manifest.replace(b"{bucket}", bucket.encode())
    boto3.client("s3").put_object(Bucket=bucket, Key="list", Body=body)
    job = run(job_request(InputDataConfig=source(f"s3://{bucket}/list", "ManifestFile")))
    told = job["FailureReason"]
    assert told.startswith("ClientError: Data download failed: ")
    assert sentence.replace("{bucket}", bucket) in told


def test_a_manifest_of_gigabytes_is_not_read(
    job_request: Make, run: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.embedded.sagemaker.execution.channels._LARGEST_MANIFEST", 1_000)
    boto3.client("s3").put_object(Bucket=bucket, Key="list", Body=b" " * 1_001)
    job = run(job_request(InputDataConfig=source(f"s3://{bucket}/list", "ManifestFile")))
    assert f"the manifest s3://{bucket}/list has 1,001 bytes; 1,000 are read at most" in job["FailureReason"]


def test_a_manifest_may_name_a_file_twice_and_its_place_by_https(job_request: Make, run: Any, bucket: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="in/x", Body=b"x")
    prefix = {"prefix": f"https://{bucket}.s3.us-east-1.amazonaws.com/in/"}
    boto3.client("s3").put_object(Bucket=bucket, Key="list", Body=json.dumps([prefix, "x", "x"]))
    request = job_request(
        "assert os.listdir(base / 'input/data/c') == ['x']",
        InputDataConfig=source(f"s3://{bucket}/list", "ManifestFile"),
    )
    assert run(request)["TrainingJobStatus"] == "Completed"


def test_slashes_in_a_row_are_pointed_at(job_request: Make, bucket: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="in/x", Body=b"x")
    with pytest.raises(Exception, match="There is // in it: an empty name between slashes"):
        boto3.client("sagemaker").create_training_job(**job_request(InputDataConfig=source(f"s3://{bucket}//in/")))


def test_a_disk_that_is_full_is_no_error_of_the_service(
    job_request: Make, run: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, aws: EmbeddedAws
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("infra.embedded.sagemaker.execution.channels.shutil.copyfileobj", full)
    boto3.client("s3").put_object(Bucket=bucket, Key="in/x", Body=b"x")
    job = run(job_request(InputDataConfig=source(f"s3://{bucket}/in/")))
    assert job["FailureReason"] == (
        f"ClientError: Data download failed: s3://{bucket}/in/x cannot be a file here: no space left on device"
    )
