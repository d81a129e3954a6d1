"""Support of each member of CreateHyperParameterTuningJobRequest."""

from infra.embedded.sagemaker.api.members import Honoured, Listed, Member, Members, Refused
from infra.embedded.sagemaker.training.members import TRAINING_JOB

_CONFIG = "HyperParameterTuningJobConfig"
_ONE = "TrainingJobDefinition"
_SEVERAL = "TrainingJobDefinitions[]"
_NO_AUTO = "the embedded AWS chooses no ranges itself; give them as ParameterRanges"


def _definition(at: str) -> dict[str, Member]:
    """Members of a definition of training jobs that CreateTrainingJobRequest does not have."""
    resource = f"{at}.HyperParameterTuningResourceConfig"
    return {
        f"{at}.DefinitionName": Honoured("in the descriptions of its training jobs"),
        f"{at}.StaticHyperParameters": Honoured("hyperparameters of all training jobs, with _tuning_objective_metric"),
        f"{resource}.InstanceType": Honoured("quota; resourceconfig.json"),
        f"{resource}.InstanceCount": Honoured("quota, hosts; resourceconfig.json"),
        f"{resource}.VolumeSizeInGB": Listed("must be from 1 to 16,384; the disk is this machine's"),
        f"{resource}.VolumeKmsKeyId": Listed("must exist; the disk is this machine's, encrypted or not"),
        f"{resource}.AllocationStrategy": Honoured("the order of InstanceConfigs"),
        f"{resource}.InstanceConfigs": Honoured("the first whose quota has room"),
    }


TUNING_JOB = Members(
    "CreateHyperParameterTuningJob",
    {
        "HyperParameterTuningJobName": Honoured("unique within region and account"),
        f"{_CONFIG}.Strategy": Honoured(
            "how points are chosen",
            ("Bayesian", "Grid", "Random"),
            "the embedded AWS has the strategies Bayesian, Grid and Random",
        ),
        f"{_CONFIG}.StrategyConfig": Refused("it is Hyperband's, a strategy that the embedded AWS does not have"),
        f"{_CONFIG}.HyperParameterTuningJobObjective": Honoured("the best job; the objective of Bayesian"),
        f"{_CONFIG}.ResourceLimits": Honoured("the numbers of jobs, in parallel and in total, and the time"),
        f"{_CONFIG}.ParameterRanges": Honoured("the hyperparameters tuned; the scale Auto is Linear"),
        f"{_CONFIG}.ParameterRanges.AutoParameters": Refused(_NO_AUTO),
        f"{_CONFIG}.TrainingJobEarlyStoppingType": Honoured(
            "Auto: a training job is stopped when worse than the median of the averages of three or more others so far"
        ),
        f"{_CONFIG}.TuningJobCompletionCriteria.TargetObjectiveMetricValue": Honoured("ends the tuning"),
        f"{_CONFIG}.TuningJobCompletionCriteria.BestObjectiveNotImproving": Honoured("ends the tuning"),
        f"{_CONFIG}.TuningJobCompletionCriteria.ConvergenceDetected.CompleteOnConvergence": Honoured(
            "convergence is not detected", ("Disabled",), "the embedded AWS does not detect convergence"
        ),
        f"{_CONFIG}.RandomSeed": Honoured("fixes the points of Random, and of Bayesian with the same results"),
        **_definition(_ONE),
        f"{_ONE}.TuningObjective": Refused(
            "with one TrainingJobDefinition the objective is HyperParameterTuningJobObjective of the tuning job"
        ),
        f"{_ONE}.HyperParameterRanges": Refused(
            "with one TrainingJobDefinition the ranges are ParameterRanges of the tuning job"
        ),
        **_definition(_SEVERAL),
        f"{_SEVERAL}.TuningObjective": Honoured("the definition's objective; all of one Type"),
        f"{_SEVERAL}.HyperParameterRanges": Honoured("the hyperparameters tuned; definitions take turns"),
        f"{_SEVERAL}.HyperParameterRanges.AutoParameters": Refused(_NO_AUTO),
        "WarmStartConfig": Honoured("Bayesian begins with the parents' results; OverallBestTrainingJob"),
        "Tags": Honoured("ListTags, Search, and the training jobs' tags"),
        "Autotune": Refused("the embedded AWS chooses no ranges and settings itself; leave it out"),
    },
    {f"{_ONE}.": TRAINING_JOB, f"{_SEVERAL}.": TRAINING_JOB},
)
