"""What whoever trains is granted, against the calls that storage, sweeps, logs, doctor and push make."""

import json

import aws_here
import boto3
import pytest
from aws_calls import Needed, Recorder, allows, granted

from ahx.errors import ServiceError
from entrypoints.main import main
from infra import ecr, storage
from infra.embedded import remote
from infra.launch.backends.backend import Manifest
from infra.launch.backends.sagemaker import SageMakerBackend
from infra.launch.job_request import JobTemplate, job_name, training_job
from infra.provision import policies
from infra.provision.bucket import Bucket
from infra.provision.log_group import LogGroup
from infra.provision.repository import IMAGE_PULL, IMAGE_PUSH, Repository
from infra.provision.stack_id import StackId
from infra.provision.training_jobs import SAGEMAKER_LOG_GROUP
from infra.storage import Location
from run_logs.cloudwatch import Stream

STACK_ID = StackId("123456789012", aws_here.REGION)
BUCKET, LOG_GROUP = Bucket(STACK_ID), LogGroup(STACK_ID)
BIG = 20 << 20  # bytes; enough to be sent in parts

# Made in the hope that it is allowed; a refusal is no error, because `ahx infra apply` has made the group.
TRIED = {Needed("logs:CreateLogGroup", f"{LOG_GROUP.arn}:*")}


@pytest.fixture
def user(monkeypatch):
    """The environment of a user with the policy, in an account where everything stands; gives an administrator's
    clients."""
    with aws_here.serving() as address:
        aws_here.empty(address)
        for name, value in aws_here.settings(address).items():
            monkeypatch.setenv(name, value)
        session = boto3.Session(region_name=aws_here.REGION)
        assert main(["infra", "apply", "--yes"]) == 0
        iam = session.client("iam")
        iam.create_user(UserName="ann")
        iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=json.dumps(policies.user(STACK_ID)))
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield session.client


def use_storage(tmp_path):
    client, folder = storage.client(), Location(BUCKET.name, "data/one")
    small, big = tmp_path / "small", tmp_path / "big"
    small.write_bytes(b"x")
    big.write_bytes(bytes(BIG))
    files = [(small, folder / "small"), (big, folder / "big")]
    storage.upload(client, files, "data")
    storage.write(client, folder / "note", b"y")
    assert storage.read(client, folder / "note") == b"y"
    assert storage.read(client, folder / "none") is None
    found = storage.under(client, folder)
    storage.download(client, BUCKET.name, [(one, tmp_path / "back" / one.key) for one in found], "data")
    storage.delete(client, [place for _, place in files])
    remote.post("faults", {"kind": "denied", "operation": "UploadPart"})
    with pytest.raises(ServiceError):
        storage.upload(client, files, "data")  # ... which takes back the parts that have arrived
    remote.delete("faults")


def use_jobs(logs, tmp_path):
    place = SageMakerBackend(STACK_ID)
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ahx-transformer@sha256:" + "0" * 64
    setting = JobTemplate("s1", STACK_ID, image, "sha256:0")
    with pytest.raises(ServiceError, match="ahx push"):
        place.image(None)
    (tmp_path / "data").write_text("A,AA\n")
    address = place.share([tmp_path / "data"], "0123")
    assert place.slots(setting) > 0
    place.write_manifest("s1", Manifest([setting], [], {}))
    assert place.read_manifest("s1") is not None
    assert place.sweeps() == ["s1"]
    name = job_name(setting, {"rule": "double_a"})
    place.submit(training_job(setting, name, address))
    assert name in place.jobs("s1")
    place.stop(name)
    logs.create_log_group(logGroupName=SAGEMAKER_LOG_GROUP)
    logs.create_log_stream(logGroupName=SAGEMAKER_LOG_GROUP, logStreamName=f"{name}/algo-1")
    place.log(name, None)


def use_logs():
    stream = Stream(LOG_GROUP.name, "run-1")
    stream.prepare()
    stream.put([{"timestamp": 0, "message": "x"}])


def test_every_call_is_allowed_and_no_action_is_granted_in_vain(user, tmp_path, monkeypatch):
    recorder, logs = Recorder(), user("logs")  # SageMaker's part in it is not recorded
    with recorder.recording():
        use_storage(tmp_path)
        use_jobs(logs, tmp_path)
        use_logs()
        assert ecr.with_tag(Repository(STACK_ID), "none") is None
        ecr.registry(Repository(STACK_ID))
        main(["infra", "doctor"])
        remote.post("faults", {"kind": "denied", "operation": "SimulatePrincipalPolicy"})
        main(["infra", "doctor"])  # with its other way to find out
    # doctor asks for this stack's bucket in all regions: the answers say enough without being allowed.
    elsewhere = {f"arn:aws:s3:::{BUCKET.name.removesuffix(BUCKET.region)}{r}" for r in regions()} - {BUCKET.arn}
    needed = {one for one in recorder.needed(STACK_ID.account) if one.resource not in elsewhere} - TRIED
    policy = json.loads(json.dumps(policies.user(STACK_ID)).replace("${aws:username}", "ann"))
    assert [one for one in needed if not allows(policy, one)] == []
    docker = {*IMAGE_PULL, *IMAGE_PUSH}  # calls that Docker makes, which cannot be recorded here
    assert granted(policy) - {one.action for one in needed} - docker == set()


def regions():
    return boto3.Session().get_available_regions("sagemaker")
