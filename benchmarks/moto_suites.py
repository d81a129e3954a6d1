"""moto's own tests against plain moto's server and against the embedded AWS: what differs.

    python benchmarks/moto_suites.py --moto FOLDER [--suites sagemaker s3 ecr iam logs]

FOLDER is a checkout of https://github.com/getmoto/moto, of the version that pyproject.toml names. What its tests import
besides must be there: pip install freezegun flask flask-cors py-partiql-parser PyYAML. Each server is a process of its
own, and jobs run nothing. Printed are the tests that pass against one server only, with the error of the other; why
ours differs is in docs/embedded-aws.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from xml.etree import ElementTree as ET

from embedded_aws import Clients, embedded, moto

SUITES = ("sagemaker", "s3", "ecr", "iam", "logs")
PASSED = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moto", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--suites", nargs="+", default=SUITES, metavar="SUITE")
    parser.add_argument("--python", default=sys.executable, help="A Python that has what the tests import.")
    parser.add_argument("--select", default="", metavar="EXPRESSION", help="As pytest's -k.")
    args = parser.parse_args()
    print("| suite | tests | pass: plain moto | pass: embedded AWS | differ |\n|---|---|---|---|---|")
    differences: list[str] = []
    for suite in args.suites:
        with ThreadPoolExecutor(2) as both:
            plain, ours = both.map(lambda start, suite=suite: outcomes(start, suite, args), (moto, instant))
        differ = [name for name in plain if name in ours and (plain[name] == PASSED) != (ours[name] == PASSED)]
        passed = [sum(error == PASSED for error in found.values()) for found in (plain, ours)]
        print(f"| {suite} | {len(plain)} | {passed[0]} | {passed[1]} | {len(differ)} |", flush=True)
        differences += [f"{name}\n    {ours[name] or 'passes here only: ' + plain[name]}" for name in differ]
    print("", *differences, sep="\n")


def instant() -> AbstractContextManager[Clients]:
    return embedded("--instant", "--open")


def outcomes(
    start: Callable[[], AbstractContextManager[Clients]], suite: str, args: argparse.Namespace
) -> dict[str, str]:
    """By test: its error's first line, or PASSED. What pytest skips is left out."""
    with start() as clients, tempfile.NamedTemporaryFile(suffix=".xml") as report:
        endpoint = clients("s3").meta.endpoint_url
        environment = {"TEST_SERVER_MODE": "true", "TEST_SERVER_MODE_ENDPOINT": endpoint, "PYTHONPATH": "."}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        command = [args.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/test_{suite}"]
        command += [f"--junit-xml={report.name}", *(["-k", args.select] if args.select else [])]
        subprocess.run(command, cwd=args.moto, env=kept | environment, stdout=subprocess.DEVNULL, check=False)
        return {
            f"{case.get('classname')}::{case.get('name')}": told(case)
            for case in ET.parse(report).iter("testcase")
            if case.find("skipped") is None
        }


def told(case: ET.Element) -> str:
    for kind in ("failure", "error"):
        if (found := case.find(kind)) is not None:
            return (found.get("message") or "no message").splitlines()[0][:300]
    return PASSED


if __name__ == "__main__":
    main()
