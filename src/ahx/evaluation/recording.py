"""Records a run step by step: draws it, and compares it with the rule."""

from collections.abc import Iterator

from ahx.evaluation.spacetime import Diagram
from ahx.evaluation.trained import Trained
from ahx.rules.queue_machine import QueueMachine

_ENDLESS = 10**12  # steps


class Recorder:
    """Called with the queue after each step of the machine."""

    def __init__(
        self, trained: Trained, machine: QueueMachine, text: str, *, draw: bool, check: bool, last: int = 0
    ) -> None:
        self.machine, self.draw, self.check = machine, draw, check
        self.needed = draw or check
        self.compared, self.difference = 0, ""
        self.diagram = Diagram(
            "".join(cell for cell in machine.cells if len(cell) == 1 and cell != machine.mark), last=last
        )
        self._expected: Iterator[str] = iter(())
        if check and trained.rule is not None:
            self._expected = trained.rule.unlimited().trace(text, _ENDLESS)
            next(self._expected)  # the first one is the input
        if draw:
            self.diagram.add(machine.unload(machine.load(text)))

    def halted(self) -> None:
        """The machine has halted: with --check, the rule must have too."""
        if self.check and not self.difference and (expected := next(self._expected, None)) is not None:
            begin = f"step {self.compared + 1:,}: "
            self.difference = f"{begin}expected {expected[:200]}\n{'':{len(begin)}}got no step: the model has halted"

    def __call__(self, queue: list[str]) -> None:
        if self.difference:
            return
        configuration = self.machine.unload(queue)
        if self.draw:
            self.diagram.add(configuration)
        if self.check:
            expected = next(self._expected, None)
            self.compared += 1
            if expected != configuration:
                right = "the rule has halted" if expected is None else expected[:200]
                begin = f"step {self.compared:,}: "
                self.difference = f"{begin}expected {right}\n{'':{len(begin)}}got {configuration[:200]}"
