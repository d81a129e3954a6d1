"""What provisioning is granted, against the calls it makes."""

import json

import aws_calls
from aws_calls import Recorder, allows, granted

from entrypoints.main import main
from infra.provision import policies
from infra.provision.role import Role

BUCKET, ROLE, RULE = "ahx-123456789012-eu-west-1", "ahx-training-eu-west-1", "ahx-failed-jobs"
MANIFEST = (
    '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",'
    ' "config": {"mediaType": "a", "size": 1, "digest": "sha256:' + "0" * 64 + '"}, "layers": []}'
)


def wreck(aws):
    """Differences of all kinds, so that every repair is made."""
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    more, other = (json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (allowed, trusted))
    iam = aws("iam")
    wrong = [{"Key": "project", "Value": "wrong"}]
    arn = "arn:aws:{}:{}:123456789012:{}".format
    iam.put_role_policy(RoleName=ROLE, PolicyName="more", PolicyDocument=more)
    iam.attach_role_policy(
        RoleName=ROLE, PolicyArn=iam.create_policy(PolicyName="p", PolicyDocument=more)["Policy"]["Arn"]
    )
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=other)
    iam.tag_role(RoleName=ROLE, Tags=wrong)
    own = {"Key": "ahx:stack", "Value": "ahx"}
    aws("s3").put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [*wrong, own]})
    aws("s3").put_bucket_ownership_controls(
        Bucket=BUCKET, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    ecr, repository = aws("ecr"), "ahx-transformer"
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="MUTABLE")
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": False})
    ecr.tag_resource(resourceArn=arn("ecr", "eu-west-1", f"repository/{repository}"), tags=wrong)
    ecr.put_image(repositoryName=repository, imageManifest=MANIFEST, imageTag="one")
    aws("logs").tag_resource(resourceArn=arn("logs", "eu-west-1", "log-group:/ahx/runs"), tags={"project": "wrong"})
    aws("events").tag_resource(ResourceARN=arn("events", "eu-west-1", f"rule/{RULE}"), Tags=wrong)
    aws("events").put_targets(Rule=RULE, Targets=[{"Id": "x", "Arn": arn("sns", "eu-west-1", "x")}])
    aws("cloudwatch").tag_resource(ResourceARN=arn("cloudwatch", "eu-west-1", f"alarm:{RULE}"), Tags=wrong)
    aws("cloudwatch").put_dashboard(DashboardName="ahx-eu-west-1", DashboardBody="{}")
    aws("sns").tag_resource(ResourceArn=arn("sns", "eu-west-1", "ahx-alarms-eu-west-1"), Tags=wrong)
    budget = "arn:aws:budgets::123456789012:budget/ahx-monthly-eu-west-1"
    aws("budgets").tag_resource(ResourceARN=budget, ResourceTags=wrong)
    for key in ("data/a", "data/a", "data/b"):
        aws("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    aws("s3").create_multipart_upload(Bucket=BUCKET, Key="data/half")


def test_every_call_is_allowed_and_no_action_is_granted_in_vain(aws, stack_id):
    choices = ["--yes", "--email", "me@example.org", "--budget", "50", "--spend", "70"]
    recorder = Recorder()
    with recorder.recording():
        assert main(["infra", "apply", *choices]) == 0
    wreck(aws)
    with recorder.recording():
        assert main(["infra", "apply", *choices, "--budget", "60", "--email", "you@example.org"]) == 0
        assert main(["infra", "plan"]) == 0
        assert main(["infra", "destroy", "--yes", "--delete-data"]) == 0
    needed = recorder.needed(stack_id.account)
    policy, beside = policies.provisioner(stack_id), policies.user(stack_id)  # who provisions has both
    assert [one for one in needed if not allows(policy, one) and not allows(beside, one)] == []
    assert granted(policy) - {one.action for one in needed} == set()


def test_the_comparison_can_fail(stack_id):
    policy = policies.provisioner(stack_id)
    assert allows(policy, aws_calls.Needed("iam:GetRole", Role(stack_id).arn))
    assert not allows(policy, aws_calls.Needed("iam:GetRole", "arn:aws:iam::123456789012:role/other"))
    assert not allows(policy, aws_calls.Needed("iam:PassRole", Role(stack_id).arn))
