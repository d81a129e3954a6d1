"""IAM's SimulatePrincipalPolicy and SimulateCustomPolicy.

Follows API_SimulatePrincipalPolicy and API_EvaluationResult: one result per action, whose decision is the most
restrictive one over the resources, and which contains a result for each resource. A permissions boundary limits what
the policies of an identity allow.
"""

import re
from typing import Any

from moto.iam.models import iam_backends

from infra.embedded import moto_lookup
from infra.embedded.http.protocols import ACCOUNT, AwsError
from infra.embedded.iam.policy import Context, Decision, Evaluation, decide

Request = dict[str, Any]
_STRICTEST_FIRST = (Decision.EXPLICIT_DENY, Decision.IMPLICIT_DENY, Decision.ALLOWED)


def simulate_principal_policy(request: Request, region: str) -> dict[str, Any]:
    """The policies of a user, group or role, and those of PolicyInputList."""
    source = request.get("PolicySourceArn", "")
    policies, boundary = _policies_of(source)
    context = {"aws:PrincipalArn": source, "aws:PrincipalAccount": ACCOUNT}
    if ":user/" in source:
        context["aws:username"] = source.rpartition("/")[2]
    return _simulate(policies + request.get("PolicyInputList", []), boundary, request, context)


def simulate_custom_policy(request: Request, region: str) -> dict[str, Any]:
    """The policies of PolicyInputList."""
    return _simulate(request.get("PolicyInputList", []), [], request, {})


def _simulate(policies: list[str], boundary: list[str], request: Request, context: dict[str, Any]) -> dict[str, Any]:
    actions = request.get("ActionNames", [])
    if not actions:
        raise AwsError("InvalidInput", "ActionNames must name at least one action.")
    boundary = request.get("PermissionsBoundaryPolicyInputList", []) or boundary
    entries = [one for one in request.get("ContextEntries", []) if "ContextKeyName" in one]
    context = context | {one["ContextKeyName"]: one.get("ContextKeyValues", []) for one in entries}
    resources = request.get("ResourceArns", []) or ["*"]
    start = int(request.get("Marker") or 0)
    stop = start + int(request.get("MaxItems") or 100)
    results = [_result(action, resources, policies, boundary, context) for action in actions[start:stop]]
    more = {"Marker": str(stop)} if stop < len(actions) else {}
    return {"EvaluationResults": results, "IsTruncated": stop < len(actions)} | more


def _result(
    action: str, resources: list[str], policies: list[str], boundary: list[str], context: Context
) -> dict[str, Any]:
    if not re.fullmatch(r"[A-Za-z0-9-]+:[A-Za-z0-9*]+", action):
        raise AwsError("InvalidInput", f"The action {action} is not of the form service:Operation.")
    found = [(resource, _evaluate(policies, boundary, action, resource, context)) for resource in resources]
    outcome = min((one.outcome for _, one in found), key=_STRICTEST_FIRST.index)
    specific = [
        {"EvalResourceName": resource, "EvalResourceDecision": one.outcome} | _details(one) for resource, one in found
    ]
    strictest = next(one for _, one in found if one.outcome == outcome)
    result = {"EvalActionName": action, "EvalResourceName": resources[0], "EvalDecision": outcome} | _details(strictest)
    return result | ({"ResourceSpecificResults": specific} if resources != ["*"] else {})


def _evaluate(policies: list[str], boundary: list[str], action: str, resource: str, context: Context) -> Evaluation:
    found = decide(policies, action, resource, context)
    if found.outcome == Decision.ALLOWED and boundary:
        limit = decide(boundary, action, resource, context)
        if limit.outcome != Decision.ALLOWED:
            return Evaluation(limit.outcome, [], found.missing + limit.missing)
    return found


def _details(one: Evaluation) -> dict[str, Any]:
    matched = [{"SourcePolicyId": f"PolicyInputList.{number + 1}"} for number in one.matched]
    return {"MatchedStatements": matched, "MissingContextValues": one.missing}


def _policies_of(arn: str) -> tuple[list[str], list[str]]:
    """The policies of an identity, and its permissions boundary. Raises AwsError if there is no such identity."""
    iam = moto_lookup.backend(iam_backends)
    kind, _, path = arn.rpartition(":")[2].partition("/")
    name = path.rpartition("/")[2]
    held = {"role": iam.roles.values(), "user": iam.users.values(), "group": iam.groups.values()}.get(kind, [])
    identity = next((one for one in held if one.arn == arn), None)
    if identity is None:
        raise AwsError("NoSuchEntity", f"The {kind or 'identity'} with name {name or arn} cannot be found.", 404)
    groups = [group for group in iam.groups.values() if kind == "user" and identity in group.users]
    documents = [document for one in [identity, *groups] for document in _documents(one)]
    boundary = getattr(identity, "permissions_boundary_arn", None)
    return documents, [_default(iam.managed_policies[boundary])] if boundary in iam.managed_policies else []


def _documents(identity: Any) -> list[str]:
    return [*identity.policies.values(), *(_default(policy) for policy in identity.managed_policies.values())]


def _default(policy: Any) -> str:
    """The document of a managed policy's default version."""
    return str(next(version.document for version in policy.versions if version.is_default))


OPERATIONS = {
    ("iam", "SimulatePrincipalPolicy"): simulate_principal_policy,
    ("iam", "SimulateCustomPolicy"): simulate_custom_policy,
}
