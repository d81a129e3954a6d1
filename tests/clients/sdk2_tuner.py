"""SageMaker SDK, version 2: HyperparameterTuner.fit, attach, analytics, warm starts and several estimators.

Arguments: a role, a bucket, an image, and a program of Python that a job runs where jobs are processes.
"""

import sys

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter
from sagemaker.tuner import HyperparameterTuner, InstanceConfig

role, bucket, image, program = sys.argv[1:]
session = sagemaker.Session(default_bucket=bucket)  # or it asks the real STS for the account, for a bucket's name
session.upload_string_as_file_body("A -> AA", bucket, "train/a.txt")


def estimator() -> Estimator:
    return Estimator(
        image,
        role,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
        environment={"PROGRAM": program},
        hyperparameters={"layers": 3},
        tags=[{"Key": "a", "Value": "b"}],
        max_run=100,
    )


ranges = {
    "rate": ContinuousParameter(0.001, 1, scaling_type="Logarithmic"),
    "heads": IntegerParameter(1, 8),
    "kind": CategoricalParameter(["a", "b"]),
}
common = {
    "objective_metric_name": "loss",
    "metric_definitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
    "objective_type": "Minimize",
    "max_jobs": 6,
    "max_parallel_jobs": 2,
    "early_stopping_type": "Auto",
    "random_seed": 1,
}
tuner = HyperparameterTuner(estimator(), hyperparameter_ranges=ranges, base_tuning_job_name="sdk2", **common)
tuner.fit(f"s3://{bucket}/train/", wait=True)
told = tuner.describe()
assert told["HyperParameterTuningJobConfig"]["Strategy"] == "Bayesian"
assert told["HyperParameterTuningJobStatus"] == "Completed", told
assert sum(told["TrainingJobStatusCounters"].values()) == 6

name = tuner.latest_tuning_job.name
again = HyperparameterTuner.attach(name, sagemaker_session=session)
assert again.estimator.hyperparameters()["layers"] == "3"
assert again.best_training_job() == tuner.best_training_job() == told["BestTrainingJob"]["TrainingJobName"]
assert set(again.hyperparameter_ranges()["ContinuousParameterRanges"][0]) >= {"Name", "MinValue", "MaxValue"}
best = again.best_estimator()
assert best.model_data.endswith("/output/model.tar.gz"), best.model_data
attached = Estimator.attach(again.best_training_job(), sagemaker_session=session)
assert attached.hyperparameters()["layers"] == "3"

table = again.analytics().dataframe()
assert len(table) == 6
assert set(ranges) <= set(table.columns)
assert (
    table["FinalObjectiveValue"].min()
    == told["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
)

warm = tuner.identical_dataset_and_algorithm_tuner()
warm.base_tuning_job_name = "warm"  # the SDK's names differ from minute to minute only
warm.max_jobs, warm.metric_definitions = 2, common["metric_definitions"]  # which the SDK leaves out
warm.fit(f"s3://{bucket}/train/", wait=True)
assert "OverallBestTrainingJob" in warm.describe()

both = HyperparameterTuner.create(
    {"one": estimator(), "two": estimator()},
    {"one": "loss", "two": "loss"},
    {"one": ranges, "two": {"rate": ranges["rate"]}},
    metric_definitions_dict=dict.fromkeys(("one", "two"), common["metric_definitions"]),
    base_tuning_job_name="both",
    strategy="Random",
    objective_type="Minimize",
    max_jobs=4,
    max_parallel_jobs=2,
)
both.override_resource_config(
    {"one": [InstanceConfig(1, "ml.m5.xlarge", 1)], "two": [InstanceConfig(1, "ml.c5.xlarge", 1)]}
)
inputs = dict.fromkeys(("one", "two"), f"s3://{bucket}/train/")
both.fit(inputs, wait=True, include_cls_metadata={"one": False, "two": False})
rows = HyperparameterTuner.attach(both.latest_tuning_job.name, sagemaker_session=session).analytics().dataframe()
assert sorted(rows["TrainingJobDefinitionName"]) == ["one", "one", "two", "two"]
print("tuned", name)
