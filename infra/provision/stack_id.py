"""The four facts from which every name and ARN of a stack follows. Pure: nothing here asks AWS.

Each resource derives its own name and ARN from them, in its own module.
"""

import re
from dataclasses import dataclass

from ahx.errors import InputError

DEFAULT_PREFIX = "ahx"

# A resource with this tag, its value the prefix, is ours; one without it belongs to another owner.
OWNER_TAG = "ahx:stack"

# The one region with metrics of what an account spends (partition "aws" only).
BILLING_REGION = "us-east-1"

_PREFIX = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_PREFIX = 20  # a bucket's name has 63 characters, of which account, region and dashes take up to 29
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")


@dataclass(frozen=True)
class StackId:
    """The stack of one `prefix` in one account and region. Raises InputError for a prefix that AWS would refuse.

    `partition` is the first field of an ARN after "arn:": "aws", "aws-cn" or "aws-us-gov".
    """

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

    @property
    def tags(self) -> dict[str, str]:
        """On every resource: the first is for people who read the bill, the second names the owner."""
        return {"project": "ahx-transformer", OWNER_TAG: self.prefix}

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"
