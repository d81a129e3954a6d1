"""IAM's evaluation of policies: actions, resources and principals with wildcards, conditions, explicit denials.

Follows "Policy evaluation logic" and "IAM JSON policy elements: Condition operators" of the IAM User Guide.
"""

import fnmatch
import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9:/_-]+)\}")

Context = Mapping[str, str | Sequence[str]]


class Decision:
    """IAM's names of the three outcomes."""

    ALLOWED, EXPLICIT_DENY, IMPLICIT_DENY = "allowed", "explicitDeny", "implicitDeny"


@dataclass
class Evaluation:
    """An outcome, the numbers of the policies that decided it, and condition keys that the context lacks."""

    outcome: str = Decision.IMPLICIT_DENY
    matched: list[int] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def decide(
    policies: Iterable[str | dict[str, Any]], action: str, resource: str, context: Context, principal: str = ""
) -> Evaluation:
    """Whether `policies` (documents, as text or parsed) allow `action` on `resource`.

    `context` are condition keys and their values. Statements of a resource's policy must name the `principal`; those of
    an identity's policy, which is evaluated without one, name none.
    """
    keys = {key.lower(): value for key, value in context.items()}
    allowing: list[int] = []
    denying: list[int] = []
    missing: list[str] = []
    for number, policy in enumerate(policies):
        for statement in statements(_substituted(policy, keys)):
            if not _applies(statement, action, resource, principal):
                continue
            absent = [key for key in _condition_keys(statement) if key.lower() not in keys]
            missing += [key for key in absent if key not in missing]
            if all(_holds(name, wanted, keys) for name, wanted in statement.get("Condition", {}).items()):
                (allowing if statement["Effect"] == "Allow" else denying).append(number)
    if denying:
        return Evaluation(Decision.EXPLICIT_DENY, denying, missing)
    return Evaluation(Decision.ALLOWED if allowing else Decision.IMPLICIT_DENY, allowing, missing)


def unmet(policy: str | dict[str, Any], action: str, resource: str, context: Context, principal: str) -> list[str]:
    """The failed conditions of statements that would otherwise allow `action` to `principal`, one clause each."""
    keys = {key.lower(): value for key, value in context.items()}
    return [
        f"{name} wants {key} to be {' or '.join(map(str, _listed(values)))}, and it is {keys.get(key.lower())}"
        for statement in statements(_substituted(policy, keys))
        if statement["Effect"] == "Allow" and _applies(statement, action, resource, principal)
        for name, wanted in statement.get("Condition", {}).items()
        for key, values in wanted.items()
        if not _holds(name, {key: values}, keys)
    ]


def _substituted(policy: str | dict[str, Any], keys: Context) -> str:
    """The document with policy variables, such as ${aws:username}, replaced if the context has them."""
    text = policy if isinstance(policy, str) else json.dumps(policy)
    return _VARIABLE.sub(lambda found: _escaped(keys.get(found[1].lower()), found[0]), text)


def _escaped(value: str | Sequence[str] | None, otherwise: str) -> str:
    return json.dumps(value)[1:-1] if isinstance(value, str) else otherwise


def statements(policy: str | dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy document."""
    return _listed((json.loads(policy) if isinstance(policy, str) else policy).get("Statement", []))


def _applies(statement: dict[str, Any], action: str, resource: str, principal: str) -> bool:
    if "NotAction" in statement:
        acts = not _any_matches(statement["NotAction"], action, ignore_case=True)
    else:
        acts = _any_matches(statement.get("Action", []), action, ignore_case=True)
    if "NotResource" in statement:
        covers = not _any_matches(statement["NotResource"], resource)
    else:
        covers = _any_matches(statement.get("Resource", "*"), resource)
    return acts and covers and (not principal or _names(statement, principal))


def _names(statement: dict[str, Any], principal: str) -> bool:
    """Whether the statement's Principal is this one: an ARN, its account, or a service."""
    named, inverted = statement.get("Principal"), False
    if named is None:
        named, inverted = statement.get("NotPrincipal", {}), True
    values = ["*"] if named == "*" else [value for kind in dict(named).values() for value in _listed(kind)]
    account = principal.split(":")[4] if principal.startswith("arn:") else ""
    equals = any(value in ("*", principal, account, f"arn:aws:iam::{account}:root") for value in values)
    return equals != inverted


def _any_matches(patterns: str | list[str], value: str, ignore_case: bool = False) -> bool:
    return any(_glob(pattern, ignore_case).fullmatch(value) for pattern in _listed(patterns))


@cache
def _glob(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """IAM's wildcards: * and ?; square brackets are literal."""
    text = fnmatch.translate(pattern.replace("[", "[[]"))
    return re.compile(text, re.IGNORECASE if ignore_case else 0)


def _condition_keys(statement: dict[str, Any]) -> list[str]:
    return [key for wanted in statement.get("Condition", {}).values() for key in wanted]


def _holds(condition: str, wanted: dict[str, Any], keys: Context) -> bool:
    """Whether all keys of one operator's block hold; the values of a key are alternatives."""
    quantifier, _, name = condition.rpartition(":")
    name, if_exists = name.removesuffix("IfExists"), name.endswith("IfExists")
    for key, values in wanted.items():
        found = keys.get(key.lower())
        options = [str(value).lower() if isinstance(value, bool) else str(value) for value in _listed(values)]
        if name == "Null":
            if (found is None) != (options[0] == "true"):
                return False
            continue
        negated = "Not" in name
        if found is None:
            if not (if_exists or negated or quantifier == "ForAllValues"):
                return False
            continue
        test = _OPERATORS.get(name.replace("Not", ""))
        if test is None:
            return False
        hits = [any(test(option, value) for option in options) != negated for value in _listed(found)]
        if not (any(hits) if quantifier == "ForAnyValue" else all(hits)):
            return False
    return True


def _seconds(text: str) -> float:
    if text.replace(".", "", 1).isdigit():
        return float(text)
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _arn_like(wanted: str, found: str) -> bool:
    """Each of the six parts is matched separately: a * does not match a colon."""
    ours, theirs = wanted.split(":", 5), found.split(":", 5)
    return len(ours) == len(theirs) and all(bool(_glob(a).fullmatch(b)) for a, b in zip(ours, theirs, strict=True))


_COMPARISONS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}


def _comparing(convert: Callable[[str], float], compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda wanted, found: compare(convert(found), convert(wanted))


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": operator.eq,
    "StringEqualsIgnoreCase": lambda wanted, found: wanted.lower() == found.lower(),
    "StringLike": lambda wanted, found: bool(_glob(wanted).fullmatch(found)),
    **{f"Numeric{name}": _comparing(float, compare) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": _comparing(_seconds, compare) for name, compare in _COMPARISONS.items()},
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
    "BinaryEquals": operator.eq,
    "IpAddress": lambda wanted, found: ipaddress.ip_address(found) in ipaddress.ip_network(wanted, strict=False),
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
