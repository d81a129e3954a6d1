"""Numbers with nouns."""


def counted(n: int, noun: str) -> str:
    """`n` with a noun in the singular or plural.

    >>> counted(1, "step"), counted(2000, "step")
    ('1 step', '2,000 steps')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
