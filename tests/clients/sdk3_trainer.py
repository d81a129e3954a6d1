"""SageMaker SDK, version 3: ModelTrainer with source code. Arguments: a role, a bucket, an image, a folder."""

import logging
import sys
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode, StoppingCondition

logging.basicConfig(level=logging.INFO)
role, bucket, image, folder = sys.argv[1:]
source = Path(folder) / "source"
source.mkdir()
(source / "train.py").write_text(
    "import json, os, pathlib\n"
    "print('layers', json.loads(os.environ['SM_HPS'])['layers'])\n"
    "text = pathlib.Path('/opt/ml/input/data/train/a.txt').read_text()\n"
    "pathlib.Path(os.environ['SM_MODEL_DIR'], 'm').write_text(text)\n"
)
policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
boto3.client("iam").attach_role_policy(RoleName=role.rpartition("/")[2], PolicyArn=policy)
boto3.client("s3").put_object(Bucket=bucket, Key="train/a.txt", Body=b"A -> AA")
session = Session(default_bucket=bucket)  # or it asks the real STS for the account, for a bucket's name
trainer = ModelTrainer(
    training_image=image,
    role=role,  # the SDK asks IAM whether it may do all that training might need
    sagemaker_session=session,
    base_job_name="sdk3",
    source_code=SourceCode(source_dir=str(source), entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=1),
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/out"),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=200),
    hyperparameters={"layers": 3},
)
inputs = [InputData(channel_name="train", data_source=f"s3://{bucket}/train/")]
trainer.train(input_data_config=inputs, wait=True, logs=True)
job = trainer._latest_training_job
job.refresh()
assert job.training_job_status == "Completed"
assert job.model_artifacts.s3_model_artifacts == f"s3://{bucket}/out/{job.training_job_name}/output/model.tar.gz"
