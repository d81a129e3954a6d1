"""Whether the owner of what is found has ended."""

import subprocess
import sys

from infra.run_local import process_identity

NAME = "from infra.run_local import process_identity; print(process_identity.name(), flush=True); input()"


def test_an_owner_has_ended_when_it_has_ended_and_only_then() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        name = other.stdout.readline().strip()
        assert not process_identity.has_ended(name)
        other.communicate("\n")
    assert process_identity.has_ended(name)


def test_a_number_that_is_another_process_now_has_ended_and_what_another_machine_numbers_is_not() -> None:
    pid, start, machine = process_identity.name().split(" ", 2)
    assert not process_identity.has_ended(f"{pid} {start} {machine}")
    assert process_identity.has_ended(f"{pid} {int(start) - 1} {machine}")
    assert not process_identity.has_ended(f"999999999 {start} elsewhere")
    assert not any(map(process_identity.has_ended, ("", "12", "x y z", f"-1 1 {machine}")))
