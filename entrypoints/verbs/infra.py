"""Create, check and delete the AWS resources that training on SageMaker needs.

There is no state file: each action reads the resources of the account. With AWS_ENDPOINT_URL set to the address of
`ahx aws`, everything happens on this machine.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from ahx.errors import InputError, ServiceError
from ahx.text.printing import data

if TYPE_CHECKING:
    from infra.provision.show import Line
    from infra.provision.stack import Plan
    from infra.provision.stack_id import StackId

EXAMPLES = [
    "ahx infra apply --yes --budget 50 --email me@example.org",
    "ahx infra plan",
    "ahx infra doctor --instance-type ml.g4dn.xlarge",
    "ahx infra policy user",
    "ahx infra destroy --yes",
]

IMAGE = "ahx-transformer:dev"

_LEVELS = {"ok": "green", "warning": "yellow", "problem": "red"}
_SOMETHING_TO_DO = 2  # the exit code of a plan with something to do


def configure(parser: argparse.ArgumentParser) -> None:
    """The actions plan, apply, destroy, doctor and policy."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    plan = actions.add_parser("plan", help="Show what apply would do; exit code 2 if there are changes, else 0.")
    _stack(plan)
    _choices(plan)
    plan.add_argument("--json", action="store_true", help="Print the plan as JSON.")

    apply = actions.add_parser("apply", help="Create what is missing and repair what differs, after confirmation.")
    _stack(apply)
    _choices(apply)
    apply.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")

    destroy = actions.add_parser("destroy", help="Delete everything that apply created, after confirmation.")
    _stack(destroy)
    destroy.add_argument("--yes", action="store_true", help="Do not ask for confirmation.")
    destroy.add_argument("--delete-data", action="store_true", help="Also delete data, models and images.")

    doctor = actions.add_parser(
        "doctor", help="Find what would make a training job fail; exit code 1 if there is a problem."
    )
    _stack(doctor)
    doctor.add_argument("--image", default=IMAGE, help="Local name of the image to train with.")
    doctor.add_argument(
        "--instance-type",
        action="append",
        metavar="TYPE",
        help="Check its quota; may be repeated (default: ml.m5.large).",
    )
    doctor.add_argument("--json", action="store_true", help="Print the findings as JSON.")

    policy = actions.add_parser("policy", help="Print an IAM policy with least privilege.")
    _stack(policy)
    of = {"user": "for training", "provisioner": "for apply, in addition to user", "training": "the role of jobs"}
    meaning = "; ".join(f"{name}: {what}" for name, what in of.items())
    policy.add_argument("of", metavar="OF", choices=list(of), help=f"{meaning}.")
    policy.add_argument("--mlflow", metavar="ARN", help="The managed MLflow that jobs report to, for training.")


def run(args: argparse.Namespace) -> int:
    """Do the action. Returns the exit code."""
    actions = {"plan": _plan, "apply": _apply, "destroy": _destroy, "doctor": _doctor, "policy": _policy}
    return actions[args.action](args)


def _stack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", default="ahx", help="First part of all names; each prefix is a stack of its own.")
    parser.add_argument("--region", help="Region in AWS. Default: AWS_REGION, else the region of `aws configure`.")


def _choices(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--email", metavar="ADDRESS", help="Address for alarms and the budget (default: unchanged, or none).")
    add(
        "--spend",
        type=float,
        metavar="USD",
        help="Alarm above this monthly SageMaker bill (default: unchanged, or 50).",
    )
    add("--budget", type=float, metavar="USD", help="Monthly budget of the account (default: unchanged, or none).")
    add("--mlflow", metavar="ARN", help="Managed MLflow that jobs report to, or none (default: unchanged, or none).")
    add("--adopt", action="store_true", help="Take over resources that have the stack's names but not its tag.")


def _plan(args: argparse.Namespace) -> int:
    from infra import aws_clients
    from infra.provision import show

    stack_id, plans = _plans(args)
    if args.json:
        data(json.dumps(show.as_json(stack_id, aws_clients.endpoint(), plans), indent=2))
    else:
        _print(show.where(stack_id, aws_clients.endpoint()))
        _print(show.lines(plans))
        _print([("", ""), (f"{show.summary(plans)}.", "bold")])
    return _SOMETHING_TO_DO if any(plan.todo for plan in plans) else 0


def _apply(args: argparse.Namespace) -> int:
    from infra import aws_clients
    from infra.provision import show, stack

    stack_id, plans = _plans(args)
    todo = [plan for plan in plans if plan.todo]
    _print(show.where(stack_id, aws_clients.endpoint()))
    _print(show.lines(todo))
    _print([("", ""), (f"{show.summary(plans)}.", "bold")])
    if not todo:
        return 0
    _ask(args.yes, f"Apply this to account {stack_id.account}?")
    writes = sum(stack.apply(plan, lambda step: print(step, flush=True)) for plan in todo)
    print(f"Done: {writes} writes.")
    if args.email:
        print(f"AWS sends {args.email} a mail for each new subscription; alarms arrive after a click in it.")
    return 0


def _destroy(args: argparse.Namespace) -> int:
    from infra.provision import stack
    from infra.provision.resource import Choices
    from infra.provision.training_jobs import SAGEMAKER_LOG_GROUP

    stack_id = _stack_id(args)
    found = list(stack.present(stack.resources(stack_id, Choices())))
    for resource in (resource for resource, ours in found if not ours):
        print(f"The {resource.title} does not carry our tag and is left as it is.")
    ours = [resource for resource, is_ours in reversed(found) if is_ours]
    if not ours:
        print(f"There is nothing of {stack_id.prefix!r} in account {stack_id.account}, {stack_id.region}.")
        return 0
    if jobs := stack.running(stack_id):
        count = "1 of our jobs is" if len(jobs) == 1 else f"{len(jobs)} of our jobs are"
        some = ", ".join(jobs[:3]) + (" ..." if len(jobs) > 3 else "")
        raise ServiceError(f"{count} not over ({some}), so nothing was deleted; wait for them, or stop them first")
    full = [(resource, stack.contents(resource)) for resource in ours]
    _print((f"- {one.title}{f', with {held}' if held else ''}", "red") for one, held in full)
    if any(held for _, held in full) and not args.delete_data:
        lost = " and ".join(f"{held} in the {one.title}" for one, held in full if held)
        raise ServiceError(f"there is data: {lost}, so nothing was deleted; to delete them too, add --delete-data")
    _ask(args.yes, f"Delete all of this from account {stack_id.account}?")
    for resource in ours:
        print(f"delete {resource.title}", flush=True)
        stack.destroy(resource)
    print(f"Nothing is left. {SAGEMAKER_LOG_GROUP} belongs to the whole account and was left as it is.")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from infra import doctor
    from infra.launch.options import INSTANCE_TYPE

    findings = []
    for finding in doctor.examine(args.region, args.prefix, args.image, args.instance_type or [INSTANCE_TYPE]):
        findings.append(finding)
        if not args.json:
            _print([(f"{finding.level:8}{finding.check}: {finding.text}", _LEVELS[finding.level])])
            if finding.next_step:
                _print([(f"        -> {finding.next_step}", "bold")])
    if args.json:
        data(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.level == "problem" for finding in findings))


def _policy(args: argparse.Namespace) -> int:
    from infra.provision import policies

    _check_mlflow(args.mlflow)
    if args.mlflow and args.of != "training":
        raise InputError(f"--mlflow: is for the policy `training` only (got {args.of}); leave it out")
    choice = {"mlflow": args.mlflow} if args.mlflow else {}
    data(json.dumps(getattr(policies, args.of)(_stack_id(args), **choice), indent=2))
    return 0


def _check_mlflow(given: str | None) -> None:
    from ahx.training.tracking.choice import ARN_FORM, is_arn
    from infra.provision.resource import NO_MLFLOW

    if given is not None and given != NO_MLFLOW and not is_arn(given):
        raise InputError(f"--mlflow: {given!r} is not the ARN of an MLflow server, {ARN_FORM}, or {NO_MLFLOW}")


def _stack_id(args: argparse.Namespace) -> "StackId":
    from infra import aws_clients

    return aws_clients.caller(args.region).stack_id(args.prefix)


def _plans(args: argparse.Namespace) -> "tuple[StackId, list[Plan]]":
    from infra.provision import stack
    from infra.provision.resource import Choices

    for option in ("spend", "budget"):
        if getattr(args, option) is not None and not 0 < getattr(args, option) < 1e9:
            raise InputError(f"--{option}: must be a number of dollars above 0 (got {getattr(args, option):g})")
    if args.email is not None and not (
        0 < args.email.find("@") < len(args.email) - 1 and args.email.split() == [args.email]
    ):
        raise InputError(f"--email: {args.email!r} is not an address such as me@example.org")
    _check_mlflow(args.mlflow)
    stack_id = _stack_id(args)
    choices = Choices(spend=args.spend, budget=args.budget, email=args.email, mlflow=args.mlflow)
    found = stack.resources(stack_id, choices)
    plans = [stack.plan(resource, adopt=args.adopt) for resource in found]
    return stack_id, [plan for plan in plans if plan is not None]


def _ask(yes: bool, question: str) -> None:
    """Returns when the answer is yes. Raises InputError without a terminal, ServiceError when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("cannot ask for confirmation without a terminal; add --yes to skip it")
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:  # Ctrl-D
        answer = "no"
    if answer.strip().lower() not in ("y", "yes"):
        raise ServiceError("nothing was changed, as you answered no")


def _print(lines: "Iterable[Line]") -> None:
    """Print the lines, in colour on a terminal."""
    if not sys.stdout.isatty():
        for text, _ in lines:
            print(text)
        return
    from rich.text import Text

    from ahx.text.printing import console, printable

    screen = console(soft_wrap=True)
    for text, style in lines:
        screen.print(Text(printable(text), style=style))
