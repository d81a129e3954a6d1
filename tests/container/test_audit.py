"""`make audit`, with a database of vulnerabilities of our own on this machine."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def database(known: dict[str, str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """OSV's query API, with vulnerabilities by package: its address, and a list of what it is asked for."""
    asked: list[tuple[str, str]] = []

    class Osv(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked.append((name, query["version"]))
            affected = {"package": {"name": name, "ecosystem": "PyPI"}, "versions": [query["version"]], "ranges": []}
            found = {"id": known.get(name), "aliases": [], "affected": [affected], "summary": "bad"}
            body = json.dumps({"vulns": [found] if name in known else []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query", asked
        server.shutdown()


def audit(url: str) -> "subprocess.CompletedProcess[str]":
    command = ["container/audit.sh", "--osv-url", url]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def test_every_locked_package_is_looked_up():
    with database({}) as (url, asked):
        done = audit(url)
    assert done.returncode == 0, done.stderr
    locks = "\n".join(lock.read_text("utf-8") for lock in Path("container").glob("*.lock"))
    locked = {line.split(" ")[0].partition("+")[0] for line in locks.splitlines() if "==" in line and line[0].isalpha()}
    assert {f"{name}=={version}" for name, version in asked} == locked


def test_what_is_known_is_told():
    with database({"torch": "PYSEC-2030-1"}) as (url, _):
        done = audit(url)
    assert done.returncode == 1
    assert "PYSEC-2030-1" in done.stdout


def test_a_database_that_is_out_of_reach_is_no_good_news():
    done = audit("http://127.0.0.1:9/v1/query")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("audit.sh: error: nothing was checked: ")
