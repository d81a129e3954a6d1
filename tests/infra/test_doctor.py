"""`ahx infra doctor`: each ailment is found, and named with a next step."""

import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import time

import aws_here
import boto3
import pytest

from entrypoints.main import main
from infra.embedded import remote
from infra.provision import policies, training_jobs
from infra.provision.repository import Repository
from infra.provision.stack_id import StackId

STACK_ID = StackId("123456789012", aws_here.REGION)


@pytest.fixture(scope="module")
def address():
    with aws_here.serving(quotas={"ml.p3.2xlarge": 0}) as address:
        yield address


@pytest.fixture
def aws(address, monkeypatch):
    """Clients of an administrator. The environment is a user's, who has what `ahx infra policy user` prints."""
    aws_here.empty(address)
    remote_settings = aws_here.settings(address)
    for name, value in remote_settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    session = boto3.Session(region_name=aws_here.REGION)
    iam = session.client("iam")
    iam.create_user(UserName="ann")
    grant(iam, policies.user(STACK_ID))
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    yield session.client
    remote.delete("faults")


def grant(iam, policy):
    iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=json.dumps(policy))


@pytest.fixture
def doctor(capsys):
    """The exit code, and all findings by check: (level, text, next step)."""

    def examine(*words):
        capsys.readouterr()
        code = main(["infra", "doctor", "--json", *words])
        found = {}
        for one in json.loads(capsys.readouterr().out):
            found.setdefault(one["check"], []).append((one["level"], one["text"], one["next_step"]))
        return code, found

    return examine


def test_all_is_well(aws, doctor, capsys):
    main(["infra", "apply", "--yes"])
    digest = "sha256:" + "0" * 64
    manifest = {"schemaVersion": 2, "mediaType": "x", "config": {"size": 1, "digest": digest}, "layers": []}
    aws("ecr").put_image(repositoryName=Repository(STACK_ID).name, imageManifest=json.dumps(manifest), imageTag="one")
    code, found = doctor("--image", "not-on-this-machine:x")
    assert code == 0
    assert {check: one[0][0] for check, one in found.items()} == {
        "credentials": "ok",
        "clock": "ok",
        "region": "ok",
        "permissions": "ok",
        "quotas": "ok",
        "image": "ok",
        "docker": "warning",
    }
    actions = {action for statement in policies.user(STACK_ID)["Statement"] for action in statement["Action"]}
    assert f"All {len(actions)} actions" in found["permissions"][0][1]
    assert main(["infra", "doctor", "--image", "not-on-this-machine:x"]) == 0
    assert capsys.readouterr().out.startswith("ok      credentials: You are arn:aws:iam::123456789012:user/ann in")


def test_a_missing_permission_is_named_with_its_resource(aws, doctor):
    policy = policies.user(STACK_ID)
    policy["Statement"][0]["Action"].remove("sagemaker:CreateTrainingJob")
    grant(aws("iam"), policy)
    code, found = doctor()
    assert code == 1
    assert found["permissions"] == [
        (
            "problem",
            f"Not allowed on {training_jobs.arns(STACK_ID)}: sagemaker:CreateTrainingJob (by IAM's policy simulation).",
            "have an administrator grant what `ahx infra policy user` prints",
        )
    ]


def test_where_simulation_is_denied_reads_are_tried(aws, doctor):
    remote.post("faults", {"kind": "denied", "operation": "SimulatePrincipalPolicy"})
    code, found = doctor()
    assert found["permissions"][0][1].startswith("All 5 actions that were tried are allowed (by calls that only read")
    remote.post("faults", {"kind": "denied", "operation": "ListTrainingJobs"})
    code, found = doctor()
    assert code == 1
    assert found["permissions"][0][1].startswith("Not allowed on *: sagemaker:ListTrainingJobs (by calls that only")


def test_what_seems_missing_is_in_another_region(aws, doctor, monkeypatch):
    assert doctor()[1]["region"][0][2] == "run `ahx infra apply`"
    main(["infra", "apply", "--yes", "--region", "us-west-2"])
    code, found = doctor()
    assert code == 1
    assert found["region"] == [
        (
            "problem",
            "There is nothing of 'ahx' in eu-west-1 (from AWS_REGION), but there is in us-west-2:"
            " jobs and logs that seem to be missing are there.",
            "set AWS_REGION=us-west-2",
        )
    ]
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert doctor()[1]["region"][0][:2] == (
        "warning",
        "AWS_REGION is eu-west-1 but AWS_DEFAULT_REGION is us-west-2; ahx takes the first, boto3 the second.",
    )
    assert doctor("--region", "us-west-2")[1]["region"][-1][1] == "The stack 'ahx' is in us-west-2 (from --region)."


def test_quotas(aws, doctor):
    code, found = doctor("--instance-type", "ml.p3.2xlarge", "--instance-type", "ml.none")
    assert code == 1
    zero, unknown = found["quotas"]
    assert zero[1] == "The quota of ml.p3.2xlarge for training is 0 in eu-west-1: every job would be refused."
    assert zero[2].startswith("ask for more at https://eu-west-1.console.aws.amazon.com/servicequotas/")
    assert unknown[1] == "SageMaker has no quota for ml.none."


def test_no_image_and_no_docker(aws, doctor, monkeypatch):
    main(["infra", "apply", "--yes"])
    monkeypatch.setenv("PATH", "")
    found = doctor()[1]
    assert found["image"][0][2] == "run `ahx push --image ahx-transformer:dev`"
    assert found["docker"][0][1] == "There is no docker command here."


def test_no_credentials(aws, doctor, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    code, found = doctor()
    assert code == 1
    assert found["credentials"][0][2].startswith("run `aws configure`")
    assert set(found) == {"credentials", "docker"}


class Late(BaseHTTPRequestHandler):
    """AWS's answer to a request whose signature is too old for it: its own clock is ten minutes ahead."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"""<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>
            <Message>Signature expired</Message></Error></ErrorResponse>"""
        self.send_response_only(403)
        self.send_header("Date", formatdate(time() + 600, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def test_a_wrong_clock_is_told_from_wrong_credentials(doctor, monkeypatch):
    with HTTPServer(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for name, value in aws_here.settings(f"http://127.0.0.1:{server.server_port}").items():
            monkeypatch.setenv(name, value)
        code, found = doctor()
        server.shutdown()
    assert code == 1
    assert found["clock"] == [
        (
            "problem",
            "This machine's clock is 10 minutes behind AWS's, which refuses more than 5.",
            "set it; with systemd: timedatectl set-ntp true",
        )
    ]
