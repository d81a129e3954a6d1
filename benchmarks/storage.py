"""Transfers to and from S3 beside those of the AWS CLI: a file of 2 GB, and 5,000 small ones.

    python -m venv build/awscli && build/awscli/bin/pip install awscli
    python benchmarks/storage.py --aws build/awscli/bin/aws

The server is an `ahx aws` on this machine, so both share its processors and neither has a network to wait for: what
differs is what each client costs. They take turns; a number is the median of the turns. Then each transfer is killed
in the middle, and what is left is looked at.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from served import AHX, served

BUCKET = "bench-storage"
SMALL_BYTES = 4096


def python(code: str) -> list[str]:
    """A command of ours, with the start of Python and boto3 in it, as the CLI's has its own."""
    return [sys.executable, "-c", f"from pathlib import Path; from infra import locations, storage; {code}"]


def timed(command: list[str]) -> float:
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def empty(bucket: object) -> None:
    bucket.objects.delete()  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aws", required=True, help="the AWS CLI to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--files", type=int, default=5000)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ahx-bench-", dir="."))
    try:
        with served(*AHX, "aws", "--port", "0", "--process"):
            measure(args, folder.resolve())
    finally:
        shutil.rmtree(folder)


def measure(args: argparse.Namespace, folder: Path) -> None:
    import boto3

    bucket = boto3.resource("s3").Bucket(BUCKET)
    bucket.create()
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    big, many = folder / "big", folder / "many"
    big.mkdir()
    many.mkdir()
    block = os.urandom(2**20)
    with open(big / "config.json", "wb") as file:
        file.writelines(block for _ in range(args.megabytes))
    for number in range(args.files - 1):
        (many / f"{number:05}.txt").write_bytes(os.urandom(SMALL_BYTES))
    (many / "config.json").write_bytes(b"{}")

    for name, source, unit in ((f"one file of {args.megabytes:,} MB", big, "MB/s"),
                               (f"{args.files:,} files of {SMALL_BYTES:,} bytes", many, "files/s")):  # fmt: skip
        amount = args.megabytes * 1.048576 if source is big else args.files
        place, back = f"s3://{BUCKET}/{source.name}", folder / "back"
        commands: dict[str, tuple[list[str], list[str]]] = {
            "ahx": (
                python(f"locations.publish_run({str(source)!r}, {place!r}, True)"),
                python(f"locations.model({place!r})"),
            ),
            "aws": (
                [args.aws, "s3", "cp", "--recursive", "--only-show-errors", str(source), place],
                [args.aws, "s3", "cp", "--recursive", "--only-show-errors", place, str(back)],
            ),
        }
        times: dict[tuple[str, str], list[float]] = {(who, way): [] for who in commands for way in ("up", "down")}
        for _ in range(args.rounds):
            for who, (up, down) in commands.items():
                empty(bucket)
                times[who, "up"].append(timed(up))
                shutil.rmtree(back, ignore_errors=True)
                shutil.rmtree(folder / "cache", ignore_errors=True)
                times[who, "down"].append(timed(down))
        for way in ("up", "down"):
            ours, theirs = (amount / statistics.median(times[who, way]) for who in ("ahx", "aws"))
            print(f"{name}, {way}: ahx {ours:,.0f} {unit}, aws {theirs:,.0f} {unit}, ratio {ours / theirs:.2f}")
        killed(source, place, *commands["ahx"], bucket, folder)


def killed(source: Path, place: str, up: list[str], down: list[str], bucket: object, folder: Path) -> None:
    """Kill both transfers in the middle, and see what is to be had then."""
    from ahx.errors import AhxError
    from infra import locations

    seconds = timed(up)
    kill_after(up, seconds / 2)
    try:
        locations.model(place)
        said = "A MODEL IS TO BE HAD"
    except AhxError as error:
        said = str(error)
    print(f"  upload killed after {seconds / 2:.1f} s: {said}")
    subprocess.run(up, check=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    seconds = timed(down)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    kill_after(down, seconds / 2)
    homes = list((folder / "cache" / "ahx" / "s3").glob("[!.]*"))
    print(f"  download killed after {seconds / 2:.1f} s: {len(homes)} folders that look whole")
    fetched = Path(locations.model(place))
    same = all((fetched / path.name).stat().st_size == path.stat().st_size for path in source.iterdir())
    print(f"  and again: {'whole' if same else 'NOT WHOLE'}")


def kill_after(command: list[str], seconds: float) -> None:
    process = subprocess.Popen(command)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()
