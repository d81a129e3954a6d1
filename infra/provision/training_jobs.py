"""SageMaker's training jobs: their names, SageMaker's log group, and the permissions that they need.

Jobs are not resources of the stack: `ahx sweep` starts them. Pure: nothing here calls AWS.
"""

from infra.provision.stack_id import StackId
from infra.provision.statements import Statement, allow

# SageMaker writes to it. It belongs to the whole account: it is read here, and never created, changed or deleted.
SAGEMAKER_LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def name_prefix(stack_id: StackId) -> str:
    """What the names of all jobs begin with."""
    return f"{stack_id.prefix}-"


def arns(stack_id: StackId) -> str:
    """A pattern that the ARNs of all jobs match."""
    return stack_id.arn("sagemaker", f"training-job/{name_prefix(stack_id)}*")


def log_group_arn(stack_id: StackId) -> str:
    return stack_id.arn("logs", f"log-group:{SAGEMAKER_LOG_GROUP}")


def user_permissions(stack_id: StackId) -> list[Statement]:
    """To start, watch and stop jobs, and to know how many may run."""
    verbs, group = ("Create", "Describe", "Stop"), log_group_arn(stack_id)
    return [
        allow("Jobs", [f"sagemaker:{verb}TrainingJob" for verb in verbs] + ["sagemaker:AddTags"], arns(stack_id)),
        allow("FindJobs", ["sagemaker:ListTrainingJobs"], "*"),
        allow("ReadLogs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], group, f"{group}:*"),
        allow("ReadQuotas", ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"], "*"),
    ]


def job_permissions(stack_id: StackId) -> list[Statement]:
    """What SageMaker does with a job's role to log and to publish metrics."""
    group = log_group_arn(stack_id)
    return [
        allow("MakeLogGroup", ["logs:CreateLogGroup", "logs:DescribeLogStreams"], group, f"{group}:*"),
        allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:log-stream:*"),
        allow("WriteMetrics", ["cloudwatch:PutMetricData"], "*")
        | {"Condition": {"StringLike": {"cloudwatch:namespace": ["*sagemaker*", "*SageMaker*"]}}},
    ]
