"""Named rules that read another rule in their input."""

from collections.abc import Callable

from ahx.rules.preset import Preset, read_preset

INTERPRETERS: dict[str, Preset] = {}


def _interpreter(text: Callable[[], str]) -> Callable[[], str]:
    INTERPRETERS[text.__name__] = read_preset(text)
    return text


@_interpreter
def turing_interpreter() -> str:
    """One step of the Turing machine whose rules stand before the bar: any machine with up to 8 states and 4 symbols.

    >>> turing_interpreter("B1:1RZ,A0:1RB,B0:1LA,A1:1LB,|A0")
    '1B0'
    """
    return "interpreter: turing"
