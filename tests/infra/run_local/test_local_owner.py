"""Whether the owner of what is found has ended."""

import subprocess
import sys

from infra.run_local import owner

NAME = "from infra.run_local import owner; print(owner.name(), flush=True); input()"


def test_an_owner_is_gone_when_it_has_ended_and_only_then() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        name = other.stdout.readline().strip()
        assert not owner.is_gone(name)
        other.communicate("\n")
    assert owner.is_gone(name)


def test_a_number_that_is_another_process_now_is_gone_and_what_another_machine_numbers_is_not() -> None:
    pid, start, machine = owner.name().split(" ", 2)
    assert not owner.is_gone(f"{pid} {start} {machine}")
    assert owner.is_gone(f"{pid} {int(start) - 1} {machine}")
    assert not owner.is_gone(f"999999999 {start} elsewhere")
    assert not any(map(owner.is_gone, ("", "12", "x y z", f"-1 1 {machine}")))
