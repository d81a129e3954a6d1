"""SageMaker SDK, version 3: HyperparameterTuner over a ModelTrainer, and its analytics.

Arguments: a role, a bucket, an image, and a program of Python that a job runs where jobs are processes.
"""

import logging
import sys

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition
from sagemaker.train.tuner import HyperparameterTuner

logging.basicConfig(level=logging.INFO)
role, bucket, image, program = sys.argv[1:]
policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
boto3.client("iam").attach_role_policy(RoleName=role.rpartition("/")[2], PolicyArn=policy)
boto3.client("s3").put_object(Bucket=bucket, Key="train/a.txt", Body=b"A -> AA")
session = Session(default_bucket=bucket)  # or it asks the real STS for the account, for a bucket's name
trainer = ModelTrainer(
    training_image=image,
    role=role,
    sagemaker_session=session,
    base_job_name="sdk3",
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=1),
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/out"),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=200),
    environment={"PROGRAM": program},
    hyperparameters={"layers": 3},
)
tuner = HyperparameterTuner(
    trainer,
    objective_metric_name="loss",
    objective_type="Minimize",
    metric_definitions=[{"Name": "loss", "Regex": "loss=(.*?);"}],
    hyperparameter_ranges={
        "rate": ContinuousParameter(0.001, 1, scaling_type="Logarithmic"),
        "heads": IntegerParameter(1, 8),
        "kind": CategoricalParameter(["a", "b"]),
    },
    base_tuning_job_name="sdk3",
    max_jobs=6,
    max_parallel_jobs=2,
)  # Bayesian is the default
tuner.tune([InputData(channel_name="train", data_source=f"s3://{bucket}/train/")], wait=True)
job = tuner.describe()
assert job.hyper_parameter_tuning_job_status == "Completed", job
assert job.hyper_parameter_tuning_job_config.strategy == "Bayesian"
assert tuner.best_training_job() == job.best_training_job.training_job_name
best = boto3.client("sagemaker").describe_training_job(TrainingJobName=tuner.best_training_job())
assert best["HyperParameters"]["layers"] == "3"
assert best["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")
assert len(tuner.analytics().dataframe()) == 6
print("tuned", job.hyper_parameter_tuning_job_name)
