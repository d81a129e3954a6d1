"""Every member of a request that botocore knows is honoured, refused or listed, and each refusal is a sentence."""

from collections import Counter
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.embedded.http.protocols import AwsError
from infra.embedded.sagemaker.api.members import Honoured, Members, Refused
from infra.embedded.sagemaker.training.members import TRAINING_JOB, TRAINING_UPDATE
from infra.embedded.sagemaker.tuning.members import TUNING_JOB

ALL = [TRAINING_JOB, TRAINING_UPDATE, TUNING_JOB]


@pytest.mark.parametrize("members", ALL, ids=lambda members: members.operation)
def test_somebody_has_thought_of_every_member(members: Members, record_property: Any) -> None:
    paths = list(members.walk())
    unknown = [path for path in paths if members.of(path) is None]
    assert not unknown, "a newer botocore: say in the table what becomes of these"
    gone = [entry for entry in members.table if not any(_is_within(path, entry) for path in paths)]
    assert not gone, "the model has these members no more"
    record_property("classes", dict(Counter(type(members.of(path)).__name__ for path in paths)))


def _is_within(path: str, entry: str) -> bool:
    return path.startswith(entry) and path[len(entry) : len(entry) + 1] in ("", ".", "[", "{")


def test_the_walk_sees_lists_maps_and_structures_within_themselves() -> None:
    assert "InputDataConfig[].DataSource.S3DataSource.S3Uri" in set(TRAINING_JOB.walk())
    # Search's SearchExpression holds itself in a list.
    assert "SearchExpression.SubExpressions[]" in set(Members("Search", {}).walk())


def _request(members: Members, path: str, value: Any) -> dict[str, Any]:
    """The request that has `value` at `path`, and nothing else."""
    for part in reversed(path.split(".")):
        value = {part.rstrip("[]"): [value] if part.endswith("[]") else value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize("members", [TRAINING_JOB, TUNING_JOB], ids=lambda members: members.operation)
def test_what_is_refused_is_refused_with_its_place_and_a_sentence(members: Members) -> None:
    for path in members.walk():
        member = members.of(path)
        if isinstance(member, Refused) or (isinstance(member, Honoured) and member.values):
            with pytest.raises(AwsError) as caught:
                members.refuse(_request(members, path.removesuffix("{}"), "x"))
            assert caught.value.code == "ValidationException"
            place, _, sentence = caught.value.message.partition(": ")
            assert place.replace("[0]", "[]") == path
            assert sentence.endswith(".")
            assert len(sentence) > 20
        for nothing in (None, False, [], {}):
            members.refuse(_request(members, path.removesuffix("{}"), nothing))
    with pytest.raises(AwsError, match=r"Brand: botocore .* has no such member"):
        members.refuse({"Brand": "new"})


def test_a_refusal_reaches_the_client(job_request: Any) -> None:
    request = job_request()
    request["ResourceConfig"]["TrainingPlanArn"] = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/p"
    with pytest.raises(ClientError, match=r"ResourceConfig\.TrainingPlanArn: the embedded AWS has no training plans"):
        boto3.client("sagemaker").create_training_job(**request)
