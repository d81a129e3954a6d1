"""Every attribute of every resource, set wrong one by one: named by the plan, repaired by one write."""

import json

from infra.provision import stack
from infra.provision.resource import Choices

BUCKET, ROLE, REPOSITORY = "ahx-123456789012-eu-west-1", "ahx-training-eu-west-1", "ahx-transformer"
GROUP, RULE, TOPIC, DASHBOARD = "/ahx/runs", "ahx-failed-jobs", "ahx-alarms-eu-west-1", "ahx-eu-west-1"
BUDGET, US = "ahx-monthly-eu-west-1", "us-east-1"
ALARMS = {"eu-west-1": "ahx-failed-jobs", US: "ahx-spend-eu-west-1"}
OPEN = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUSTING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ONE_RULE = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
AGED = {"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}}
STRANGE = [{"Key": "project", "Value": "something else"}]
A_MAIL = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}


def arn(service, rest, region="eu-west-1"):
    return f"arn:aws:{service}:{region}:123456789012:{rest}"


def retag_bucket(aws):
    tags = [*STRANGE, {"Key": "ahx:stack", "Value": "ahx"}, {"Key": "team", "Value": "ours"}]
    aws("s3").put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": tags})


def alarm(region, **changes):
    """A drift of an alarm: all it has, but for the changes."""

    def drift(aws):
        api = aws("cloudwatch", region)
        found = api.describe_alarms(AlarmNames=[ALARMS[region]])["MetricAlarms"][0]
        kept = ("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods")
        kept += ("Threshold", "ComparisonOperator", "TreatMissingData", "AlarmActions", "ActionsEnabled")
        api.put_metric_alarm(**{key: found[key] for key in kept} | changes)

    return drift


def retag_alarm(region):
    return lambda aws: aws("cloudwatch", region).tag_resource(
        ResourceARN=arn("cloudwatch", f"alarm:{ALARMS[region]}", region), Tags=STRANGE
    )


def topic(region, wrong):
    return lambda aws: wrong(aws("sns", region), arn("sns", TOPIC, region))


def unsubscribe(api, topic_arn):
    for one in api.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]:
        api.unsubscribe(SubscriptionArn=one["SubscriptionArn"])


def rebudget(aws):
    new = {"BudgetName": BUDGET, "BudgetType": "COST", "TimeUnit": "MONTHLY"}
    limit = {"BudgetLimit": {"Amount": "5000", "Unit": "USD"}}
    aws("budgets").update_budget(AccountId="123456789012", NewBudget=new | limit)


def of_alarms(region, title):
    return {
        f"{title}: tags": retag_alarm(region),
        f"{title}: metric": alarm(region, Namespace="Other", MetricName="other"),
        f"{title}: dimensions": alarm(region, Dimensions=[{"Name": "RuleName", "Value": "other"}]),
        f"{title}: when": alarm(region, Period=60),
        f"{title}: comparison": alarm(region, ComparisonOperator="LessThanThreshold"),
        f"{title}: threshold": alarm(region, Threshold=1e6),
        f"{title}: missing data": alarm(region, TreatMissingData="breaching"),
        f"{title}: actions": alarm(region, AlarmActions=[]),
        f"{title}: actions enabled": alarm(region, ActionsEnabled=False),
    }


def of_topics(region, title):
    return {
        f"{title}: tags": topic(region, lambda api, of: api.tag_resource(ResourceArn=of, Tags=STRANGE)),
        f"{title}: subscribers": topic(region, unsubscribe),
    }


DRIFTS = {
    f"bucket {BUCKET}: tags": retag_bucket,
    f"bucket {BUCKET}: public access block": lambda aws: aws("s3").delete_public_access_block(Bucket=BUCKET),
    f"bucket {BUCKET}: ownership": lambda aws: aws("s3").put_bucket_ownership_controls(
        Bucket=BUCKET, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    ),
    f"bucket {BUCKET}: encryption": lambda aws: aws("s3").put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        },
    ),
    f"bucket {BUCKET}: versioning": lambda aws: aws("s3").put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
    ),
    f"bucket {BUCKET}: lifecycle": lambda aws: aws("s3").put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration=ONE_RULE
    ),
    f"bucket {BUCKET}: policy": lambda aws: aws("s3").delete_bucket_policy(Bucket=BUCKET),
    f"role {ROLE}: tags": lambda aws: aws("iam").tag_role(RoleName=ROLE, Tags=STRANGE),
    f"role {ROLE}: trust": lambda aws: aws("iam").update_assume_role_policy(
        RoleName=ROLE, PolicyDocument=json.dumps(TRUSTING)
    ),
    f"role {ROLE}: policy": lambda aws: aws("iam").put_role_policy(
        RoleName=ROLE, PolicyName="ahx-training", PolicyDocument=json.dumps(OPEN)
    ),
    f"role {ROLE}: other inline policies": lambda aws: aws("iam").put_role_policy(
        RoleName=ROLE, PolicyName="more", PolicyDocument=json.dumps(OPEN)
    ),
    f"role {ROLE}: attached policies": lambda aws: aws("iam").attach_role_policy(
        RoleName=ROLE,
        PolicyArn=aws("iam").create_policy(PolicyName="all", PolicyDocument=json.dumps(OPEN))["Policy"]["Arn"],
    ),
    f"image repository {REPOSITORY}: tags": lambda aws: aws("ecr").tag_resource(
        resourceArn=arn("ecr", f"repository/{REPOSITORY}"), tags=STRANGE
    ),
    f"image repository {REPOSITORY}: image tags": lambda aws: aws("ecr").put_image_tag_mutability(
        repositoryName=REPOSITORY, imageTagMutability="MUTABLE"
    ),
    f"image repository {REPOSITORY}: scan on push": lambda aws: aws("ecr").put_image_scanning_configuration(
        repositoryName=REPOSITORY, imageScanningConfiguration={"scanOnPush": False}
    ),
    f"image repository {REPOSITORY}: lifecycle": lambda aws: aws("ecr").put_lifecycle_policy(
        repositoryName=REPOSITORY, lifecyclePolicyText=json.dumps({"rules": [AGED | {"action": {"type": "expire"}}]})
    ),
    f"log group {GROUP}: tags": lambda aws: aws("logs").tag_resource(
        resourceArn=arn("logs", f"log-group:{GROUP}"), tags={"project": "something else"}
    ),
    f"log group {GROUP}: retention in days": lambda aws: aws("logs").delete_retention_policy(logGroupName=GROUP),
    f"rule {RULE}: tags": lambda aws: aws("events").tag_resource(
        ResourceARN=arn("events", f"rule/{RULE}"), Tags=STRANGE
    ),
    f"rule {RULE}: pattern": lambda aws: aws("events").put_rule(Name=RULE, EventPattern='{"source":["aws.s3"]}'),
    f"rule {RULE}: state": lambda aws: aws("events").disable_rule(Name=RULE),
    **of_topics("eu-west-1", f"mail {TOPIC}"),
    **of_alarms("eu-west-1", f"alarm {ALARMS['eu-west-1']}"),
    **of_topics(US, f"mail {TOPIC} in {US}"),
    **of_alarms(US, f"alarm {ALARMS[US]} in {US}"),
    f"dashboard {DASHBOARD}: tags": lambda aws: aws("cloudwatch").tag_resource(
        ResourceARN=f"arn:aws:cloudwatch::123456789012:dashboard/{DASHBOARD}", Tags=STRANGE
    ),
    f"dashboard {DASHBOARD}: body": lambda aws: aws("cloudwatch").put_dashboard(
        DashboardName=DASHBOARD, DashboardBody='{"widgets": []}'
    ),
    f"budget {BUDGET} in {US}: tags": lambda aws: aws("budgets").tag_resource(
        ResourceARN=f"arn:aws:budgets::123456789012:budget/{BUDGET}", ResourceTags=STRANGE
    ),
    f"budget {BUDGET} in {US}: limit in USD": rebudget,
    f"budget {BUDGET} in {US}: mails": lambda aws: aws("budgets").delete_notification(
        AccountId="123456789012",
        BudgetName=BUDGET,
        Notification=A_MAIL | {"ThresholdType": "PERCENTAGE"},
    ),
}


def test_every_drift_is_named_and_repaired_by_one_write(aws, everything, apply, todo):
    assert set(DRIFTS) == set(todo(everything))  # none forgotten: on an empty account everything differs
    apply(everything)
    assert todo(everything) == []
    for name, drift in DRIFTS.items():
        drift(aws)
        one = [resource for resource in everything if resource.title == name.rpartition(":")[0]]
        assert todo(one) == [name]
        assert apply(one) == 1
        assert todo(one) == []
    assert todo(everything) == []


def test_tags_of_others_are_left_alone(aws, everything, apply):
    apply(everything)
    retag_bucket(aws)
    apply(everything)
    tags = {tag["Key"]: tag["Value"] for tag in aws("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert tags == {"team": "ours", "project": "ahx-transformer", "ahx:stack": "ahx"}


def test_what_was_chosen_before_needs_no_telling_again(aws, stack_id, everything, apply, todo):
    apply(everything)
    untold = stack.resources(stack_id, Choices())
    assert todo(untold) == []
    chosen = [name for name in DRIFTS if name.endswith(("threshold", "limit in USD", "subscribers"))]
    for name in chosen:
        DRIFTS[name](aws)
    assert todo(untold) == chosen
    apply(untold)
    assert todo(everything) == []
