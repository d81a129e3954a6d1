"""IAM's SimulatePrincipalPolicy, over the users, groups and roles that moto keeps.

Follows https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html: every action on every
resource, by the inline and attached policies of the user, with those of the user's groups, or of the role.
"""

from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse

from infra.embedded.policy import decide


def teach() -> None:
    """Teach moto, in this process."""
    IamResponse.simulate_principal_policy = _simulate_principal_policy


def _simulate_principal_policy(self: Any) -> ActionResult:
    of = self._get_param("PolicySourceArn")
    held = [*_policies(self.backend, of), *self._get_param("PolicyInputList", [])]
    context = {
        entry["ContextKeyName"]: entry.get("ContextKeyValues", []) for entry in self._get_param("ContextEntries", [])
    }
    results = []
    for action in self._get_param("ActionNames"):
        for resource in self._get_param("ResourceArns", ["*"]):
            found = decide(held, action, resource, context)
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": found.outcome,
                    "MatchedStatements": [
                        {"SourcePolicyId": f"PolicyInputList.{number + 1}"} for number in found.matched
                    ],
                    "MissingContextValues": found.missing,
                }
            )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _policies(iam: Any, arn: str) -> list[str]:
    """The policies of the user or role, as text."""
    kind, _, path = arn.split(":", 5)[5].partition("/")
    name = path.rpartition("/")[2]
    if kind == "user":
        user = iam.get_user(name)
        parties = [user, *iam.get_groups_for_user(name)]
    elif kind == "role":
        parties = [iam.get_role(name)]
    else:
        raise NotFoundException(f"The principal {arn} cannot be found.")
    found: list[str] = []
    for party in parties:
        found += party.policies.values()
        found += [policy.default_version.document for policy in party.managed_policies.values()]
    return [text.replace("${aws:username}", name) for text in found] if kind == "user" else found
