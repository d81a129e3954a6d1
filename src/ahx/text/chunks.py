"""Splits texts into parts of limited size."""

from collections.abc import Iterator


def pieces(text: str, most_bytes: int) -> Iterator[str]:
    """`text` in parts of at most `most_bytes` in UTF-8, none cut within a character, none lost; one "" for "".

    What UTF-8 cannot encode becomes a question mark.
    """
    data, start = text.encode("utf-8", "replace"), 0
    while len(data) - start > most_bytes:
        end = start + most_bytes
        while data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end].decode("utf-8")
        start = end
    yield data[start:].decode("utf-8")
