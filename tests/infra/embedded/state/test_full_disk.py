"""A disk that is full, and an upload that is cut off: errors to the client, and no changes."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aws_process import JOB, TRUST, AwsProcess, described, quota_code, serving, without_request
from botocore.exceptions import ClientError


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own with 3 MB."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def put_or_told(s3: Any, key: str) -> dict[str, Any] | None:
    """Put an object; the error's answer where that is refused."""
    try:
        s3.put_object(Bucket="kept", Key=key, Body=bytes(100_000))
    except ClientError as error:
        told: dict[str, Any] = error.response
        return told
    return None


def fill_up(file: Path) -> None:
    """Leave no room on its disk."""
    with open(file, "ab", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(4096))


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        options = ("--instant", "--state", str(disk / "state"))
        filler = disk / "filler"
        with serving(*options) as aws:
            s3, sagemaker = aws("s3"), aws("sagemaker")
            s3.create_bucket(Bucket="kept")
            aws("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument=TRUST)
            sagemaker.create_training_job(**JOB)
            before = described(aws)
            filler.write_bytes(bytes(2 << 20))
            put = []
            while (told := put_or_told(s3, str(len(put)))) is None:
                put.append(str(len(put)))
            assert put
            assert told["ResponseMetadata"]["HTTPStatusCode"] == 500
            assert told["Error"]["Code"] == "InternalError"
            assert told["Error"]["Message"] == (
                f"We encountered an internal error: the change cannot be kept in {disk / 'state'} "
                "(no space left on device); free some space and try again."
            )
            fill_up(filler)
            quotas, quota = aws("service-quotas"), {"ServiceCode": "sagemaker", "QuotaCode": quota_code(aws)}
            with suppress(ClientError):  # the journal's last page takes some short records more
                for value in range(100, 1_000):
                    quotas.request_service_quota_increase(**quota, DesiredValue=value)
            assert quotas.get_service_quota(**quota)["Quota"]["Value"] == value - 1
            refusals: list[Callable[[], Any]] = [
                lambda: s3.put_object(Bucket="kept", Key="late", Body=bytes(8192)),
                lambda: s3.delete_object(Bucket="kept", Key="0"),
                lambda: aws("iam").delete_role(RoleName="trainer"),
                lambda: aws("ssm").put_parameter(Name="/p", Value="v" * 4000, Type="String"),
                lambda: sagemaker.create_training_job(**JOB | {"TrainingJobName": "late"}),
                lambda: sagemaker.delete_training_job(TrainingJobName="job"),
                lambda: sagemaker.add_tags(
                    ResourceArn=before["TrainingJobArn"], Tags=[{"Key": "late", "Value": "v" * 200}] * 20
                ),
            ]
            for refusal in refusals:
                with pytest.raises(ClientError, match="no space left on device"):
                    refusal()

            def check(aws: AwsProcess) -> None:
                assert [one["Key"] for one in aws("s3").list_objects_v2(Bucket="kept")["Contents"]] == sorted(put)
                assert [one["RoleName"] for one in aws("iam").list_roles()["Roles"]] == ["trainer"]
                assert aws("ssm").describe_parameters()["Parameters"] == []
                assert without_request(described(aws)) == without_request(before)
                assert len(aws("sagemaker").list_training_jobs()["TrainingJobSummaries"]) == 1
                assert aws("sagemaker").list_tags(ResourceArn=before["TrainingJobArn"])["Tags"] == []
                assert aws("service-quotas").get_service_quota(**quota)["Quota"]["Value"] == value - 1

            check(aws)
            aws.end(signal.SIGKILL)
        with serving(*options) as aws:  # the disk is still full
            check(aws)
            filler.unlink()
            aws("s3").put_object(Bucket="kept", Key="0", Body=b"again")
            assert "no snapshot can be made (no space left on device)" in aws.end(signal.SIGTERM)
        with serving(*options) as aws:
            check(aws)
            assert aws("s3").get_object(Bucket="kept", Key="0")["Body"].read() == b"again"


def test_an_upload_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    import http.client
    from urllib.parse import urlsplit

    with serving("--instant", "--state", str(tmp_path / "state")) as aws:
        aws("s3").create_bucket(Bucket="kept")
        address = aws("s3").generate_presigned_url("put_object", Params={"Bucket": "kept", "Key": "k"})
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.netloc)
        connection.putrequest("PUT", f"{parts.path}?{parts.query}")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"x" * 50)
        assert connection.sock
        connection.sock.shutdown(1)
        assert connection.getresponse().status == 400
        assert "Contents" not in aws("s3").list_objects_v2(Bucket="kept")
