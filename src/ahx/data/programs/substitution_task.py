"""The questions of the interpreter of substitutions.

Each token of a rule names its letter, its place and whether it is the last, and the newest token says which place comes
next. So an answer depends on the newest token, the cell at the cursor, and one token of the program.
"""

from itertools import product

import numpy as np

from ahx.data.programs.lookup_task import Block, LookupQuestions, LookupTask
from ahx.data.programs.substitution_writer import SubstitutionWriter
from ahx.data.ragged import Ints
from ahx.data.tokenizer import Tokenizer
from ahx.rules.interpreters.string_interpreter import END, LETTER_NAMES, MOST_WRITTEN
from ahx.rules.interpreters.substitution_interpreter import SubstitutionInterpreter

_NOTHING = -1  # no token


def substitution_task(rule: SubstitutionInterpreter, tokenizer: Tokenizer) -> LookupTask:
    """All questions, and some that no run asks, such as the cell `>` in a string that the model has written."""
    writer = SubstitutionWriter(rule, tokenizer)
    A, K, ends = len(rule.letters), MOST_WRITTEN, [tokenizer.separator, tokenizer.stop]
    last_A, waits_KA = writer.last_A.tolist(), writer.waits_KA.tolist()  # the last letter of a word (or none), others
    blocks, tokens, answers = [], [], []
    for k in range(K):  # a group for each letter and place: what may be written there
        lasts = [(b, 1) for b in range(A)] + ([(-1, 1)] if k == 0 else [])  # only at the first place there may be none
        own = lasts + ([(b, 0) for b in range(A)] if k < K - 1 else [])
        blocks.append(Block(A, len(own), together=True))
        for left, (b, last) in product(range(A), own):
            tokens.append(int(writer.token_AKBZ[left, k, b, last]))
            answers.append(last_A[b] if last else waits_KA[k][b])
    nothing = len(tokens)  # the number of `<`
    begun = [*ends, *last_A]  # tokens after which a word begins
    cells = [(row[a], a) for row in (last_A, *waits_KA) for a in range(A)]
    asked = [(newest, end, -1, nothing, tokenizer.stop) for newest, end in product(begun, ends)]
    for k, after in enumerate([begun, *waits_KA]):
        first = sum(block.groups * block.size for block in blocks[:k])
        for newest, (cell, a) in product(after, cells):
            numbers = range(first + a * blocks[k].size, first + (a + 1) * blocks[k].size)
            asked += [(newest, cell, k * A + a, number, answers[number]) for number in numbers]
            if k == 0:  # a letter without a rule is copied
                asked.append((newest, cell, a, nothing, last_A[a]))
    newest_N, cell_N, group_N, fetched_N, answer_N = np.array(asked).T
    previous_N = np.full(len(asked), _NOTHING)

    def example(n: int, rival: int) -> str | None:
        """A program with what is to be fetched and the rival, and a string; None where more steps would be needed."""
        words: dict[str, str] = {}
        newest, cell = (tokenizer.tokens[token] for token in (newest_N[n], cell_N[n]))
        for number, letter_before in ((int(fetched_N[n]), newest.symbol), (rival, rule.letters[0])):
            if 0 <= number < nothing:
                left, place, letter, last = list(tokenizer.tokens[tokens[number]].state)
                more = "" if last == END else rule.letters[0]
                words.setdefault(left, letter_before * LETTER_NAMES.index(place) + letter.replace("-", "") + more)
        string = cell.symbol if cell.symbol in rule.letters else ""
        if tokenizer.stop in (newest_N[n], cell_N[n]) or cell.state:
            return None
        if int(newest_N[n]) in last_A:  # the end of the word of another letter
            before = next((x for x in rule.letters if x not in words and x != string), None)
            if before is None:
                return None
            words[before], string = newest.symbol, before + string
        program = "".join(f"{left}->{word}," for left, word in words.items())
        return f"--program '{program}' --tape '{string}' --steps 1"

    def some(rng: np.random.Generator) -> Ints:
        return np.arange(nothing)

    return LookupTask(
        begin=tokenizer.begin,
        heads="c",
        offsets=(0,),
        machine={"letters": A, "rules": rule.n_rules},
        tokens_2M=np.array([[_NOTHING] * (nothing + 1), [*tokens, tokenizer.begin]]),
        blocks=tuple(blocks),
        questions=LookupQuestions(previous_N, newest_N, cell_N[:, None], group_N, fetched_N, answer_N),
        some=some,
        example=example,
    )
