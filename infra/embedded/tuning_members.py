"""What becomes of each member of CreateHyperParameterTuningJobRequest."""

from infra.embedded.members import Honoured, Members, Refused
from infra.embedded.training_members import TRAINING_JOB

_CONFIG = "HyperParameterTuningJobConfig"
_ONE = "TrainingJobDefinition"
_SEVERAL = "TrainingJobDefinitions[]"

TUNING_JOB = Members(
    "CreateHyperParameterTuningJob",
    {
        "HyperParameterTuningJobName": Honoured("unique within region and account"),
        f"{_CONFIG}.Strategy": Honoured(
            "which points are tried", ("Grid", "Random"), "the embedded AWS has the strategies Grid and Random"
        ),
        f"{_CONFIG}.StrategyConfig": Refused("it is Hyperband's, a strategy that the embedded AWS does not have"),
        f"{_CONFIG}.HyperParameterTuningJobObjective": Honoured("the best job"),
        f"{_CONFIG}.ResourceLimits": Honoured("how many jobs, at once and in all, and how long"),
        f"{_CONFIG}.ParameterRanges": Honoured("what is tried"),
        f"{_CONFIG}.ParameterRanges.AutoParameters": Refused("the embedded AWS chooses no ranges itself; give them"),
        f"{_CONFIG}.TrainingJobEarlyStoppingType": Honoured(
            "no job is stopped early", ("Off",), "the embedded AWS stops no training job early"
        ),
        f"{_CONFIG}.TuningJobCompletionCriteria.TargetObjectiveMetricValue": Honoured("ends the tuning"),
        f"{_CONFIG}.TuningJobCompletionCriteria.BestObjectiveNotImproving": Refused(
            "the embedded AWS does not end a tuning job for want of progress"
        ),
        f"{_CONFIG}.TuningJobCompletionCriteria.ConvergenceDetected.CompleteOnConvergence": Honoured(
            "nothing is detected", ("Disabled",), "the embedded AWS does not detect convergence"
        ),
        f"{_CONFIG}.RandomSeed": Honoured("the points of Random"),
        f"{_ONE}.StaticHyperParameters": Honoured("hyperparameters of all jobs"),
        f"{_ONE}.DefinitionName": Refused("the embedded AWS tunes one definition, which needs no name"),
        f"{_ONE}.TuningObjective": Refused("with one definition the objective is the tuning job's"),
        f"{_ONE}.HyperParameterRanges": Refused("with one definition the ranges are the tuning job's"),
        f"{_ONE}.HyperParameterTuningResourceConfig": Refused(
            "the embedded AWS chooses among no instance types; give ResourceConfig"
        ),
        _SEVERAL: Refused("the embedded AWS tunes one TrainingJobDefinition"),
        "WarmStartConfig": Refused("the embedded AWS does not learn from earlier tuning jobs"),
        "Tags": Honoured("ListTags, Search, and the training jobs' tags"),
        "Autotune": Refused("the embedded AWS chooses no ranges itself"),
    },
    {f"{_ONE}.": TRAINING_JOB, f"{_SEVERAL}.": TRAINING_JOB},
)
