"""Transfers with a real S3 server on the other side of a real, sometimes bad, connection."""

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from hostile_archives import chain_of_links
from moto.server import ThreadedMotoServer

from ahx.data.files.names import resolve_infile
from ahx.errors import AhxError
from entrypoints.main import main
from infra import locations, storage
from infra.storage import Location

BUCKET = "shelf"

# botocore leaves the socket of an answer that was cut short to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Wire:
    """A connection to `port` that can be slowed down, or cut after a number of bytes."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.bytes_per_second = 0.0  # of answers and of requests; 0 is as fast as it gets
        self.cuts: list[int] = []  # bytes of answer after which the next connections end
        self.answered = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            cut = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self._pass, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, cut), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, cut: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := source.recv(16384):
                if cut is not None and passed + len(chunk) > cut:
                    sink.sendall(chunk[: cut - passed])
                    break
                if self.bytes_per_second:
                    time.sleep(len(chunk) / self.bytes_per_second)
                sink.sendall(chunk)
                passed += len(chunk)
                self.answered += len(chunk)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def wire(server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The way to an empty bucket; the client's environment leads there, and its cache is empty."""
    wire = Wire(server)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{wire.port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.resource("s3", endpoint_url=f"http://127.0.0.1:{server}").Bucket(BUCKET)
    bucket.create()
    yield wire
    wire.listener.close()
    gc.collect()
    bucket.objects.delete()
    bucket.delete()


def put(key: str, contents: bytes) -> None:
    storage.write(storage.client(), Location(BUCKET, key), contents)


def keys() -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [one["Key"] for one in found]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def in_a_process(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)


def eventually(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("it never came to that")


def test_what_a_place_stands_for(wire: Wire) -> None:
    for name in ("da_train.txt", "da_val.txt", "da", "other/x.txt"):
        put(f"data/{name}", b"A,AA\n")
    local = Path(locations.data(f"s3://{BUCKET}/data/da"))
    assert (local.name, files(local.parent)) == ("da", ["da"])  # an object of just this name counts first
    storage.delete(storage.client(), [Location(BUCKET, "data/da")])
    for place in ("data/da", "data/da_train.txt"):
        local = Path(locations.data(f"s3://{BUCKET}/{place}"))
        assert files(local.parent) == ["da_train.txt", "da_val.txt"]
    assert locations.data("data/da") == "data/da"
    for name in ("train-0.csv.gz", "train-1.csv.gz", "val-0.csv.gz"):
        put(f"parts/{name}", b"A,AA\n")
    put("parts/deeper/x.csv", b"A,AA\n")
    for place in ("parts", "parts/*-?.csv.gz"):
        train, val, _ = resolve_infile(locations.data(f"s3://{BUCKET}/{place}"))
        assert ([path.name for path in train], len(val)) == (["train-0.csv.gz", "train-1.csv.gz"], 1)


def test_what_has_not_changed_is_not_fetched_again(wire: Wire) -> None:
    put("big.txt", b"A,AA\n" * 400_000)
    first = locations.data(f"s3://{BUCKET}/big.txt")
    before = wire.answered
    assert locations.data(f"s3://{BUCKET}/big.txt") == first
    assert wire.answered - before < 100_000
    put("big.txt", b"B,BB\n" * 400_000)
    assert Path(locations.data(f"s3://{BUCKET}/big.txt")).read_bytes() == b"B,BB\n" * 400_000


def test_a_truncated_copy_in_the_cache_is_noticed(wire: Wire) -> None:
    put("x.txt", b"A,AA\n")
    Path(locations.data(f"s3://{BUCKET}/x.txt")).write_bytes(b"")
    assert Path(locations.data(f"s3://{BUCKET}/x.txt")).read_bytes() == b"A,AA\n"


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("s3://nowhere-at-all/x", "cannot read s3://nowhere-at-all/x: there is no such bucket; check the name, or"),
        (f"s3://{BUCKET}/x", f"there is no s3://{BUCKET}/x_train.txt and no object s3://{BUCKET}/x; upload it, or"),
        (f"s3://{BUCKET}", f"'s3://{BUCKET}' is not a location in S3; write it as s3://BUCKET/KEY"),
    ],
)
def test_a_place_that_does_not_exist(place: str, sentence: str, wire: Wire) -> None:
    with pytest.raises(AhxError) as error:
        locations.data(place)
    assert str(error.value).startswith(sentence)


def test_a_server_that_does_not_answer(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(AhxError, match=r"cannot read s3://shelf/x: http://127.0.0.1:9 does not answer; check"):
        locations.data(f"s3://{BUCKET}/x")


def test_keys_that_would_leave_the_folder(wire: Wire, tmp_path: Path) -> None:
    put("runs/x/config.json", b"{}")
    put("runs/x/../../../evil", b"evil")
    with pytest.raises(AhxError, match="cannot be a file's name"):
        locations.model(f"s3://{BUCKET}/runs/x")
    assert not list(tmp_path.rglob("evil"))


def test_dropped_connections_are_taken_up_again(wire: Wire, tmp_path: Path) -> None:
    contents = os.urandom(20_000_000)
    put("big.txt", contents)
    wire.cuts = [10_000_000, 2_000_000, 500_000, 3_000_000]
    place = Location(BUCKET, "big.txt")
    client = storage.client()
    wanted = [storage.Object(place.key, len(contents), _etag(client, place))]
    folder = storage.fetch(client, BUCKET, wanted, "", "big")
    assert not wire.cuts
    assert (folder / "big.txt").read_bytes() == contents


def test_a_connection_that_always_drops_is_a_sentence(wire: Wire, tmp_path: Path) -> None:
    put("big.txt", os.urandom(9_000_000))
    client, place = storage.client(), Location(BUCKET, "big.txt")
    wanted = [storage.Object(place.key, 9_000_000, _etag(client, place))]
    wire.cuts = [100_000] * 200
    with pytest.raises(AhxError, match="cannot fetch big: ") as error:
        storage.fetch(storage.client(), BUCKET, wanted, "", "big")
    assert "\n" not in str(error.value)
    assert [name for name in files(tmp_path / "cache") if not name.endswith(".lock")] == []


def test_a_file_that_changes_while_it_is_fetched_is_refused(wire: Wire) -> None:
    put("x.txt", b"A" * 9_000_000)  # comes in parts, which must be parts of the same
    old = storage.Object("x.txt", 9_000_000, _etag(storage.client(), Location(BUCKET, "x.txt")))
    put("x.txt", b"B" * 9_000_000)
    with pytest.raises(AhxError, match="it was changed meanwhile"):
        storage.fetch(storage.client(), BUCKET, [old], "", "x.txt")


def test_a_download_killed_in_the_middle_leaves_nothing_to_be_taken_for_whole(wire: Wire, tmp_path: Path) -> None:
    for number in range(30):
        put(f"runs/x/part-{number:02}", b"x" * 200_000)
    put("runs/x/config.json", b"{}")
    wire.bytes_per_second, before = 1_000_000, wire.answered
    process = in_a_process(f"from infra import locations; locations.model('s3://{BUCKET}/runs/x')")
    eventually(lambda: wire.answered > before + 1_000_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = [name for name in files(tmp_path / "cache") if not name.endswith(".lock")]
    assert left
    assert all(".partial/" in name for name in left)
    wire.bytes_per_second = 0
    folder = Path(locations.model(f"s3://{BUCKET}/runs/x"))
    assert len(files(folder)) == 31
    assert {path.stat().st_size for path in folder.glob("part-*")} == {200_000}
    assert len(list(folder.parent.glob("*"))) == 2  # the folder and its lock: what was left is gone


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_model_that_is_uploaded_in_part_is_refused(number: signal.Signals, wire: Wire, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    for name in range(20):
        (run / f"part-{name:02}").write_bytes(b"x" * 200_000)
    place = f"s3://{BUCKET}/runs/x"
    locations.publish_run(str(run), place, finished=True)
    assert len(keys()) == 21
    wire.bytes_per_second, before = 200_000, wire.answered
    process = in_a_process(f"from infra import locations; locations.publish_run({str(run)!r}, {place!r}, True)")
    eventually(lambda: wire.answered > before + 500_000)
    process.send_signal(number)
    process.communicate()
    with pytest.raises(
        AhxError, match=r"is not a model, or only a part of one: it has no config.json; upload it again"
    ):
        locations.model(place)
    wire.bytes_per_second = 0
    locations.publish_run(str(run), place, finished=True)
    assert len(files(Path(locations.model(place)))) == 21


def test_a_job_s_archive(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "config.json", "config.json")
    packed = (tmp_path / "model.tar.gz").read_bytes()
    put("output/ahx-1/output/model.tar.gz", packed)
    for place in ("output/ahx-1", "output/ahx-1/output", "output/ahx-1/output/model.tar.gz"):
        assert files(Path(locations.model(f"s3://{BUCKET}/{place}"))) == ["config.json"]
    put("output/ahx-1/output/model.tar.gz", packed[:-20])
    with pytest.raises(AhxError, match="is not a whole archive of a model"):
        locations.model(f"s3://{BUCKET}/output/ahx-1")
    put("output/ahx-1/output/model.tar.gz", chain_of_links())
    with pytest.raises(AhxError, match=r"model.tar.gz holds 'a', which is not a regular file"):
        locations.model(f"s3://{BUCKET}/output/ahx-1")


def test_every_verb_takes_places_in_s3(wire: Wire, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, run, longer = (f"s3://{BUCKET}/{name}" for name in ("data/da", "runs/da", "runs/longer"))
    train = ["train", "--infile", data, "--max-steps", "10", "--val-samples", "50"]
    assert main(["gen-data", "--rule", "double_a", "--num-samples", "500", data]) == 0
    assert f"Wrote {data}_train.txt (450 lines) and {data}_val.txt (50 lines)." in capfd.readouterr().out
    assert main([*train, "--model-out", run]) == 0
    assert f"Uploaded to {run}. The checkpoints are kept in runs/{BUCKET}/runs/da/checkpoints" in capfd.readouterr().out
    assert {"runs/da/config.json", "runs/da/metrics.jsonl", "runs/da/model.safetensors"} <= set(keys())
    assert main([*train, "--model-in", run, "--model-out", longer]) == 0
    assert main(["eval", "--model", longer, "--data", data]) == 0
    assert "50" in capfd.readouterr().out


def test_a_study_in_s3_is_reported_and_continued_elsewhere(
    wire: Wire, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = f"s3://{BUCKET}/studies/da"
    small = "--seeds 1 --max-steps 60 --max-len 4 --until-exact 100 --n-layer 1 --n-head 2 --batch-size 16"
    fixed = [*small.split(), "--learning-rate", "3e-3", "--muon-learning-rate", "0.02", "--lengths", "2"]
    study = ["study", "double_a", "--on", "process", *fixed, "--budget", "1 trial", "--to", place]
    assert main(study) == 0
    assert f"study.csv are in {place}" in re.sub("csv.*are", "csv are", capfd.readouterr().out)
    assert {"studies/da/study.json", "studies/da/study.csv"} <= set(keys())
    another = tmp_path / "another"
    another.mkdir()
    os.chdir(another)
    assert main(study) == 0
    record = storage.read(storage.client(), Location(BUCKET, "studies/da/study.json"))
    assert len(json.loads(record or "")["trials"]) == 2
    os.chdir(tmp_path)  # the first machine again, whose own copy has one trial
    assert main(study) == 0
    record = storage.read(storage.client(), Location(BUCKET, "studies/da/study.json"))
    assert len(json.loads(record or "")["trials"]) == 3
    assert main(["report", place, "--to", f"s3://{BUCKET}/page.html"]) == 0
    assert b"Study of double_a" in (storage.read(storage.client(), Location(BUCKET, "page.html")) or b"")
    assert not (another / "s3:").exists()


def test_a_signal_uploads_the_checkpoint_and_another_machine_goes_on(wire: Wire, tmp_path: Path) -> None:
    place = f"s3://{BUCKET}/runs/da"
    command = f"train --rule double_a --max-steps 100000 --warmup-steps 1 --eval-interval 0.1 --model-out {place}"
    code = f"import sys; from entrypoints.main import main; sys.exit(main({command.split()!r}))"
    process = in_a_process(code)
    eventually(lambda: bool(list(tmp_path.glob("runs/**/metrics.jsonl"))))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    step = max(path.name for path in tmp_path.glob("runs/**/step-*"))
    assert f"runs/da/checkpoints/{step}/config.json" in keys()
    another = tmp_path / "another"
    another.mkdir()
    os.chdir(another)
    assert main([*command.replace("100000", str(int(step[5:]) + 5)).split(), "--resume"]) == 0
    assert [key for key in keys() if "checkpoints" in key] == []
    assert "runs/da/config.json" in keys()


def _etag(client: object, place: Location) -> str:
    found = storage.at(client, place)
    assert found is not None
    return found.etag
