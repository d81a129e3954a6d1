"""SageMaker SDK, version 2: Estimator.fit with its logs, and attach. Arguments: a role, a bucket, an image, and `fails`
for a job that fails as well."""

import sys

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput

role, bucket, image, *more = sys.argv[1:]
session = sagemaker.Session(default_bucket=bucket)  # or it asks the real STS for the account, for a bucket's name
session.upload_string_as_file_body("A -> AA", bucket, "train/a.txt")

base = "${SAGEMAKER_BASE_DIR:-/opt/ml}"
program = f"cat {base}/input/data/train/a.txt; cp {base}/input/data/train/* {base}/model/; echo 'loss=0.25;'"
estimator = Estimator(
    image,
    role,
    instance_count=1,
    instance_type="ml.m5.large",
    base_job_name="sdk2",
    sagemaker_session=session,
    container_entry_point=["sh", "-c", program],
    hyperparameters={"layers": 3, "name": "x"},
    metric_definitions=[{"Name": "loss", "Regex": "loss=(.*?);"}],
    tags=[{"Key": "a", "Value": "b"}],
    max_run=100,
)
estimator.fit({"train": TrainingInput(f"s3://{bucket}/train/")}, wait=True, logs="All")
name = estimator.latest_training_job.name

again = Estimator.attach(name, sagemaker_session=session)
assert again.model_data == estimator.model_data == f"s3://{bucket}/{name}/output/model.tar.gz", again.model_data
assert again.image_uri == image
assert again.hyperparameters()["layers"] == "3"
assert again.tags == [{"Key": "a", "Value": "b"}]
again.logs()
assert list(estimator.training_job_analytics.dataframe()["value"]) == [0.25]
assert session.list_s3_files(bucket, f"{name}/output/") == [f"{name}/output/model.tar.gz"]

if more == ["fails"]:
    command = ["sh", "-c", "exit 3"]
    failing = Estimator(image, role, 1, "ml.m5.large", sagemaker_session=session, container_entry_point=command)
    try:
        failing.fit(wait=True, logs="All")
    except sagemaker.exceptions.UnexpectedStatusException as error:
        print("failed:", error)
    else:
        raise SystemExit("a failing job seemed to succeed")
