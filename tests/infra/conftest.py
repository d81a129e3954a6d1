"""An embedded AWS that holds what nobody may get at."""

import json

import boto3
import pytest

from infra.embedded.server import EmbeddedAws


@pytest.fixture(scope="session")
def guarded(embedded_aws: EmbeddedAws) -> EmbeddedAws:
    """The server, with what a stranger's job would need, and an object that is nobody's business."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="guarded")
    s3.put_object(Bucket="guarded", Key="secret", Body=b"nobody's business")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    boto3.client("iam").create_role(RoleName="strangers", AssumeRolePolicyDocument=policy)
    return embedded_aws
