"""Every name and ARN of the project in one account and region. Pure: nothing here asks AWS.

Everything hangs on four facts: a prefix (the stack's name, "ahx" unless chosen), the account, the region, and the
partition, which is the first field after "arn:" ("aws", "aws-cn", "aws-us-gov").
"""

import re
from dataclasses import dataclass

from ahx.errors import InputError

DEFAULT_PREFIX = "ahx"

# What SageMaker writes to. It belongs to the whole account: it is read here, and never created, changed or deleted.
SAGEMAKER_LOG_GROUP = "/aws/sagemaker/TrainingJobs"

# A resource with this tag, its value the prefix, is ours; without it, it is somebody else's.
OWNER_TAG = "ahx:stack"

_PREFIX = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_PREFIX = 20  # a bucket's name has 63 characters, of which account, region and dashes take up to 29
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")


@dataclass(frozen=True)
class Names:
    """The names under one `prefix` in one account and region. Raises InputError for a prefix that AWS would refuse."""

    account: str
    region: str
    partition: str = "aws"
    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix) or len(self.prefix) > _LONGEST_PREFIX:
            raise InputError(
                f"prefix {self.prefix!r}: must be lower-case letters, digits and single dashes, begin with a letter,"
                f" and have at most {_LONGEST_PREFIX} characters"
            )
        if not _REGION.fullmatch(self.region):
            raise InputError(f"region {self.region!r} is not one of AWS's; an example is us-east-1")

    # The bucket, and what lies where in it.

    @property
    def bucket(self) -> str:
        """Buckets share one name space with all of AWS: the account makes this one unique."""
        return f"{self.prefix}-{self.account}-{self.region}"

    @property
    def bucket_arn(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def data_uri(self, name: str) -> str:
        """Training data, by name: the folder of one data set."""
        return f"s3://{self.bucket}/data/{name}"

    def checkpoints_uri(self, job: str) -> str:
        """What /opt/ml/checkpoints of one job is kept in sync with."""
        return f"s3://{self.bucket}/checkpoints/{job}"

    @property
    def output_uri(self) -> str:
        """S3OutputPath of all jobs: SageMaker adds JOB/output/model.tar.gz and JOB/output/output.tar.gz."""
        return f"s3://{self.bucket}/output"

    def model_uri(self, job: str) -> str:
        """Where SageMaker leaves the model of one job."""
        return f"{self.output_uri}/{job}/output/model.tar.gz"

    # The role, and the image.

    @property
    def role(self) -> str:
        """Roles belong to all regions of an account: the region in its name keeps two stacks apart."""
        return f"{self.prefix}-training-{self.region}"

    @property
    def role_arn(self) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{self.role}"

    @property
    def role_policy(self) -> str:
        """The role's inline policy."""
        return f"{self.prefix}-training"

    @property
    def repository(self) -> str:
        return f"{self.prefix}-transformer"

    @property
    def repository_arn(self) -> str:
        return self._arn("ecr", f"repository/{self.repository}")

    @property
    def registry(self) -> str:
        """The host that Docker pushes to and SageMaker pulls from."""
        return f"{self.account}.dkr.ecr.{self.region}.{self.dns_suffix}"

    @property
    def image(self) -> str:
        """The image without tag or digest."""
        return f"{self.registry}/{self.repository}"

    # Jobs.

    @property
    def job_prefix(self) -> str:
        """What the names of all jobs begin with."""
        return f"{self.prefix}-"

    @property
    def job_arns(self) -> str:
        """Pattern of the ARNs of all jobs."""
        return self._arn("sagemaker", f"training-job/{self.job_prefix}*")

    @property
    def sagemaker_arns(self) -> str:
        """Pattern of the ARNs of all that SageMaker has in this account and region."""
        return self._arn("sagemaker", "*")

    # What is watched. Dashboards and budgets belong to all regions of an account.

    @property
    def log_group(self) -> str:
        """For what this project writes itself; SageMaker writes to SAGEMAKER_LOG_GROUP."""
        return f"/{self.prefix}/runs"

    @property
    def log_group_arn(self) -> str:
        return self._arn("logs", f"log-group:{self.log_group}")

    @property
    def sagemaker_log_group_arn(self) -> str:
        return self._arn("logs", f"log-group:{SAGEMAKER_LOG_GROUP}")

    @property
    def dashboard(self) -> str:
        return f"{self.prefix}-{self.region}"

    @property
    def dashboard_arn(self) -> str:
        return f"arn:{self.partition}:cloudwatch::{self.account}:dashboard/{self.dashboard}"

    @property
    def failed_jobs_rule(self) -> str:
        """The EventBridge rule that counts failed jobs; `failed_jobs_alarm` looks at its count."""
        return f"{self.prefix}-failed-jobs"

    @property
    def failed_jobs_rule_arn(self) -> str:
        return self._arn("events", f"rule/{self.failed_jobs_rule}")

    @property
    def failed_jobs_alarm(self) -> str:
        return f"{self.prefix}-failed-jobs"

    @property
    def failed_jobs_alarm_arn(self) -> str:
        return self._arn("cloudwatch", f"alarm:{self.failed_jobs_alarm}")

    @property
    def spend_alarm(self) -> str:
        return f"{self.prefix}-spend-{self.region}"

    @property
    def spend_alarm_arn(self) -> str:
        return self._arn("cloudwatch", f"alarm:{self.spend_alarm}", region=self.billing_region)

    @property
    def topic(self) -> str:
        """Where alarms of the region send their mail."""
        return f"{self.prefix}-alarms-{self.region}"

    def topic_arn(self, region: str) -> str:
        return self._arn("sns", self.topic, region=region)

    @property
    def budget(self) -> str:
        return f"{self.prefix}-monthly-{self.region}"

    @property
    def budget_arn(self) -> str:
        return f"arn:{self.partition}:budgets::{self.account}:budget/{self.budget}"

    @property
    def billing_region(self) -> str:
        """The one region that has metrics of what an account spends (partition "aws" only)."""
        return "us-east-1"

    @property
    def tags(self) -> dict[str, str]:
        """On everything: the first for people who read the bill, the second says whose it is."""
        return {"project": "ahx-transformer", OWNER_TAG: self.prefix}

    @property
    def dns_suffix(self) -> str:
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def console(self, path: str) -> str:
        """An address in AWS's web console, such as console("s3/buckets/x")."""
        host = {
            "aws-cn": "console.amazonaws.cn",
            "aws-us-gov": "console.amazonaws-us-gov.com",
        }.get(self.partition, "console.aws.amazon.com")
        return f"https://{self.region}.{host}/{path}"

    def _arn(self, service: str, resource: str, region: str | None = None) -> str:
        return f"arn:{self.partition}:{service}:{region or self.region}:{self.account}:{resource}"
