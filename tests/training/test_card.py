"""The model card quotes untrusted text."""

import re

import pytest

from ahx.training import card
from ahx.training.hyperparameters import Hyperparameters


@pytest.mark.parametrize(
    "rule",
    [
        "A -> '<img src=x onerror=alert(1)>'",
        "A -> '``` <b> `'",
        "A -> '[x](javascript:alert(1))'\n\n# A heading\n\n<script>",
        "A -> '`'",
        "`",
        "A -> '\x1b]0;x\x07\u202e'",
    ],
)
def test_a_rule_stands_in_the_card_as_code(rule: str) -> None:
    about = {"rule": rule, "metrics": {}, "step": 1, "version": "1", "torch": "2", "numpy": "2", "python": "3"}
    text = card.text(about, Hyperparameters(rule=rule))
    # CommonMark 0.31, 6.1: a code span ends at as many backticks as it began with; they bind before all other markup.
    without = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text.replace("```", "", 0))
    for markup in ("<", "`A", "javascript", "heading", "\x1b", "\u202e"):
        assert markup not in without
    assert "\x1b" not in text
    assert "\u202e" not in text
