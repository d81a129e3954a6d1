"""The policies: lint, and nothing in them that is not needed."""

import importlib.resources
import json
import sys
import types
import warnings

import pytest

from infra.provision import bucket, policies, role
from infra.provision.stack_id import StackId

PLACES = [("aws", "eu-west-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]


@pytest.fixture(scope="module")
def findings():
    """Lints a policy. parliament wants the path of a file of its own from a module that setuptools no longer has."""
    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_filename = lambda name, file: str(importlib.resources.files(name) / file)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files open
        patch.setitem(sys.modules, "pkg_resources", stand_in)
        import parliament

    def lint(policy):
        found = parliament.analyze_policy_string(json.dumps(policy)).findings
        return [f"{one.issue}: {one.detail}" for one in found]

    return lint


@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_parliament_finds_nothing(findings, partition, region):
    stack_id = StackId("123456789012", region, partition)
    user, provisioner = policies.user(stack_id), policies.provisioner(stack_id)
    assert findings(policies.training(stack_id)) == []
    tracked = policies.training(stack_id, stack_id.arn("sagemaker", "mlflow-tracking-server/ours"))
    assert findings(tracked) == []
    assert len(tracked["Statement"]) == len(policies.training(stack_id)["Statement"]) + 1
    assert findings(user) == []
    assert findings(bucket.only_with_tls(stack_id)) == []
    # Who provisions has both. And parliament knows no trust policies, which have no resource: the role stands in.
    assert findings({**user, "Statement": user["Statement"] + provisioner["Statement"]}) == []
    trust = role.trust(stack_id)
    trust["Statement"][0]["Resource"] = role.Role(stack_id).arn
    assert findings(trust) == []


def test_the_linter_would_find_something(findings):
    wrong = {"Effect": "Allow", "Action": ["s3:GetObjekt"], "Resource": "*"}
    assert findings({"Version": "2012-10-17", "Statement": [wrong]}) == ["UNKNOWN_ACTION: Unknown action s3:GetObjekt"]
    wide = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "*"}
    assert findings({"Version": "2012-10-17", "Statement": [wide]})


@pytest.mark.parametrize(("partition", "region"), PLACES)
@pytest.mark.parametrize(
    "of", [role.trust, policies.training, bucket.only_with_tls, policies.user, policies.provisioner]
)
def test_every_arn_is_of_the_partition_and_every_policy_fits(of, partition, region):
    policy = of(StackId("123456789012", region, partition, prefix="a" * 20))
    text = json.dumps(policy, separators=(",", ":"))
    assert text.count("arn:") == text.count(f"arn:{partition}:")
    assert (
        len(text) <= 6144
    )  # of a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    if of is role.trust:
        assert len(text) <= 2048


def test_only_this_account_and_region_may_take_the_role():
    statement = role.trust(StackId("123456789012", "eu-west-1"))["Statement"][0]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:eu-west-1:123456789012:*"},
    }
