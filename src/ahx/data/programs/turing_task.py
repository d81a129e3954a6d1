"""The questions of the interpreter of Turing machines."""

import numpy as np

from ahx.data.programs.lookup_task import Block, LookupQuestions, LookupTask
from ahx.data.programs.turing_contexts import NOTHING, Rules, questions
from ahx.data.programs.turing_examples import example
from ahx.data.ragged import Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.turing_interpreter import TuringInterpreter

_ACTIONS, _KEYS = 384, 128  # of a step of training


def turing_task(rule: TuringInterpreter, tokenizer: Tokenizer) -> LookupTask:
    """All questions, and all tokens of programs: actions after their keys, then keys after an action or `<`."""
    rules, asked = Rules(rule, tokenizer), questions(rule, tokenizer)
    K, A = len(rules.keys), len(rules.actions)
    tokens_2M = program_tokens(rules)
    M = tokens_2M.shape[1]

    def some(rng: np.random.Generator) -> Ints:
        return np.concatenate([rng.integers(0, K * A, _ACTIONS), rng.integers(K * A, M - 1, _KEYS)])

    return LookupTask(
        begin=tokenizer.begin,
        heads="sc",
        offsets=(0, 1, -1),
        machine={"states": len(rule.states), "symbols": len(rule.symbols)},
        tokens_2M=tokens_2M,
        blocks=(Block(K, A, together=True), Block(K, A + 1, together=False)),
        questions=LookupQuestions(
            previous_N=asked.previous_N,
            newest_N=asked.newest_N,
            window_NK=asked.window_NK,
            group_N=asked.key_N,
            fetched_N=np.where(asked.action_N >= 0, asked.key_N * A + asked.action_N, M - 1),
            answer_N=asked.answer_N,
        ),
        some=some,
        example=lambda n, rival: example(rules, asked, n, rival),
    )


def program_tokens(rules: Rules) -> Ints:
    """All tokens that a program may have, each with the one before it, and at last `<`: (2, M)."""
    keys, actions, begin = rules.keys, rules.actions, rules.tokenizer.begin
    pairs = [
        np.stack([np.repeat(keys, len(actions)), np.tile(actions, len(keys))]),
        np.stack([np.repeat(np.append(actions, begin), len(keys)), np.tile(keys, len(actions) + 1)]),
        np.array([[NOTHING], [begin]]),
    ]
    return np.concatenate(pairs, 1)
