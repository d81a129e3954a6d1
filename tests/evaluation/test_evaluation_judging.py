"""Verdicts of one pass equal those of decoding; and samples for which one pass is not enough."""

import dataclasses

import pytest

from ahx.data.teacher import Teacher, TransducerTeacher
from ahx.evaluation.judging import REASONS, judge
from ahx.evaluation.samples import Series, draw
from ahx.evaluation.trained import Trained
from ahx.evaluation.writing import write
from ahx.model.decoding import generate
from ahx.model.scoring import score
from ahx.rules.transducer import STOP, Start, Step


def samples(trained: Trained, n: int = 400, max_len: int = 6) -> list[tuple[str, str]]:
    assert trained.rule is not None
    alphabet = trained.hyperparameters["alphabet"] or trained.rule.alphabet
    return list(draw(trained.rule, alphabet, Series(1, max_len, n), seed=3))


@pytest.fixture(params=["imperfect", "imperfect_learned"])
def unsure(request: pytest.FixtureRequest) -> Trained:
    trained: Trained = request.getfixturevalue(request.param)
    return trained


def test_one_pass_finds_the_place_where_greedy_decoding_first_strays(unsure: Trained) -> None:
    """The claim of ahx.model.scoring, token by token."""
    tokenizer, pairs = unsure.tokenizer, samples(unsure, max_len=4)
    prompts = [tokenizer.encode_input(text) for text, _ in pairs]
    paths = [tokenizer.encode_steps(unsure.teacher.steps(*pair)) for pair in pairs]
    rows = [prompt + path for prompt, path in zip(prompts, paths, strict=True)]
    scores = score(unsure.model, rows, tokenizer.separator)
    decoded = generate(unsure.model, prompts, tokenizer.stop, [len(path) for path in paths])
    for wrong, path, tokens in zip(scores.wrong_N.tolist(), paths, decoded, strict=True):
        if wrong < 0:
            assert tokens == path
        else:
            assert tokens[:wrong] == path[:wrong]
            assert tokens[wrong] != path[wrong]
    assert 20 < (scores.wrong_N >= 0).sum() < 380  # both verdicts occur
    assert len(set(scores.wrong_N.tolist())) > 2  # at several places


def test_verdicts_are_those_of_decoding(unsure: Trained) -> None:
    pairs = samples(unsure, max_len=4)
    forced, decoded = judge(unsure, pairs), judge(unsure, pairs, decode=True)
    assert [verdict.reason for verdict in forced] == [verdict.reason for verdict in decoded]
    assert [verdict.got for verdict in forced] == [verdict.got for verdict in decoded]
    assert 20 < sum(verdict.right for verdict in forced) < 380
    assert all(verdict.tokens for verdict in forced)
    assert not any(verdict.tokens for verdict in decoded)
    assert all((verdict.got == output) for verdict, (_, output) in zip(decoded, pairs, strict=True) if verdict.right)


@dataclasses.dataclass(frozen=True)
class AnotherPath(Teacher):
    """Spells the same strings by other steps, in the same vocabulary: it would move first and write later."""

    teacher: TransducerTeacher
    kind = "machine"

    @property
    def start(self) -> Start:
        return self.teacher.start

    def steps(self, text: str, output: str) -> list[Step]:
        steps = self.teacher.steps(text, output)
        return [*reversed(steps[:-1]), Step(STOP)] if output == output[::-1] else steps


def test_a_right_string_written_by_other_steps_is_right(trained: Trained) -> None:
    assert trained.rule is not None
    other = dataclasses.replace(trained, teacher=AnotherPath(TransducerTeacher(trained.rule)))
    pair = ("ACA", "AACAA")
    assert other.teacher.steps(*pair) != trained.teacher.steps(*pair)
    (verdict,) = judge(other, [pair])
    assert verdict.right
    assert verdict.margin < 0  # it did stray from the path


@pytest.mark.parametrize(
    ("text", "output", "reason", "got"),
    [
        ("ABA", "AAAA", "", "AAAA"),
        ("", "", "", ""),
        ("ABA", "AACAA", "teacher", "AAAA"),  # a line that contradicts the rule
        ("AXA", "AAXAA", "alphabet", None),
        ("ABA", "XX", "teacher", "AAAA"),
    ],
)
def test_reasons(trained: Trained, text: str, output: str, reason: str, got: str | None) -> None:
    (decoded,) = judge(trained, [(text, output)], decode=True)
    (forced,) = judge(trained, [(text, output)])
    assert decoded.reason == forced.reason == reason
    assert decoded.got == got
    assert forced.got in (got, output)
    assert not reason or reason in REASONS


def test_a_file_that_contradicts_the_rule_may_be_what_the_model_writes(imperfect: Trained) -> None:
    """The truth is the file's string, not the rule's."""
    pairs = samples(imperfect)
    wrong = [
        (pair[0], verdict.got)
        for pair, verdict in zip(pairs, judge(imperfect, pairs), strict=True)
        if verdict.reason == "wrong"
    ]
    assert wrong
    assert all(verdict.right and not verdict.tokens for verdict in judge(imperfect, [(x, y or "") for x, y in wrong]))


def test_a_step_without_a_token(imperfect_learned: Trained) -> None:
    (verdict,) = judge(imperfect_learned, [("AC", "XY")])
    assert verdict.reason == "vocabulary"


def test_learned_positions_end_at_block_size(imperfect_learned: Trained) -> None:
    room = imperfect_learned.block_size
    assert room is not None
    for output in ("A" * (room - 3), "X" * (room - 3)):  # with <, A, > and stop: one token more than there is room for
        assert judge(imperfect_learned, [("A", output)])[0].reason == "block_size"
        assert judge(imperfect_learned, [("A", output[1:])])[0].reason != "block_size"
    assert judge(imperfect_learned, [("A" * 500, "A")])[0].reason == "block_size"


def test_a_limit_too_small_for_the_answer(trained: Trained) -> None:
    pairs = [("AAA", "AAAAAA"), ("C", "C")]
    for decode in (False, True):
        for limit in (4, 6):  # with 6, all symbols are there, but the stop is not
            verdicts = judge(trained, pairs, decode=decode, max_new_tokens=limit)
            assert [verdict.reason for verdict in verdicts] == ["no_stop", ""]
            assert verdicts[0].got == "A" * limit
        assert judge(trained, pairs, decode=decode, max_new_tokens=7)[0].right


def test_writing_keeps_the_order_of_its_prompts(trained: Trained) -> None:
    texts = ["A" * n + "C" for n in (5, 1, 4, 0, 3)]
    prompts = [trained.tokenizer.encode_input(text) for text in texts]
    assert [answer.text for answer in write(trained.model, trained.tokenizer, prompts, [40] * 5)] == [
        "A" * (2 * (len(text) - 1)) + "C" for text in texts
    ]


def test_a_margin_below_rounding_is_decided_by_decoding(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counting(model: object, tokenizer: object, prompts: list[list[int]], *rest: object) -> list[object]:
        asked.append(len(prompts))
        return write(model, tokenizer, prompts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("ahx.evaluation.judging.write", counting)
    pairs = samples(trained, 20)
    assert all(verdict.right for verdict in judge(trained, pairs))
    monkeypatch.setattr("ahx.evaluation.judging.DOUBTFUL", 1e6)
    assert all(verdict.right for verdict in judge(trained, pairs))
    assert asked == [0, 20]
