"""Named rules. Each is a function that returns the text of the rule; its docstring describes it, with examples."""

from collections.abc import Callable

from ahx.rules.interpreters import INTERPRETERS
from ahx.rules.preset import Preset, read_preset

_PRESETS: dict[str, Preset] = {}


def presets() -> dict[str, Preset]:
    """All presets by name, the simple ones first."""
    interpreters = (interpreter.preset() for interpreter in INTERPRETERS.values())
    return _PRESETS | {preset.name: preset for preset in interpreters}


def _preset(text: Callable[[], str]) -> Callable[[], str]:
    _PRESETS[text.__name__] = read_preset(text)
    return text


@_preset
def copy() -> str:
    """The output is the input.

    >>> copy("HELLO")
    'HELLO'
    """
    return "substitution:"


@_preset
def double_a() -> str:
    """Every A is written twice.

    >>> double_a("ABA")
    'AABAA'
    """
    return "A -> AA"


@_preset
def delete_b() -> str:
    """Every B is left out.

    >>> delete_b("ABBA")
    'AA'
    """
    return "B ->; alphabet=AB"


@_preset
def swap_ab() -> str:
    """A becomes B, and B becomes A.

    >>> swap_ab("ABB")
    'BAA'
    """
    return "A -> B, B -> A"


@_preset
def rot13() -> str:
    """Every letter moves 13 places on in the alphabet.

    >>> rot13("HELLO")
    'URYYB'
    """
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return ", ".join(f"{a} -> {b}" for a, b in zip(letters, letters[13:] + letters[:13], strict=True))


@_preset
def reverse() -> str:
    """The input from right to left.

    >>> reverse("HELLO")
    'OLLEH'
    """
    return "transducer: q < -> stop, q * -> * L q; start=right"


@_preset
def duplicate() -> str:
    """The input twice in a row.

    >>> duplicate("ABC")
    'ABCABC'
    """
    return (
        'transducer: one * -> * R one, one > -> "" L back, back * -> "" L back, back < -> "" R two, '
        "two * -> * R two, two > -> stop"
    )


@_preset
def palindrome() -> str:
    """The input, and then the input from right to left.

    >>> palindrome("ABC")
    'ABCCBA'
    """
    return 'transducer: there * -> * R there, there > -> "" L back, back * -> * L back, back < -> stop'


@_preset
def parity() -> str:
    """1 if the number of ones is odd, 0 if it is even.

    >>> parity("10110")
    '1'
    >>> parity("")
    '0'
    """
    return (
        'transducer: even 0 -> "" R even, even 1 -> "" R odd, even > -> 0 S done, '
        'odd 0 -> "" R odd, odd 1 -> "" R even, odd > -> 1 S done, done > -> stop'
    )


@_preset
def increment() -> str:
    """One more, in binary, with the most significant bit first.

    A 0 is held back while the ones behind it are read: at the right end it becomes 1 and they become zeros; before
    another 0 they are copied.

    >>> increment("1011")
    '1100'
    >>> increment("111")
    '1000'
    """
    return (
        'transducer: read 0 -> "" R read1, read 1 -> "" R read1, read > -> "" L carry, '
        'read1 1 -> "" R read1, read1 0 -> "" L back, read1 > -> "" L carry, '
        'back 1 -> "" L back, back 0 -> 0 R copy, back < -> "" R copy, '
        'copy 1 -> 1 R copy, copy 0 -> "" R read1, '
        'carry 1 -> "" L carry, carry 0 -> 1 R zeros, carry < -> 1 R zeros, '
        "zeros 1 -> 0 R zeros, zeros > -> stop"
    )


@_preset
def sort() -> str:
    """The symbols in alphabetical order, by swapping neighbours.

    >>> sort("CABBA")
    'AABBC'
    """
    return "markov: BA -> AB, CA -> AC, CB -> BC"


@_preset
def unary_add() -> str:
    """The sum of numbers that are written as strokes.

    >>> unary_add("11+111")
    '11111'
    """
    return "markov: + ->; alphabet=1+"


@_preset
def unary_multiply() -> str:
    """The product of two numbers that are written as strokes.

    >>> unary_multiply("11*111")
    '111111'
    """
    return "markov: a1 -> 1ba, a ->, b1 -> 1b, 1* -> *a, *1 -> *, * ->, b -> 1; alphabet=1*"


@_preset
def binary_to_unary() -> str:
    """A binary number as strokes.

    >>> binary_to_unary("101")
    '|||||'
    """
    return "markov: |0 -> 0||, 1 -> 0|, 0 ->; alphabet=01"


@_preset
def collatz() -> str:
    """The Collatz problem as a tag system (De Mol 2008): from n times a, down to a single one.

    >>> collatz("aaa")
    'a'
    """
    return "tag: 2; a -> bc, b -> a, c -> aaa"


@_preset
def fibonacci() -> str:
    """One generation of the L-system whose lengths are the Fibonacci numbers.

    >>> fibonacci("ABAAB")
    'ABAABABA'
    """
    return "lsystem: A -> AB, B -> A"


@_preset
def thue_morse() -> str:
    """One generation of the Thue-Morse sequence: no string ever occurs three times in a row.

    >>> thue_morse("ABBA")
    'ABBABAAB'
    """
    return "lsystem: A -> AB, B -> BA"


@_preset
def dragon() -> str:
    """One generation of the dragon curve: F and G are strokes, + and - are turns.

    >>> dragon("F+G")
    'F+G+F-G'
    """
    return "lsystem: F -> F+G, G -> F-G; alphabet=FG+-"


@_preset
def koch() -> str:
    """One generation of the quadratic Koch curve: F is a stroke, + and - are turns.

    >>> koch("F+F")
    'F+F-F-F+F+F+F-F-F+F'
    """
    return "lsystem: F -> F+F-F-F+F; alphabet=F+-"


@_preset
def rule30() -> str:
    """One step of Wolfram's rule 30, which looks random.

    >>> rule30("0001000")
    '0011100'
    """
    return "ca: 30"


@_preset
def rule90() -> str:
    """One step of Wolfram's rule 90: each cell becomes the sum of its neighbours, modulo 2.

    >>> rule90("0001000")
    '0010100'
    """
    return "ca: 90"


@_preset
def rule110() -> str:
    """One step of Wolfram's rule 110, which can compute anything (Cook 2004).

    >>> rule110("0001101")
    '0011111'
    """
    return "ca: 110"


@_preset
def bb3() -> str:
    """The busy beaver with 3 states: from a blank tape, 21 steps, the most there can be, and 5 ones.

    (Another machine leaves 6 ones, after 14 steps.)

    >>> bb3("")
    '11Z111'
    """
    return "turing: 1RB1RZ_1LB0RC_1LC1LA"


@_preset
def bb4() -> str:
    """The busy beaver with 4 states: from a blank tape, 107 steps and 13 ones.

    >>> bb4("")
    '1Z0111111111111'
    """
    return "turing: 1RB1LB_1LA0LC_1RZ1LD_1RD0RA"


@_preset
def bb5() -> str:
    """The busy beaver with 5 states: from a blank tape, 47,176,870 steps and 4,098 ones.

    >>> bb5("D1")
    '1Z010011'
    """
    return "turing: 1RB1LC_1RC1RB_1RD0LE_1LA1LD_1RZ0LA"


@_preset
def utm46() -> str:
    """Rogozhin's universal machine with 4 states and 6 symbols: it simulates tag systems that are written on its tape.

    Symbols 0 to 5 are the paper's 0 (blank), 1, b, b with an arrow to the right, b with an arrow to the left, and c.
    Source: Rogozhin, "Small universal Turing machines", Theoretical Computer Science 168 (1996), section 8.

    >>> utm46("1C24")
    '14D4'
    """
    return "turing: 4LA4LA3RA2LA0RA0RD_1LB0RB3LC4RB3LB2RB_5RA1RC4RD2RC---1RA_5LB0RD5LB4RD---2RD; alphabet=012345"


@_preset
def utm64() -> str:
    """The universal machine of Neary and Woods with 6 states and 4 symbols: it simulates bi-tag systems.

    Symbols 0 to 3 are the paper's c (blank), g, b and delta, and the letters A to F its states u1 to u6. The table was
    written from memory; tests hold it to a simulator of bi-tag systems.
    Source: Neary & Woods, "Four small universal Turing machines", Fundamenta Informaticae 91 (2009).

    >>> utm64("E1")
    'F02'
    """
    return "turing: 3LA2LA1LA0RB_1RE1RA1RB0RB_3LC2LC2LE3LE_0RE2RB1RD0RD_2LC2LF1RF3RE_---2LD1RE1RA; alphabet=0123"


@_preset
def utm15_2() -> str:
    """The universal machine of Neary and Woods with 15 states and 2 symbols: it simulates bi-tag systems.

    Symbols 0 and 1 are the paper's c (blank) and b, and the letters A to O its states u1 to u15.
    Source: Neary & Woods, "Four small universal Turing machines", Fundamenta Informaticae 91 (2009), table 16.

    >>> utm15_2("J1")
    'J1'
    """
    one_to_eight = "0RB1RA_1RC1RA_0LG0LE_0LF1LE_1RA1LD_1LD1LD_0LH1LG_1LI1LG"
    return f"turing: {one_to_eight}_0RA1LJ_1LK---_0RL1RN_0RM1RL_0LB1RL_0LC0RO_0RN1RN"
