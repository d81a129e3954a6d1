"""Clients of S3 beside the CLI and boto3."""

from pathlib import Path
from typing import Any

from clients_here import Run, command


def test_python_clients(aws: Any, bucket: str, script: Run) -> None:
    script("storage", "storage.py", bucket)


def test_rclone(aws: Any, bucket: str, run: Run, tmp_path: Path) -> None:
    settings = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_HERE_TYPE": "s3",
        "RCLONE_CONFIG_HERE_PROVIDER": "Other",  # AWS puts the name of the bucket before an address, which has none
        "RCLONE_CONFIG_HERE_ENV_AUTH": "true",
        "RCLONE_CONFIG_HERE_REGION": aws.region,
        "RCLONE_CONFIG_HERE_ENDPOINT": aws.endpoint,
    }

    def rclone(*words: object) -> str:
        return run(command("rclone"), *words, **settings)

    folder, place = tmp_path / "folder", f"here:{bucket}/folder"
    (folder / "in").mkdir(parents=True)
    (folder / "a.txt").write_text("A")
    (folder / "in" / "b ü+%.txt").write_text("B" * 100)
    (folder / "large").write_bytes(bytes(range(256)) * 50_000)
    rclone("sync", folder, place, "--s3-upload-cutoff", "5M", "--retries", "1", "--low-level-retries", "1")
    assert "0 differences found" in rclone("check", folder, place, "--download")
    assert sorted(rclone("lsf", "--recursive", place).splitlines()) == ["a.txt", "in/", "in/b ü+%.txt", "large"]
    (folder / "a.txt").unlink()
    rclone("sync", folder, place)
    rclone("moveto", f"{place}/large", f"{place}/moved")
    assert rclone("lsf", place).split() == ["in/", "moved"]
    assert rclone("cat", f"{place}/in/b ü+%.txt") == "B" * 100
    rclone("purge", place)
    assert rclone("lsf", f"here:{bucket}") == ""


def test_boto3_of_2022(aws: Any, role: str, bucket: str, script: Run) -> None:
    script("boto3-2022", "boto3_2022.py", role, bucket, aws.endpoint)
