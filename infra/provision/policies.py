"""Who may do what, as IAM policies. Pure functions of the names: nothing here asks AWS.

Four parties: SageMaker's jobs (`trust`, `training`), everybody who reaches the bucket (`bucket`), the person who
trains from a laptop (`user`), and the person who sets the account up (`provisioner`).
"""

from typing import Any

from infra.provision.names import Names

Policy = dict[str, Any]

# Docker talks to the registry itself; these are what a push and a pull need.
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
IMAGE_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
IMAGE_PUSH = ["ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"]


def trust(names: Names) -> Policy:
    """Who may take the training role: SageMaker, on behalf of this account and region only.

    Without the conditions, SageMaker could be asked from another account to use the role. They are AWS's own example
    (https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html): who may start jobs under
    which names is for the users' policies to say, and the SDKs make up names of their own.
    """
    return _policy(
        {
            "Sid": "SageMakerForThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": names.account},
                "ArnLike": {"aws:SourceArn": names.sagemaker_arns},
            },
        }
    )


def training(names: Names) -> Policy:
    """What a training job may do, which is what SageMaker does with the role: no more than its documentation asks for.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
    names the actions; here they are held to this project's bucket, image, log groups and metrics.
    """
    group = names.sagemaker_log_group_arn
    return _policy(
        _allow("FindData", ["s3:ListBucket"], names.bucket_arn),
        _allow("ReadDataAndWriteModels", ["s3:GetObject", "s3:PutObject"], f"{names.bucket_arn}/*"),
        _allow("LogIn", ["ecr:GetAuthorizationToken"], "*"),
        _allow("PullImage", IMAGE_PULL, names.repository_arn),
        _allow("MakeLogGroup", ["logs:CreateLogGroup", "logs:DescribeLogStreams"], group, f"{group}:*"),
        _allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:log-stream:*"),
        _allow("WriteMetrics", ["cloudwatch:PutMetricData"], "*")
        | {"Condition": {"StringLike": {"cloudwatch:namespace": ["*sagemaker*", "*SageMaker*"]}}},
    )


def bucket(names: Names) -> Policy:
    """The bucket's own policy: nobody reaches it without TLS, whatever else they are allowed."""
    return _policy(
        {
            "Sid": "OnlyWithTLS",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [names.bucket_arn, f"{names.bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def user(names: Names) -> Policy:
    """What training from a laptop needs, and no more: jobs of this project, its bucket, its image, logs, quotas."""
    jobs, objects = names.job_arns, f"{names.bucket_arn}/*"
    return _policy(
        _allow(
            "Jobs",
            [f"sagemaker:{verb}TrainingJob" for verb in ("Create", "Describe", "Stop")] + ["sagemaker:AddTags"],
            jobs,
        ),
        _allow("FindJobs", ["sagemaker:ListTrainingJobs"], "*"),
        _allow("HandTheRoleToJobs", ["iam:PassRole"], names.role_arn)
        | {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}},
        _allow("FindObjects", ["s3:ListBucket"], names.bucket_arn),
        _allow("Objects", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], objects),
        _allow("LogIn", ["ecr:GetAuthorizationToken"], "*"),
        _allow("Image", ["ecr:DescribeImages", *IMAGE_PULL, *IMAGE_PUSH], names.repository_arn),
        _allow(
            "ReadLogs",
            ["logs:DescribeLogStreams", "logs:GetLogEvents"],
            *(f"{group}{part}" for group in _log_groups(names) for part in ("", ":*")),
        ),
        _allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{names.log_group_arn}:*"),
        _allow("ReadQuotas", ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"], "*"),
        _allow("CheckOwnPermissions", ["iam:SimulatePrincipalPolicy"], _iam(names, "user/${aws:username}")),
    )


def provisioner(names: Names) -> Policy:
    """What `ahx infra plan`, `apply` and `destroy` need beside `user`: to read, write and delete our resources.

    Whoever may write the bucket's policy may also grant themselves its objects: give this to who has `user` as well.
    """
    settings = [
        "BucketPolicy",
        "BucketPublicAccessBlock",
        "BucketTagging",
        "BucketVersioning",
        "BucketOwnershipControls",
        "EncryptionConfiguration",
        "LifecycleConfiguration",
    ]
    group = names.log_group_arn
    alarms = [names.failed_jobs_alarm_arn, names.spend_alarm_arn]
    topics = sorted({names.topic_arn(region) for region in (names.region, names.billing_region)})
    return _policy(
        _allow(
            "BucketItself",
            [f"s3:{verb}{setting}" for setting in settings for verb in ("Get", "Put")]
            + ["s3:CreateBucket", "s3:DeleteBucket", "s3:TagResource"]
            + ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"],
            names.bucket_arn,
        ),
        _allow(
            "EmptyTheBucket",
            ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"],
            f"{names.bucket_arn}/*",
        ),
        _allow(
            "RoleItself",
            [f"iam:{verb}Role" for verb in ("Create", "Delete", "Get", "Tag")]
            + [f"iam:{verb}RolePolicy" for verb in ("Delete", "Detach", "Get", "Put")]
            + ["iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:UpdateAssumeRolePolicy"],
            names.role_arn,
        ),
        _allow(
            "ImageRepository",
            [f"ecr:{verb}Repository" for verb in ("Create", "Delete")]
            + ["ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:ListTagsForResource", "ecr:TagResource"]
            + ["ecr:GetLifecyclePolicy", "ecr:PutLifecyclePolicy"]
            + ["ecr:PutImageScanningConfiguration", "ecr:PutImageTagMutability"],
            names.repository_arn,
        ),
        _allow("FindLogGroups", ["logs:DescribeLogGroups"], "*"),
        _allow(
            "LogGroup",
            [f"logs:{verb}LogGroup" for verb in ("Create", "Delete")]
            + ["logs:PutRetentionPolicy", "logs:ListTagsForResource", "logs:TagResource"],
            group,
            f"{group}:*",
        ),
        _allow(
            "Alarms", [f"cloudwatch:{verb}" for verb in ("DeleteAlarms", "DescribeAlarms", "PutMetricAlarm")], *alarms
        ),
        _allow(
            "Dashboard",
            [f"cloudwatch:{verb}" for verb in ("GetDashboard", "PutDashboard", "DeleteDashboards")],
            names.dashboard_arn,
        ),
        _allow("AlarmTags", ["cloudwatch:ListTagsForResource", "cloudwatch:TagResource"], *alarms, names.dashboard_arn),
        _allow(
            "FailedJobs",
            [f"events:{verb}Rule" for verb in ("Put", "Describe", "Delete")]
            + ["events:ListTagsForResource", "events:TagResource"]
            + ["events:ListTargetsByRule", "events:RemoveTargets"],
            names.failed_jobs_rule_arn,
        ),
        _allow(
            "Mail",
            [f"sns:{verb}" for verb in ("CreateTopic", "DeleteTopic", "GetTopicAttributes", "Subscribe")]
            + ["sns:ListSubscriptionsByTopic", "sns:ListTagsForResource", "sns:TagResource"],
            *topics,
        ),
        _allow(
            "Budget",
            ["budgets:ModifyBudget", "budgets:ViewBudget", "budgets:ListTagsForResource", "budgets:TagResource"],
            names.budget_arn,
        ),
    )


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(sid: str, actions: list[str], *resources: str) -> Policy:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources)}


def _log_groups(names: Names) -> tuple[str, str]:
    return names.log_group_arn, names.sagemaker_log_group_arn


def _iam(names: Names, resource: str) -> str:
    return f"arn:{names.partition}:iam::{names.account}:{resource}"
