"""Verifies a certificate: asks the model on disk every question again."""

from typing import NamedTuple

from ahx.data.tokenizer import Tokenizer
from ahx.errors import CheckpointError, InputError
from ahx.evaluation.interpreting import interpreter_of
from ahx.evaluation.trained import Trained
from ahx.model.certificate import Check, checker_of, machine_of, read_certificate
from ahx.model.checkpoint import WEIGHTS
from ahx.model.interpreter_certificate import InterpreterCheck
from ahx.rules import Rule
from ahx.rules.interpreters.interpreter import Interpreter
from ahx.rules.queue_machine import QueueMachine
from ahx.safe_files.untrusted import sha256


class Verdict(NamedTuple):
    check: Check | InterpreterCheck
    complaints: tuple[str, ...]  # differences from the certificate

    @property
    def certified(self) -> bool:
        return self.check.complete and not self.complaints


def machine_learnt(trained: Trained) -> QueueMachine:
    """The machine that a model of `ahx train --certify` has learnt. Raises InputError for any other model."""
    if trained.teacher.kind != "queue" or trained.rule is None:
        raise InputError(f"{trained.folder} is not a machine; train one with: ahx train --rule bb4 --certify")
    machine = machine_of(trained.rule)
    trained.expect(Tokenizer.of_queue(machine))
    return machine


def is_certified(trained: Trained) -> bool:
    """Whether a certificate for these weights is beside them. `verify` checks the model itself."""
    try:
        certificate = read_certificate(trained.folder)
    except CheckpointError:
        return False
    return bool(certificate.get("certified")) and certificate.get("weights_sha256") == sha256(trained.folder / WEIGHTS)


def verify(trained: Trained) -> Verdict:
    """Check the model, and the certificate beside its weights. Raises CheckpointError when there is none."""
    rule = _certified_rule(trained)
    certificate = read_certificate(trained.folder)
    checker = checker_of(rule, trained.tokenizer)
    check = checker(trained.model)
    found = {
        "weights_sha256": sha256(trained.folder / WEIGHTS),
        "rule": rule.spec,
        "machine": checker.machine,
        **check.found(),
        "certified": check.complete,
    }
    complaints = [
        f"{name}: the certificate says {certificate.get(name)!r:.200}, found {value!r:.200}"
        for name, value in found.items()
        if certificate.get(name) != value
    ]
    for name, value in check.measured().items():
        said = certificate.get(name)
        # Another processor may round differently; what differs by more was not measured on these weights.
        if not isinstance(said, float) or not abs(said - value) <= 0.01:  # NaN is no margin either
            complaints.append(f"{name}: the certificate says {said!r:.200}, found {value:.4f}")
    return Verdict(check, tuple(complaints))


def _certified_rule(trained: Trained) -> Rule:
    """The rule that a certificate is about. Raises InputError for a model of which there is none."""
    if isinstance(trained.rule, Interpreter):
        return interpreter_of(trained)
    machine_learnt(trained)
    assert trained.rule is not None
    return trained.rule
