"""A plan as lines to read and as JSON. Pure."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from infra.provision import training_jobs
from infra.provision.bucket import Bucket
from infra.provision.log_group import LogGroup
from infra.provision.repository import Repository
from infra.provision.role import Role
from infra.provision.stack import Action, Plan
from infra.provision.stack_id import StackId

Line = tuple[str, str]  # the text, and rich's style for it

_MARKS: dict[Action, tuple[str, str]] = {"create": ("+", "green"), "change": ("~", "yellow"), "in place": ("=", "dim")}
_LONGEST = 160  # characters of a value; --json has all of them


def where(stack_id: StackId, endpoint: str | None) -> Iterator[Line]:
    """The account, the region, and every ARN."""
    yield f"account     {stack_id.account}", ""
    yield f"region      {stack_id.region} (partition {stack_id.partition})", ""
    if endpoint:
        yield f"endpoint    {endpoint}, which is not Amazon's", "bold"
    yield f"bucket      {Bucket(stack_id).arn}", ""
    yield f"role        {Role(stack_id).arn}", ""
    yield f"image       {Repository(stack_id).image}", ""
    yield f"jobs        {training_jobs.arns(stack_id)}", ""
    yield f"log groups  {LogGroup(stack_id).arn}; of SageMaker, left as it is: {training_jobs.SAGEMAKER_LOG_GROUP}", ""


def lines(plans: Sequence[Plan]) -> Iterator[Line]:
    """Every resource, and every attribute of it, with a mark: + create, ~ change, = in place."""
    for plan in plans:
        mark, style = _MARKS[plan.action]
        yield "", ""
        yield f"{mark} {plan.resource.title}: {plan.action}", style
        for one in plan.differences:
            mark, style = _MARKS[one.action]
            if one.action == "change":
                for path, live, wanted in _changes(one.attribute, one.live, one.wanted):
                    yield f"    {mark} {path}: {_short(live)} -> {_short(wanted)}", style
            else:
                yield f"    {mark} {one.attribute}: {_short(one.wanted)}", style


def summary(plans: Sequence[Plan]) -> str:
    """ "2 to create, 1 to change, 7 in place"."""
    words: dict[Action, str] = {"create": "to create", "change": "to change", "in place": "in place"}
    return ", ".join(f"{sum(plan.action == action for plan in plans)} {text}" for action, text in words.items())


def as_json(stack_id: StackId, endpoint: str | None, plans: Sequence[Plan]) -> dict[str, Any]:
    """All of it, values in full."""
    return {
        "account": stack_id.account,
        "region": stack_id.region,
        "partition": stack_id.partition,
        "endpoint": endpoint,
        "todo": sum(len(plan.todo) for plan in plans),
        "resources": [
            {
                "kind": plan.resource.kind,
                "name": plan.resource.name,
                "arn": plan.resource.arn,
                "action": plan.action,
                "attributes": [
                    {"name": one.attribute, "action": one.action, "live": one.live, "wanted": one.wanted}
                    for one in plan.differences
                ],
            }
            for plan in plans
        ],
    }


def _changes(path: str, live: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    """What differs inside a value: of a policy, one statement and not the whole."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        for key in sorted({*live, *wanted}):
            if live.get(key) != wanted.get(key) and not (path == "tags" and key not in wanted):
                yield from _changes(f"{path}.{key}", live.get(key), wanted.get(key))
    elif isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        for at, (one, other) in enumerate(zip(live, wanted, strict=True)):
            if one != other:
                yield from _changes(f"{path}[{at}]", one, other)
    else:
        yield path, live, wanted


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
