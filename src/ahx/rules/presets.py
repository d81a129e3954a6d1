"""Named rules, the simple ones first."""

from ahx.rules.interpreters import INTERPRETERS
from ahx.rules.language import LETTERS
from ahx.rules.preset import Preset

_PRESETS = (
    Preset("copy", "substitution:", "The output is the input.", [("HELLO", "HELLO")]),
    Preset("double_a", "A -> AA", "Every A is written twice.", [("ABA", "AABAA")]),
    Preset("delete_b", "B ->; alphabet=AB", "Every B is left out.", [("ABBA", "AA")]),
    Preset("swap_ab", "A -> B, B -> A", "A becomes B, and B becomes A.", [("ABB", "BAA")]),
    Preset(
        "rot13",
        ", ".join(f"{a} -> {b}" for a, b in zip(LETTERS, LETTERS[13:] + LETTERS[:13], strict=True)),
        "Every letter moves 13 places on in the alphabet.",
        [("HELLO", "URYYB")],
    ),
    Preset(
        "reverse",
        "transducer: q < -> stop, q * -> * L q; start=right",
        "The input from right to left.",
        [("HELLO", "OLLEH")],
    ),
    Preset(
        "duplicate",
        'transducer: one * -> * R one, one > -> "" L back, back * -> "" L back, back < -> "" R two, '
        "two * -> * R two, two > -> stop",
        "The input twice in a row.",
        [("ABC", "ABCABC")],
    ),
    Preset(
        "palindrome",
        'transducer: there * -> * R there, there > -> "" L back, back * -> * L back, back < -> stop',
        "The input, and then the input from right to left.",
        [("ABC", "ABCCBA")],
    ),
    Preset(
        "parity",
        'transducer: even 0 -> "" R even, even 1 -> "" R odd, even > -> 0 S done, odd 0 -> "" R odd, '
        'odd 1 -> "" R even, odd > -> 1 S done, done > -> stop',
        "1 if the number of ones is odd, 0 if it is even.",
        [("10110", "1"), ("", "0")],
    ),
    Preset(
        "increment",
        'transducer: read 0 -> "" R read1, read 1 -> "" R read1, read > -> "" L carry, read1 1 -> "" R read1, '
        'read1 0 -> "" L back, read1 > -> "" L carry, back 1 -> "" L back, back 0 -> 0 R copy, '
        'back < -> "" R copy, copy 1 -> 1 R copy, copy 0 -> "" R read1, carry 1 -> "" L carry, '
        "carry 0 -> 1 R zeros, carry < -> 1 R zeros, zeros 1 -> 0 R zeros, zeros > -> stop",
        "One more, in binary, with the most significant bit first.\n"
        "\n"
        "A 0 is held back while the ones behind it are read: at the right end it becomes 1 and they become\n"
        "zeros; before another 0 they are copied.",
        [("1011", "1100"), ("111", "1000")],
    ),
    Preset(
        "sort",
        "markov: BA -> AB, CA -> AC, CB -> BC",
        "The symbols in alphabetical order, by swapping neighbours.",
        [("CABBA", "AABBC")],
    ),
    Preset(
        "unary_add",
        "markov: + ->; alphabet=1+",
        "The sum of numbers that are written as strokes.",
        [("11+111", "11111")],
    ),
    Preset(
        "unary_multiply",
        "markov: a1 -> 1ba, a ->, b1 -> 1b, 1* -> *a, *1 -> *, * ->, b -> 1; alphabet=1*",
        "The product of two numbers that are written as strokes.",
        [("11*111", "111111")],
    ),
    Preset(
        "binary_to_unary",
        "markov: |0 -> 0||, 1 -> 0|, 0 ->; alphabet=01",
        "A binary number as strokes.",
        [("101", "|||||")],
    ),
    Preset(
        "collatz",
        "tag: 2; a -> bc, b -> a, c -> aaa",
        "The Collatz problem as a tag system (De Mol 2008): from n times a, down to a single one.",
        [("aaa", "a")],
    ),
    Preset(
        "fibonacci",
        "lsystem: A -> AB, B -> A",
        "One generation of the L-system whose lengths are the Fibonacci numbers.",
        [("ABAAB", "ABAABABA")],
    ),
    Preset(
        "thue_morse",
        "lsystem: A -> AB, B -> BA",
        "One generation of the Thue-Morse sequence: no string ever occurs three times in a row.",
        [("ABBA", "ABBABAAB")],
    ),
    Preset(
        "dragon",
        "lsystem: F -> F+G, G -> F-G; alphabet=FG+-",
        "One generation of the dragon curve: F and G are strokes, + and - are turns.",
        [("F+G", "F+G+F-G")],
    ),
    Preset(
        "koch",
        "lsystem: F -> F+F-F-F+F; alphabet=F+-",
        "One generation of the quadratic Koch curve: F is a stroke, + and - are turns.",
        [("F+F", "F+F-F-F+F+F+F-F-F+F")],
    ),
    Preset("rule30", "ca: 30", "One step of Wolfram's rule 30, which looks random.", [("0001000", "0011100")]),
    Preset(
        "rule90",
        "ca: 90",
        "One step of Wolfram's rule 90: each cell becomes the sum of its neighbours, modulo 2.",
        [("0001000", "0010100")],
    ),
    Preset(
        "rule110",
        "ca: 110",
        "One step of Wolfram's rule 110, which can compute anything (Cook 2004).",
        [("0001101", "0011111")],
    ),
    Preset(
        "bb3",
        "turing: 1RB1RZ_1LB0RC_1LC1LA",
        "The busy beaver with 3 states: from a blank tape, 21 steps, the most there can be, and 5 ones.\n"
        "\n"
        "(Another machine leaves 6 ones, after 14 steps.)",
        [("", "11Z111")],
    ),
    Preset(
        "bb4",
        "turing: 1RB1LB_1LA0LC_1RZ1LD_1RD0RA",
        "The busy beaver with 4 states: from a blank tape, 107 steps and 13 ones.",
        [("", "1Z0111111111111")],
    ),
    Preset(
        "bb5",
        "turing: 1RB1LC_1RC1RB_1RD0LE_1LA1LD_1RZ0LA",
        "The busy beaver with 5 states: from a blank tape, 47,176,870 steps and 4,098 ones.",
        [("D1", "1Z010011")],
    ),
    Preset(
        "utm46",
        "turing: 4LA4LA3RA2LA0RA0RD_1LB0RB3LC4RB3LB2RB_5RA1RC4RD2RC---1RA_5LB0RD5LB4RD---2RD; alphabet=012345",
        "Rogozhin's universal machine with 4 states and 6 symbols: it simulates tag systems that are written on "
        "its tape.\n"
        "\n"
        "Symbols 0 to 5 are the paper's 0 (blank), 1, b, b with an arrow to the right, b with an arrow to the "
        "left, and c.\n"
        'Source: Rogozhin, "Small universal Turing machines", Theoretical Computer Science 168 (1996), section 8.',
        [("1C24", "14D4")],
    ),
    Preset(
        "utm64",
        "turing: 3LA2LA1LA0RB_1RE1RA1RB0RB_3LC2LC2LE3LE_0RE2RB1RD0RD_2LC2LF1RF3RE_---2LD1RE1RA; alphabet=0123",
        "The universal machine of Neary and Woods with 6 states and 4 symbols: it simulates bi-tag systems.\n"
        "\n"
        "Symbols 0 to 3 are the paper's c (blank), g, b and delta, and the letters A to F its states u1 to u6. The "
        "table was\n"
        "written from memory; tests hold it to a simulator of bi-tag systems.\n"
        'Source: Neary & Woods, "Four small universal Turing machines", Fundamenta Informaticae 91 (2009).',
        [("E1", "F02")],
    ),
    Preset(
        "utm15_2",
        "turing: 0RB1RA_1RC1RA_0LG0LE_0LF1LE_1RA1LD_1LD1LD_0LH1LG_1LI1LG_0RA1LJ_1LK---_0RL1RN_0RM1RL_0LB1RL_0LC0RO_"
        "0RN1RN",
        "The universal machine of Neary and Woods with 15 states and 2 symbols: it simulates bi-tag systems.\n"
        "\n"
        "Symbols 0 and 1 are the paper's c (blank) and b, and the letters A to O its states u1 to u15.\n"
        'Source: Neary & Woods, "Four small universal Turing machines", Fundamenta Informaticae 91 (2009), table '
        "16.",
        [("J1", "J1")],
    ),
)


def presets() -> dict[str, Preset]:
    """All presets by name."""
    found = (*_PRESETS, *(interpreter.preset() for interpreter in INTERPRETERS.values()))
    return {preset.name: preset for preset in found}
