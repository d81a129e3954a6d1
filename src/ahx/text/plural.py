"""Numbers of things, in words."""


def counted(n: int, noun: str) -> str:
    """`n` of something, as one says it.

    >>> counted(1, "step"), counted(2000, "step")
    ('1 step', '2,000 steps')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
