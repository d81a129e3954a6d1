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


@_interpreter
def substitution_interpreter() -> str:
    """One step of the substitution whose rules stand before the bar: any rules for letters, with words of up to three.

    >>> substitution_interpreter("B->,A->BC,|ABBAD")
    'BCBCD'
    """
    return "interpreter: substitution"


@_interpreter
def markov_interpreter() -> str:
    """One step of the Markov algorithm whose rules stand before the bar: any rules with up to two letters on the left.

    After a final rule (`->.`) a dot is put behind the string.

    >>> markov_interpreter("BA->AB,CC->.D,|CABCC")
    'CABD.'
    """
    return "interpreter: markov"
