"""boto3 of 2022: no AWS_ENDPOINT_URL, no checksums, other protocols. Arguments: a role, a bucket, an endpoint."""

import io
import sys
import time

import boto3

role, bucket, endpoint = sys.argv[1:]
s3, sagemaker, logs, cloudwatch, sts, ecr = (
    boto3.client(name, endpoint_url=endpoint) for name in ("s3", "sagemaker", "logs", "cloudwatch", "sts", "ecr")
)
assert sts.get_caller_identity()["Account"] == "123456789012"
large = bytes(range(256)) * 50_000
s3.upload_fileobj(io.BytesIO(large), bucket, "old/large")
back = io.BytesIO()
s3.download_fileobj(bucket, "old/large", back)
assert back.getvalue() == large
s3.copy({"Bucket": bucket, "Key": "old/large"}, bucket, "old/copy")
assert s3.head_object(Bucket=bucket, Key="old/copy")["ContentLength"] == len(large)
s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "old/large"}, {"Key": "old/copy"}]})
assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

name = f"old-{bucket}"
sagemaker.create_training_job(
    TrainingJobName=name,
    AlgorithmSpecification={
        "TrainingImage": "any",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["sh", "-c", "echo 'loss=0.25;'"],
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*);"}],
    },
    RoleArn=role,
    OutputDataConfig={"S3OutputPath": f"s3://{bucket}/out"},
    ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    StoppingCondition={"MaxRuntimeInSeconds": 60},
)
sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig={"Delay": 1})
found = logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/")
assert [event["message"] for event in found["events"]] == ["loss=0.25;"]
statistics = cloudwatch.get_metric_statistics(
    Namespace="/aws/sagemaker/TrainingJobs",
    MetricName="loss",
    Dimensions=[{"Name": "TrainingJobName", "Value": name}],
    StartTime=time.time() - 600,
    EndTime=time.time() + 60,
    Period=60,
    Statistics=["Average"],
)
assert [point["Average"] for point in statistics["Datapoints"]] == [0.25]
refused = {}
try:
    sagemaker.describe_training_job(TrainingJobName="nothing")
except sagemaker.exceptions.ClientError as error:
    refused = error.response["Error"]
assert refused == {"Code": "ValidationException", "Message": "Requested resource not found."}
