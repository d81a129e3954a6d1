"""What a program of the embedded AWS is told of its job, and the members of the request that change what happens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.sagemaker.execution import container_inputs
from opt_ml.paths import OptMl

Make = Callable[..., dict[str, Any]]
When = Callable[..., dict[str, Any]]

# Leaves what is in /opt/ml/input/config, and the names of the channels' files, in the model.
COPYING = """
import json
host = json.loads((base / 'input/config/resourceconfig.json').read_text())['current_host']
seen = {f.name: json.loads(f.read_text()) for f in (base / 'input/config').iterdir()}
seen['files'] = sorted(str(f.relative_to(base / 'input/data')) for f in (base / 'input/data').rglob('*') if f.is_file())
(base / 'model' / f'{host}.json').write_text(json.dumps(seen))
"""


def channel(name: str, uri: str, source: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    s3 = {"S3DataType": "S3Prefix", "S3Uri": uri} | (source or {})
    return {"ChannelName": name, "DataSource": {"S3DataSource": s3}} | more


@pytest.fixture
def run(when: When, bucket: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Run a job to its end."""

    def to_the_end(request: dict[str, Any]) -> dict[str, Any]:
        boto3.client("sagemaker").create_training_job(**request)
        return when(request["TrainingJobName"])

    return to_the_end


def read(bucket: str, key: str) -> bytes:
    body: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def keys(bucket: str, prefix: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return [item["Key"].removeprefix(prefix) for item in found]


def test_two_instance_groups_are_one_cluster_that_is_told_of_it(job_request: Make, run: Any, bucket: str) -> None:
    for name in "abcd":
        boto3.client("s3").put_object(Bucket=bucket, Key=f"in/{name}", Body=name.encode())
    groups = [
        {"InstanceGroupName": "feed", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "learn", "InstanceType": "ml.m5.large", "InstanceCount": 2},
    ]
    sharded = {"S3DataDistributionType": "ShardedByS3Key", "InstanceGroupNames": ["learn"]}
    channels = [
        channel("part", f"s3://{bucket}/in/", sharded, ContentType="text/csv", CompressionType="None"),
        channel("whole", f"s3://{bucket}/in/", InputMode="FastFile", ShuffleConfig={"Seed": 3}),
    ]
    output = {"S3OutputPath": f"s3://{bucket}/out", "CompressionType": "NONE"}
    request = job_request(
        COPYING,
        ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 1},
        InputDataConfig=channels,
        OutputDataConfig=output,
        CheckpointConfig={"S3Uri": f"s3://{bucket}/ck"},
    )
    job = run(request)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ResourceConfig"]["InstanceGroups"] == groups
    place = f"out/{request['TrainingJobName']}/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/{place}"
    seen = {name: json.loads(read(bucket, place + name)) for name in keys(bucket, place)}
    assert sorted(seen) == ["algo-1.json", "algo-2.json", "algo-3.json"]
    assert seen["algo-2.json"]["resourceconfig.json"] == {
        "current_host": "algo-2",
        "current_instance_type": "ml.m5.large",
        "current_group_name": "learn",
        "hosts": ["algo-1", "algo-2", "algo-3"],
        "instance_groups": [
            {"instance_group_name": "feed", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1"]},
            {"instance_group_name": "learn", "instance_type": "ml.m5.large", "hosts": ["algo-2", "algo-3"]},
        ],
        "network_interface_name": "eth0",
    }
    whole = {
        "TrainingInputMode": "FastFile",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
        "ShuffleConfig": {"Seed": 3},
    }
    part = {
        "TrainingInputMode": "File",
        "S3DistributionType": "ShardedByS3Key",
        "RecordWrapperType": "None",
        "ContentType": "text/csv",
        "CompressionType": "None",
    }
    assert seen["algo-1.json"]["inputdataconfig.json"] == {"whole": whole}
    assert seen["algo-3.json"]["inputdataconfig.json"] == {"part": part, "whole": whole}
    everything = [f"whole/{name}" for name in "abcd"]
    assert seen["algo-1.json"]["files"] == everything
    assert seen["algo-2.json"]["files"] == ["part/a", "part/c", *everything]
    assert seen["algo-3.json"]["files"] == ["part/b", "part/d", *everything]
    assert seen["algo-1.json"]["checkpointconfig.json"] == {
        "LocalPath": "/opt/ml/checkpoints",
        "S3Uri": f"s3://{bucket}/ck",
    }
    assert seen["algo-1.json"]["trainingjobconfig.json"]["TrainingJobName"] == request["TrainingJobName"]
    assert seen["algo-1.json"]["metric-definition-regex.json"] == []


def test_a_seed_shuffles_which_objects_are_whose(job_request: Make, run: Any, bucket: str) -> None:
    for number in range(8):
        boto3.client("s3").put_object(Bucket=bucket, Key=f"in/{number}", Body=b"")
    shares = []
    for seed in (None, 1, 2, 1):
        more = {"ShuffleConfig": {"Seed": seed}} if seed else {}
        request = job_request(
            COPYING,
            InputDataConfig=[channel("c", f"s3://{bucket}/in/", {"S3DataDistributionType": "ShardedByS3Key"}, **more)],
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out", "CompressionType": "NONE"},
        )
        assert run(request)["TrainingJobStatus"] == "Completed"
        place = f"out/{request['TrainingJobName']}/output/model/"
        first, second = (json.loads(read(bucket, f"{place}algo-{n}.json"))["files"] for n in (1, 2))
        assert len(first) == len(second) == 4
        assert sorted(first + second) == [f"c/{number}" for number in range(8)]
        shares.append(first)
    assert shares[1] == shares[3]
    assert len({tuple(share) for share in shares}) == 3


def test_our_own_program_refuses_sharded_data_on_two_hosts(job_request: Make, run: Any, bucket: str) -> None:
    for name in ("a_train.txt", "a_val.txt"):
        boto3.client("s3").put_object(Bucket=bucket, Key=f"in/{name}", Body=b"a\tb\n")
    request = job_request(
        InputDataConfig=[channel("train", f"s3://{bucket}/in/", {"S3DataDistributionType": "ShardedByS3Key"})],
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
    )
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    job = run(request)
    assert job["TrainingJobStatus"] == "Failed"
    assert "gives each host a part of the data (ShardedByS3Key)" in job["FailureReason"]


def test_tensorboard_debugger_and_profiler_folders_are_copied_while_the_job_runs(
    job_request: Make, when: When, bucket: str
) -> None:
    program = """
import time
for name in ('tensorboard/events', 'tensors/step', 'profiler/framework/trace'):
    (base / 'output' / name).parent.mkdir(parents=True, exist_ok=True)
    (base / 'output' / name).write_text('1')
time.sleep(60)
"""
    # What SageMaker's SDK, version 2, sends of its own accord for the Debugger and the profiler.
    place = f"s3://{bucket}/seen"
    request = job_request(
        program,
        TensorBoardOutputConfig={"S3OutputPath": place},
        DebugHookConfig={"S3OutputPath": place, "CollectionConfigurations": []},
        ProfilerConfig={"S3OutputPath": place, "DisableProfiler": False},
    )
    name = request["TrainingJobName"]
    boto3.client("sagemaker").create_training_job(**request)
    wanted = ["debug-output/step", "profiler-output/framework/trace", "tensorboard-output/events"]
    when(name, lambda job: keys(bucket, f"seen/{name}/") == wanted and job["SecondaryStatus"] == "Training")
    boto3.client("sagemaker").stop_training_job(TrainingJobName=name)
    job = when(name)
    assert job["TrainingJobStatus"] == "Stopped", job.get("FailureReason")
    assert job["ProfilingStatus"] == "Enabled"


def test_nothing_is_copied_for_a_profiler_that_is_off(job_request: Make, run: Any, bucket: str) -> None:
    request = job_request(
        "(base / 'output/profiler').mkdir()\n(base / 'output/profiler/x').write_text('')",
        ProfilerConfig={"S3OutputPath": f"s3://{bucket}/off", "DisableProfiler": True},
    )
    job = run(request)
    assert (job["TrainingJobStatus"], job["ProfilingStatus"]) == ("Completed", "Disabled")
    assert keys(bucket, "off") == []


def test_artifacts_are_encrypted_with_the_key_that_is_named(job_request: Make, run: Any, bucket: str) -> None:
    kms, s3 = boto3.client("kms"), boto3.client("s3")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName=f"alias/{bucket}", TargetKeyId=key["KeyId"])
    for named in (key["KeyId"], key["Arn"], f"alias/{bucket}"):
        output = {"S3OutputPath": f"s3://{bucket}/out", "KmsKeyId": named}
        request = job_request("(base / 'model/m').write_text('w')", OutputDataConfig=output)
        assert run(request)["TrainingJobStatus"] == "Completed"
        head = s3.head_object(Bucket=bucket, Key=f"out/{request['TrainingJobName']}/output/model.tar.gz")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", named)


@pytest.mark.parametrize(
    ("member", "value", "sentence"),
    [
        (
            "OutputDataConfig",
            {"S3OutputPath": "s3://{bucket}/o", "KmsKeyId": "alias/none"},
            "KMS key alias/none does not",
        ),
        ("OutputDataConfig", {"S3OutputPath": "https://example.com/o"}, "is not an S3 URI; write s3://BUCKET/KEY"),
        ("TensorBoardOutputConfig", {"S3OutputPath": "s3://no-such-bucket-1/o"}, 'bucket "no-such-bucket-1" of'),
        (
            "CheckpointConfig",
            {"S3Uri": "s3://{bucket}/c", "LocalPath": "/opt/ml/../../etc"},
            "CheckpointConfig.LocalPath must be an absolute path without ..",
        ),
        (
            "VpcConfig",
            {"Subnets": ["subnet-0"], "SecurityGroupIds": ["sg-0"]},
            "VpcConfig.Subnets: there is no subnet-0",
        ),
        (
            "ResourceConfig",
            {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1, "VolumeKmsKeyId": "none"},
            "KMS key none does not",
        ),
        (
            "ResourceConfig",
            {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "InstanceGroups": [
                    {"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 1},
                ],
            },
            "InstanceType and InstanceCount belong to each of these",
        ),
        (
            "ResourceConfig",
            {
                "InstanceGroups": [
                    {"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 1},
                    {"InstanceGroupName": "a", "InstanceType": "ml.c5.xlarge", "InstanceCount": 0},
                ]
            },
            "The names of InstanceGroups must be different",
        ),
        (
            "DebugRuleConfigurations",
            [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}],
            "runs no Debugger rules",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(job_request: Make, bucket: str, member: str, value: Any, sentence: str) -> None:
    given = json.loads(json.dumps(value).replace("{bucket}", bucket))
    with pytest.raises(ClientError) as caught:
        boto3.client("sagemaker").create_training_job(**job_request(**{member: given}))
    assert sentence in caught.value.response["Error"]["Message"]


def test_the_quota_counts_all_groups(job_request: Make) -> None:
    groups = [
        {"InstanceGroupName": name, "InstanceType": "ml.g6.xlarge", "InstanceCount": count}
        for name, count in (("a", 3), ("b", 2))
    ]
    request = job_request(ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 1})
    with pytest.raises(ClientError, match=r"'ml.g6.xlarge for training job usage' is 4 .* request delta of 5 "):
        boto3.client("sagemaker").create_training_job(**request)


def test_a_vpc_that_is_there_is_accepted(job_request: Make, run: Any) -> None:
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(VpcId=vpc, GroupName="g", Description="d")["GroupId"]
    job = run(job_request(VpcConfig={"Subnets": [subnet], "SecurityGroupIds": [group]}))
    assert job["TrainingJobStatus"] == "Completed"
    assert job["VpcConfig"] == {"Subnets": [subnet], "SecurityGroupIds": [group]}


def test_https_names_the_same_places(job_request: Make, run: Any, bucket: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="in/a b?c#d", Body=b"x")
    channels = [
        channel("path", f"https://s3.us-east-1.amazonaws.com/{bucket}/in/"),
        channel("host", f"https://{bucket}.s3.us-east-1.amazonaws.com/in/a%20b%3Fc%23d"),
    ]
    request = job_request(
        COPYING,
        InputDataConfig=channels,
        OutputDataConfig={"S3OutputPath": f"https://{bucket}.s3.amazonaws.com/out/", "CompressionType": "NONE"},
    )
    job = run(request)
    place = f"out/{request['TrainingJobName']}/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/{place}"
    seen = json.loads(read(bucket, f"{place}algo-1.json"))
    assert seen["files"] == ["host/a b?c#d", "path/a b?c#d"]


def test_folders_that_a_program_names_otherwise_have_a_place_in_the_tree(tmp_path: Path) -> None:
    tree = OptMl(tmp_path)
    assert container_inputs.folder_of(tree, Path("/opt/ml/output/tensorboard")) == tmp_path / "output/tensorboard"
    assert container_inputs.folder_of(tree, Path("/tmp/checkpoints")) == tmp_path / "elsewhere/tmp/checkpoints"


def test_a_process_has_no_folders_outside_its_tree(job_request: Make, run: Any, bucket: str) -> None:
    job = run(job_request(CheckpointConfig={"S3Uri": f"s3://{bucket}/c", "LocalPath": "/tmp/checkpoints"}))
    assert "the LocalPath /tmp/checkpoints is not below /opt/ml" in job["FailureReason"]
