"""Parsing rules: defaults, equivalent spellings, files, functions, and errors that point at a character."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahx.errors import AhxError, InputError, StorageError
from ahx.rules import Rule, parse_rule
from ahx.rules.families.markov import Markov, Production
from ahx.rules.families.substitution import Substitution
from ahx.text.printing import width


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("A->AA,B->", "A -> AA; B -> "),
        ("A -> AA, ", "double_a"),
        ("substitution: A -> AA", "double_a"),
        ("lsystem: A -> AB; steps=3", "lsystem: A -> AB; n=3"),
        ("double_a; alphabet=BA", "alphabet='BA', A -> AA"),
        ("double_a; alphabet=X; alphabet=BA", "double_a; alphabet=BA"),
        ("1RB1LB_1LA1RZ; steps=2", "turing: 1RB1LB_1LA1RZ; blank=0; start=A; steps=2"),
        ("copy", "substitution:"),
        ('"A" -> "AA"', "double_a"),
    ],
)
def test_two_ways_to_write_the_same_rule(spec: str, same: str) -> None:
    assert parse_rule(spec) == parse_rule(same)


@pytest.mark.parametrize(
    ("spec", "alphabet"),
    [
        ("A -> AA", "AB"),
        ("B -> ", "AB"),
        ("C -> AB", "ABC"),
        ("copy", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("reverse", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("increment", "01"),
        ("ca: 110", "01"),
        ("1RB2LB1RZ_2LA2RB1LB", "012"),
        ("dragon", "FG+-"),
        ("tag: 2; a -> bc", "abc"),
    ],
)
def test_default_alphabets(spec: str, alphabet: str) -> None:
    assert parse_rule(spec).alphabet == alphabet


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        # (rule, with a ^ before the character that is pointed at; a part of the sentence)
        ("^A => AA", "expected a preset such as double_a, a rule such as A -> AA"),
        ("A -> AA B ^-> C", "expected a comma before the next rule"),
        ("A -> AA ^B", "a string that contains spaces needs quotes"),
        ("A -> B ^-> C", "expected a comma before the next rule"),
        ("A -> AA, ^B", "expected an arrow, as in A -> AA"),
        ("A -> B, ^-> C", "expected a symbol before the arrow"),
        ("A -> B, ^A -> C", "'A' has a rule already"),
        ("A -> ^'B", "the quote ' is never closed"),
        ("A ->^. B", "only Markov algorithms"),
        ("A -> B; ^step=2", "no option step=; did you mean steps?"),
        ("A -> B; ^boundary=0", "no option boundary=; expected alphabet= or steps="),
        ("A -> B; steps=^0", "expected a whole number from 1"),
        ("A -> B; steps=^two", "expected a whole number from 1"),
        ("A -> B; alphabet=^", "expected at least one symbol after alphabet="),
        ("A -> B; alphabet=ABC^A", "'A' stands in the alphabet twice"),
        ("A -> B; steps=2 ^3", "expected a comma or semicolon after the option steps"),
        ("^markv: A -> B", "no family 'markv'; did you mean markov?"),
        ("^xyz: A -> B", "the families are substitution, lsystem"),
        ("^doubel_a", "no preset or file 'doubel_a'; did you mean double_a?"),
        ("^no/such.rule", "there is no such file"),
        ("^qqqq", "`ahx rules` lists the presets"),
        ("lsystem: ^AB -> A", "expected one symbol before the arrow, not 2"),
        ("lsystem:^", "expected a rule for at least one symbol"),
        ("markov:^", "expected at least one rule"),
        ("tag: ^a -> b", "expected a number of symbols first"),
        ("tag: ^0; a -> b", "expected a whole number from 1 to 100"),
        ("tag: 2; ^ab -> c", "expected one symbol before the arrow, not 2"),
        ("lag: 2; ab -> c, ^a -> b", "expected 2 symbols before the arrow, not 1"),
        ("ca: ^256", "expected a whole number from 0 to 255"),
        ("ca: 30; boundary=^2", "expected boundary= one of 0, 1, cyclic"),
        ("ca: 0 ^-> 1", "a ca: rule has no arrows"),
        ("1RB1LB_1^XA1RZ", "expected a move, L or R"),
        ("1RB1LB_1LA1R^Q", "expected the next state, one of A, B, or Z to halt"),
        ("1RB1LB_1LA^2RZ", "expected a symbol to write, one of 0, 1"),
        ("1RB1LB_^1LA", "this row has 1 cells, the first has 2"),
        ("turing: ^1RB1L", "expected rows of 1 to 10 cells"),
        ("1RB1LB_1LA1RZ; start=^C", "expected start= one of A, B"),
        ("transducer: q A -> B ^R", "expected a word, a move and a state after the arrow"),
        ("transducer: q A -> B ^U q", "expected a move: L, R or S"),
        ("transducer: q A -> B R ^r", "no entry says what to do in the state r"),
        ("transducer: q ^AB -> stop", "expected one symbol, or <, > or *"),
        ("transducer: q > -> ^* R q", "there is no symbol at an end to copy"),
        ("transducer: q A -> stop, ^q A -> stop", "this state and cell have an entry already"),
        ("interpreter:^", "expected interpreter: and what it reads"),
        ("interpreter: ^tm", "expected interpreter: and what it reads"),
        ("interpreter: turing ^markov", "expected interpreter: and what it reads"),
        ("transducer: q ^-> stop", "expected a state and a cell before the arrow"),
    ],
)
def test_errors_point_at_the_character(marked: str, message: str) -> None:
    spec, column = marked.replace("^", ""), marked.index("^")
    with pytest.raises(InputError) as caught:
        parse_rule(spec)
    sentence, line, caret = str(caught.value).split("\n")
    assert sentence.startswith("cannot read the rule: ")
    assert message in sentence
    assert line == "  " + spec
    assert caret == "  " + " " * column + "^"


def test_a_long_rule_is_shown_around_the_error() -> None:
    spec = ", ".join(f"{chr(0x4E00 + i)} -> A" for i in range(1000)) + ", B, C -> D"
    with pytest.raises(InputError) as caught:
        parse_rule(spec)
    _, line, caret = str(caught.value).split("\n")
    assert len(line) < 110
    assert width(line[: line.index("B")]) == len(caret) - 1


@pytest.mark.parametrize("spec", ["", "  ", "\n"])
def test_an_empty_rule(spec: str) -> None:
    with pytest.raises(InputError, match="the rule is empty; name a preset"):
        parse_rule(spec)


FILE = """\ufeff# Sorting, the slow way.
markov:
  BA -> AB   # swap
  CA -> AC,
  CB -> BC

  "#" -> ""  # a mark is dropped
alphabet=ABC#
"""


@pytest.mark.parametrize("name", ["@{}", "{}"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_rule_in_a_file(tmp_path: Path, name: str, end: str) -> None:
    path = tmp_path / "sort.rule"
    path.write_bytes(FILE.replace("\n", end).encode())
    rule = parse_rule(name.format(path))
    assert rule.apply("C#BA") == "ABC"
    assert rule.alphabet == "ABC#"
    assert parse_rule(rule.spec) == rule


def test_an_error_in_a_file_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.rule"
    path.write_text("# fine\nA -> B\n\tB -> C D  # not fine\n")
    with pytest.raises(InputError) as caught:
        parse_rule(str(path))
    sentence, line, caret = str(caught.value).split("\n")
    assert "(line 3)" in sentence
    assert line.rstrip() == "   B -> C D"
    assert line[len(caret) - 1] == "D"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, StorageError, "cannot read the rule file .*: no such file"),
        (b"# nothing\n", InputError, "holds no rule"),
        (b"A -> \xff", InputError, "is not UTF-8 text"),
    ],
)
def test_files_that_hold_no_rule(tmp_path: Path, content: bytes | None, error: type[AhxError], message: str) -> None:
    path = tmp_path / "x.rule"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        parse_rule(f"@{path}")


MODULE = """
from ahx.rules import parse_rule

def shout(text):
    return text.upper() + "!"

def number(text):
    return len(text)

def fail(text):
    raise ValueError("no luck")

def leave(text):
    raise SystemExit(3)

def half(text):
    return chr(0xD800)

fixed = 3
rule = parse_rule("A -> B")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules_for_tests.py").write_text(MODULE)
    (tmp_path / "my_script_for_tests.py").write_text("raise SystemExit(4)\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("module")
def test_a_python_function_is_a_rule() -> None:
    rule = parse_rule("my_rules_for_tests:shout; alphabet=ab")
    assert rule.apply("ab") == "AB!"
    assert list(rule.trace("ab")) == ["ab", "AB!"]
    assert rule.transducer() is None
    assert rule.alphabet == "ab"
    assert parse_rule(rule.spec) == rule
    assert parse_rule("my_rules_for_tests:rule") == parse_rule("A -> B")


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_rules_for_tests:shuot", "has no function 'shuot'; did you mean shout?"),
        ("my_rules_for_tests:fixed", "is a int; a rule needs a function"),
        ("my_rules_for_tests:number", "returned a int for 'A'; it must return a string"),
        ("my_rules_for_tests:fail", "raised ValueError on 'A': no luck"),
        ("my_rules_for_tests:leave", "raised SystemExit on 'A': 3; fix the function"),
        ("my_rules_for_tests:half", r"returned '\\ud800' for 'A', which UTF-8 cannot hold"),
        ("my_script_for_tests:f", "cannot import 'my_script_for_tests' for the rule my_script_for_tests:f: 4; check"),
        ("no_such_module_at_all:f", "cannot import 'no_such_module_at_all'"),
    ],
)
def test_python_functions_that_are_no_rules(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_rule(spec).apply("A")


# Everything that the language gives a meaning to, and a few plain symbols.
strings = st.text(alphabet="AB,;:->.#@\"'\\ \n=*<", max_size=4)
alphabets = st.lists(st.characters(codec="utf-8"), min_size=1, max_size=4, unique=True).map("".join)


def written_rules() -> st.SearchStrategy[Rule]:
    pairs = st.dictionaries(strings.filter(bool), strings, min_size=1, max_size=3).map(lambda d: tuple(d.items()))
    productions = st.lists(st.builds(Production, strings, strings, st.booleans()), min_size=1, max_size=3).map(tuple)
    return st.builds(Substitution, pairs, alphabets, st.integers(1, 9)) | st.builds(
        Markov, productions, alphabets, st.none() | st.integers(1, 9)
    )


@given(written_rules())
@settings(max_examples=200, deadline=None)
def test_any_symbols_survive_writing_and_reading(rule: Rule) -> None:
    assert parse_rule(rule.spec) == rule


@given(st.text(alphabet="A1RLZ_->.,;:=\"' \n@q*", max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_rule_or_an_error_of_ours(text: str) -> None:
    try:
        rule = parse_rule(text)
    except AhxError:
        return
    assert parse_rule(rule.spec) == rule


@pytest.mark.parametrize("spec", ["A -> B; steps = 3", "A -> B; steps =3", "A -> B; steps= 3", "A -> B; n = 3"])
def test_an_option_may_have_spaces_around_the_equals_sign(spec: str) -> None:
    assert parse_rule(spec).spec == "A -> B; steps=3"


def test_a_rule_that_never_applies_is_named() -> None:
    for spec in ("A -> X, B -> Y, AB -> Z", "markov: A -> X, B -> Y, BAB -> Z", "markov: -> X, A -> Y"):
        assert ["never applies" in remark for remark in parse_rule(spec).remarks] == [True], spec
    assert parse_rule("AB -> Z, A -> X").remarks == parse_rule("A -> X, BA -> Y").remarks == []


@pytest.mark.parametrize("text", ["A -> # to nothing\n", "B -> C\n# -> A\n"])
def test_a_comment_in_the_place_of_a_side_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.txt").write_text(text)
    with pytest.raises(InputError, match='# begins a comment; for the symbol write "#"'):
        parse_rule(f"@{tmp_path / 'rules.txt'}")
    (tmp_path / "rules.txt").write_text('A -> "" # to nothing\n"#" -> A\n')
    assert parse_rule(f"@{tmp_path / 'rules.txt'}").apply("A#") == "A"
