"""`ahx infra plan | apply | destroy | policy`: what is printed, asked, refused, and the exit codes."""

import json

import aws_here
import boto3
import pytest
from aws_calls import Recorder

from entrypoints.main import main
from infra.embedded import remote
from infra.launch.job_request import JobTemplate, job_name, training_job
from infra.provision.bucket import Bucket
from infra.provision.stack_id import StackId

BUCKET, ROLE, REPOSITORY = "ahx-123456789012-eu-west-1", "ahx-training-eu-west-1", "ahx-transformer"
SAGEMAKER_GROUP = "/aws/sagemaker/TrainingJobs"
READS = ("Get", "List", "Describe", "Head")


@pytest.fixture
def ahx(aws, capsys):
    """Runs `ahx infra ...`: the exit code, what was printed, and the error."""

    def run(*words):
        code = main(["infra", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def faults(aws):
    """Adds a fault to those in force; they end with the test."""
    yield lambda **fault: remote.post("faults", fault)
    remote.delete("faults")


def writes(recorder):
    return [operation for _, operation, _, _ in recorder.calls if not operation.startswith(READS)]


def test_from_nothing_to_everything_and_back(aws, ahx):
    aws("logs").create_log_group(logGroupName=SAGEMAKER_GROUP)
    code, printed, _ = ahx("plan")
    assert code == 2
    assert printed.splitlines()[:2] == ["account     123456789012", "region      eu-west-1 (partition aws)"]
    assert "\n+ bucket ahx-123456789012-eu-west-1: create\n" in printed
    assert "8 to create, 0 to change, 0 in place." in printed

    code, printed, _ = ahx("apply", "--yes", "--email", "me@example.org", "--budget", "50")
    assert code == 0
    assert "set policy of bucket ahx-123456789012-eu-west-1\n" in printed
    assert "me@example.org a mail" in printed

    assert ahx("plan")[0] == 0
    recorder = Recorder()
    with recorder.recording():
        code, printed, _ = ahx("apply", "--yes")
    assert code == 0
    assert recorder.calls
    assert writes(recorder) == []

    assert ahx("destroy", "--yes")[0] == 0
    assert ahx("destroy", "--yes")[1].startswith("There is nothing of 'ahx'")
    assert aws("s3").list_buckets()["Buckets"] == []
    assert aws("iam").list_roles()["Roles"] == []
    assert aws("ecr").describe_repositories()["repositories"] == []
    assert aws("events").list_rules()["Rules"] == []
    for region in ("eu-west-1", "us-east-1"):
        assert aws("cloudwatch", region).describe_alarms()["MetricAlarms"] == []
        assert aws("sns", region).list_topics()["Topics"] == []
    assert aws("cloudwatch").list_dashboards()["DashboardEntries"] == []
    assert aws("budgets").describe_budgets(AccountId="123456789012")["Budgets"] == []
    groups = aws("logs").describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in groups] == [SAGEMAKER_GROUP]


def test_drift_is_shown_where_it_is(aws, ahx):
    ahx("apply", "--yes")
    aws("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    trust = json.loads(json.dumps(aws("iam").get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]))
    trust["Statement"][0]["Condition"]["StringEquals"]["aws:SourceAccount"] = "666666666666"
    aws("iam").update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(trust))
    code, printed, _ = ahx("plan")
    assert code == 2
    assert [line for line in printed.splitlines() if "~" in line] == [
        f"~ bucket {BUCKET}: change",
        "    ~ versioning: Suspended -> Enabled",
        f"~ role {ROLE}: change",
        "    ~ trust.Statement[0].Condition.StringEquals.aws:SourceAccount: 666666666666 -> 123456789012",
    ]


def test_a_plan_as_json(ahx):
    code, printed, _ = ahx("plan", "--json")
    plan = json.loads(printed)
    assert code == 2
    assert (plan["account"], plan["region"], plan["partition"]) == ("123456789012", "eu-west-1", "aws")
    bucket = plan["resources"][0]
    assert (bucket["arn"], bucket["action"]) == (f"arn:aws:s3:::{BUCKET}", "create")
    versioning = {"name": "versioning", "action": "create", "live": None, "wanted": "Enabled"}
    assert versioning in bucket["attributes"]


def test_a_bucket_of_the_region_that_must_not_be_named(aws, ahx):
    assert ahx("apply", "--yes", "--region", "us-east-1")[0] == 0
    assert aws("s3").get_bucket_location(Bucket="ahx-123456789012-us-east-1").get("LocationConstraint") is None
    assert aws("s3").list_buckets()["Buckets"][0]["Name"] == "ahx-123456789012-us-east-1"
    assert ahx("plan", "--region", "us-east-1")[0] == 0


def test_data_is_deleted_only_when_told(aws, ahx):
    ahx("apply", "--yes")
    s3 = aws("s3")
    s3.put_object(Bucket=BUCKET, Key="data/a", Body=b"x")
    code, _, error = ahx("destroy", "--yes")
    assert code == 1
    assert error == (
        f"ahx: error: there is data: 1 object in the bucket {BUCKET}, so nothing was deleted;"
        " to delete them too, add --delete-data\n"
    )
    assert ahx("plan")[0] == 0
    s3.delete_object(Bucket=BUCKET, Key="data/a")
    assert "old versions of objects" in ahx("destroy", "--yes")[2]
    assert ahx("destroy", "--yes", "--delete-data")[0] == 0
    assert s3.list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (lambda aws: aws("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}"), f"role {ROLE}"),
        (lambda aws: aws("ecr").create_repository(repositoryName=REPOSITORY), f"image repository {REPOSITORY}"),
        (lambda aws: aws("logs").create_log_group(logGroupName="/ahx/runs", tags={"ahx:stack": "other"}), "log group"),
        (
            lambda aws: aws("logs").create_log_group(logGroupName="/ahx/runs"),
            "a run with AHX_LOG_GROUP may have made it",
        ),
    ],
)
def test_what_is_somebody_elses_is_not_touched_unless_told(aws, ahx, make, title):
    make(aws)
    code, _, error = ahx("apply", "--yes")
    assert code == 1
    assert title in error
    assert "without the tag ahx:stack=ahx" in error
    assert "--adopt" in error
    assert aws("s3").list_buckets()["Buckets"] == []
    code, printed, _ = ahx("destroy", "--yes")
    assert code == 0
    assert "does not carry our tag and is left as it is" in printed
    assert ahx("apply", "--yes", "--adopt")[0] == 0
    assert ahx("plan")[0] == 0


def test_a_bucket_of_another_account_is_never_written_to(aws, ahx, monkeypatch):
    aws("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    code, _, error = ahx("apply", "--yes")
    assert code == 1
    assert "--adopt" in error


def end_of_file(question):
    raise EOFError


def test_jobs_that_run_keep_what_they_need(aws, ahx, monkeypatch):
    with aws_here.serving(instant=600) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        ahx("apply", "--yes")
        image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ahx-transformer@sha256:" + "0" * 64
        setting = JobTemplate("s1", StackId("123456789012", "eu-west-1"), image, "sha256:0")
        bucket = Bucket(setting.stack_id)
        s3 = boto3.client("s3", region_name="eu-west-1")
        s3.put_object(Bucket=bucket.name, Key="data/0123/trials.json", Body=b"{}")
        job = training_job(setting, job_name(setting, {"rule": "double_a"}), bucket.data_uri("0123"))
        sagemaker = boto3.client("sagemaker", region_name="eu-west-1")
        sagemaker.create_training_job(**job)
        code, _, error = ahx("destroy", "--yes", "--delete-data")
        assert code == 1
        assert f"1 of our jobs is not over ({job['TrainingJobName']}), so nothing was deleted" in error
        assert ahx("plan")[0] == 0
        sagemaker.stop_training_job(TrainingJobName=job["TrainingJobName"])
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(
            TrainingJobName=job["TrainingJobName"], WaiterConfig={"Delay": 1}
        )
        assert ahx("destroy", "--yes", "--delete-data")[0] == 0


def test_it_asks(aws, ahx, monkeypatch):
    code, _, error = ahx("apply")
    assert code == 2
    assert error == "ahx: error: cannot ask for confirmation without a terminal; add --yes to skip it\n"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in (lambda question: "n", end_of_file):
        monkeypatch.setattr("builtins.input", answer)
        assert ahx("apply")[2] == "ahx: error: nothing was changed, as you answered no\n"
    assert aws("s3").list_buckets()["Buckets"] == []
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert ahx("apply")[0] == 0
    assert ahx("destroy")[0] == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--prefix", "Ahx_"], "'Ahx_'"),
        (["--budget", "-1"], "--budget"),
        (["--spend", "nan"], "--spend"),
        (["--email", "nobody"], "'nobody'"),
        (["--region", "mars"], "mars"),
    ],
)
def test_bad_input_is_one_sentence(ahx, words, named):
    code, _, error = ahx("plan", *words)
    assert code in (1, 2)
    assert error.startswith("ahx: error: ")
    assert named in error
    assert error.count("\n") == 1


def test_policies_are_printed_for_whoever_hands_them_out(ahx):
    code, printed, _ = ahx("policy", "user")
    assert code == 0
    assert json.loads(printed)["Statement"][0]["Resource"] == [
        "arn:aws:sagemaker:eu-west-1:123456789012:training-job/ahx-*"
    ]


def test_throttling_and_failures_of_aws_are_waited_out(ahx, faults):
    faults(kind="throttle", rate=0.1, seed=1)
    faults(kind="error", rate=0.05, seed=2)
    assert ahx("apply", "--yes")[0] == 0
    assert ahx("plan")[0] == 0


def test_a_denied_call_is_named_and_what_is_done_stays(ahx, faults):
    faults(kind="denied", operation="CreateRepository")
    code, printed, error = ahx("apply", "--yes")
    assert code == 1
    assert error.startswith("ahx: error: cannot create the image repository ahx-transformer: ecr:CreateRepository")
    assert "`ahx infra policy` prints what is needed" in error
    assert "create role" in printed
    remote.delete("faults")
    code, printed, _ = ahx("apply", "--yes")
    assert code == 0
    assert "create role" not in printed


def test_an_aws_that_does_not_answer_is_one_sentence(ahx, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    code, _, error = ahx("plan")
    assert code == 1
    assert "http://127.0.0.1:1 does not answer" in error
