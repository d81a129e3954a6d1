"""The one table of rules with known answers, for the tests of every layer: (rule, [(input, output), ...])."""

from ahx.rules import presets

CASES: list[tuple[str, list[tuple[str, str]]]] = [
    # substitution
    ("A -> AA, B -> ", [("", ""), ("ABA", "AAAA"), ("BBB", ""), ("XAY", "XAAY")]),
    ("A->B,B->A", [("AAB", "BBA")]),
    ("AB -> X, A -> Y", [("AABB", "YXB"), ("ABAB", "XX"), ("A", "Y")]),
    ("A -> Y, AB -> X", [("AB", "YB")]),  # the first listed rule that fits
    ("AA -> B", [("AAA", "BA"), ("AAAA", "BB"), ("AAAAA", "BBA")]),  # not overlapping
    ("ABC -> , C -> ABC", [("CABCC", "ABCABC"), ("AABCBC", "ABABC")]),
    ("A -> AB; steps=3", [("A", "ABBB"), ("BA", "BABBB")]),
    ("substitution: A -> B; alphabet=ABC", [("CAB", "CBB")]),
    ("copy; alphabet=xyz", [("", ""), ("zyx", "zyx")]),
    ('" " -> "_", "," -> ";", "a -> b" -> "\\""', [("a b,c", "a_b;c"), ("(a -> b)", '(")')]),
    ("é -> ß, 漢 -> 字字", [("é漢", "ß字字")]),
    # L-systems
    ("lsystem: A -> AB, B -> A; n=5", [("A", "ABAABABAABAAB"), ("", "")]),
    ("lsystem: F -> F+G, G -> F-G; n=2; alphabet=FG", [("F", "F+G+F-G"), ("FG", "F+G+F-GF+G-F-G")]),
    ("lsystem: A -> , B -> BA; n=2", [("AB", "BA"), ("AAA", "")]),
    # transducers
    ("reverse; alphabet=ABC", [("", ""), ("A", "A"), ("ABC", "CBA")]),
    (
        'transducer: q A -> xyz R q, q * -> * R r, r * -> "" R q, q > -> "!" S end, r > -> stop, end > -> stop',
        [("", "!"), ("ABA", "xyzB!"), ("AAB", "xyzxyzB"), ("BAB", "BB"), ("CCA", "Cxyz!")],
    ),
    # Two passes: the second one reads what the first has written.
    (
        "transducer: p A -> BB R p, p * -> * R p, p > -> next q, q B -> C R q, q * -> * R q, q > -> stop",
        [("ABX", "CCCX")],
    ),
    # Markov algorithms
    ("markov: A -> B; steps=1", [("CAA", "CBA"), ("CC", "CC"), ("", "")]),
    ("markov: AB -> BA, B -> ", [("AAB", "AA"), ("BA", "A"), ("", "")]),
    ("markov: BB -> A, AA -> B; steps=1", [("AABB", "AAA"), ("AAB", "BB"), ("AB", "AB"), ("", "")]),
    ("markov: A ->. X, B -> A", [("BB", "XB"), ("AB", "XB"), ("C", "C")]),
    ("markov: AB -> C, ->. X", [("BABA", "XBCA"), ("", "X")]),
    ("markov: ->. AB", [("", "AB"), ("B", "ABB")]),
    ("markov: AB -> , ->.", [("AABBA", "A"), ("", "")]),
    ("markov: A -> B, B -> C; steps=3", [("AAA", "BBB"), ("AB", "CC"), ("BB", "CC")]),
    # tag and lag systems
    ("tag: 2; a -> bc, b -> a, c -> aaa; steps=3", [("aaa", "caaa"), ("a", "a"), ("", ""), ("bb", "a")]),
    ("tag: 3; a -> , b -> bb", [("aaab", "b"), ("bxy", "bb"), ("xaa", "xaa")]),
    ("lag: 2; aa -> b, ab -> ba, ba -> ; steps=4", [("aab", "bbba"), ("abb", "bbba"), ("aaa", "bbba"), ("a", "a")]),
    ("lag: 1; a -> bc, b -> ", [("aba", "cbc"), ("c", "c")]),
    # cellular automata
    ("ca: 30; steps=3", [("0001000", "1101111"), ("", ""), ("1", "1")]),
    ("ca: 90; boundary=cyclic", [("1000", "0101"), ("1", "0"), ("10", "00"), ("", "")]),
    ("ca: 110; boundary=1; steps=2", [("000", "011"), ("1", "1")]),
    ("ca: 184; boundary=cyclic; steps=2", [("110100", "010101")]),
    # Turing machines
    ("1RB1LB_1LA0LC_1RZ1LD_1RD0RA", [("", "1Z0111111111111"), ("A0", "1Z0111111111111")]),
    ("turing: 1RB1LC_1RC1RB_1RD0LE_1LA1LD_1RZ0LA; steps=3", [("", "111D0"), ("0", "111D0"), ("E1", "11C0")]),
    ("1RA---_---1RB; start=B; blank=1; steps=2", [("", "11B1"), ("01", "B01"), ("A1", "A1"), ("1Z0", "1Z0")]),
]

PRESET_CASES = [(name, preset.examples) for name, preset in presets().items()]
