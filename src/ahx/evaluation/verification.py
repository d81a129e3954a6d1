"""Verifies a certificate: checks the model on disk at every window again."""

from typing import NamedTuple

from ahx.data.tokenizer import Tokenizer
from ahx.errors import CheckpointError, InputError
from ahx.evaluation.trained import Trained
from ahx.files.untrusted import sha256
from ahx.model.certificate import Check, Checker, machine_entry, machine_of, read_certificate
from ahx.model.checkpoint import WEIGHTS
from ahx.rules.queue_machine import QueueMachine


class Verdict(NamedTuple):
    check: Check
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
    """Check all windows, and the certificate beside the weights. Raises CheckpointError when there is none."""
    machine = machine_learnt(trained)
    check = Checker(machine, trained.tokenizer)(trained.model)
    certificate = read_certificate(trained.folder)
    found = {
        "weights_sha256": sha256(trained.folder / WEIGHTS),
        "rule": trained.rule.spec if trained.rule else None,
        "machine": machine_entry(machine),
        "windows": {"checked": check.right, "all": check.windows},
        "contexts": check.contexts,
        "certified": check.complete,
    }
    complaints = [
        f"{name}: the certificate says {certificate.get(name)!r:.200}, found {value!r:.200}"
        for name, value in found.items()
        if certificate.get(name) != value
    ]
    margin = certificate.get("least_margin")
    # Another processor may round differently; a margin that differs by more was not measured on these weights.
    if not isinstance(margin, float) or not abs(margin - check.margin) <= 0.01:  # NaN is no margin either
        complaints.append(f"least_margin: the certificate says {margin!r:.200}, found {check.margin:.4f}")
    return Verdict(check, tuple(complaints))
