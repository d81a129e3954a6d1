"""Names that AWS takes, in every region and partition."""

import re

import boto3
import pytest

from ahx.errors import InputError
from infra.provision.bucket import Bucket
from infra.provision.log_group import LogGroup
from infra.provision.repository import Repository
from infra.provision.resource import Choices
from infra.provision.role import Role
from infra.provision.stack import resources
from infra.provision.stack_id import StackId
from infra.provision.training_jobs import SAGEMAKER_LOG_GROUP

ACCOUNT = "123456789012"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_names_are_legal_in_every_region_with_the_longest_prefix(partition):
    regions = boto3.Session().get_available_regions("sagemaker", partition_name=partition)
    assert regions
    for region in regions:
        stack_id = StackId(ACCOUNT, region, partition, prefix="a" * 20)
        assert re.fullmatch(r"[a-z0-9-]{3,63}", Bucket(stack_id).name)
        assert len(Role(stack_id).name) <= 64
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", Repository(stack_id).name)
        for resource in resources(stack_id, Choices()):
            assert resource.arn.startswith(f"arn:{partition}:")


def test_china_has_its_own_addresses():
    assert (
        Repository(StackId(ACCOUNT, "us-east-1")).image == f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/ahx-transformer"
    )
    assert ".amazonaws.com.cn/" in Repository(StackId(ACCOUNT, "cn-north-1", "aws-cn")).image


@pytest.mark.parametrize("prefix", ["", "Ahx", "a_b", "-a", "a-", "a--b", "1a", "a" * 21])
def test_a_prefix_that_aws_would_refuse_is_named(prefix):
    with pytest.raises(InputError, match=re.escape(repr(prefix))):
        StackId(ACCOUNT, "us-east-1", prefix=prefix)


def test_a_region_with_a_typo_is_named():
    with pytest.raises(InputError, match="'useast1'"):
        StackId(ACCOUNT, "useast1")


def test_what_is_written_here_never_goes_to_the_group_of_all_sagemaker_jobs():
    assert LogGroup(StackId(ACCOUNT, "us-east-1")).name != SAGEMAKER_LOG_GROUP
