"""Names that AWS takes, in every region and partition."""

import re

import boto3
import pytest

from ahx.errors import InputError
from infra.provision.names import SAGEMAKER_LOG_GROUP, Names

ACCOUNT = "123456789012"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_names_are_legal_in_every_region_with_the_longest_prefix(partition):
    regions = boto3.Session().get_available_regions("sagemaker", partition_name=partition)
    assert regions
    for region in regions:
        names = Names(ACCOUNT, region, partition, prefix="a" * 20)
        assert re.fullmatch(r"[a-z0-9-]{3,63}", names.bucket)
        assert len(names.role) <= 64
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", names.repository)
        for arn in (names.bucket_arn, names.role_arn, names.repository_arn, names.sagemaker_arns, names.log_group_arn):
            assert arn.startswith(f"arn:{partition}:")


def test_china_has_its_own_addresses():
    assert Names(ACCOUNT, "us-east-1").image == f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/ahx-transformer"
    assert Names(ACCOUNT, "cn-north-1", "aws-cn").registry.endswith(".amazonaws.com.cn")


@pytest.mark.parametrize("prefix", ["", "Ahx", "a_b", "-a", "a-", "a--b", "1a", "a" * 21])
def test_a_prefix_that_aws_would_refuse_is_named(prefix):
    with pytest.raises(InputError, match=re.escape(repr(prefix))):
        Names(ACCOUNT, "us-east-1", prefix=prefix)


def test_a_region_with_a_typo_is_named():
    with pytest.raises(InputError, match="'useast1'"):
        Names(ACCOUNT, "useast1")


def test_what_is_written_here_never_goes_to_the_group_of_all_sagemaker_jobs():
    assert Names(ACCOUNT, "us-east-1").log_group != SAGEMAKER_LOG_GROUP
