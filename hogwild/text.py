"""Text that comes from a file or an argument, made fit for a terminal and for a message of one line."""

from __future__ import annotations

import reprlib
import sys
import unicodedata
from typing import Any

MESSAGE_LIMIT = 2_000
"""Characters of an error message; the middle of a longer one is left out."""

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control and format characters, surrogates, line and paragraph separators
_KEPT = "\n\t"


def printable(text: str) -> str:
    r"""`text` with control and format characters as \u001b, which no terminal obeys; in JSON it means the same.

    New lines and tabs stay. The printable form of a printable text is the same text.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSEEN and c not in _KEPT else c for c in text)


def cut(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """`text`, without its middle if it is longer than `limit` characters: the end often says what to do."""
    if len(text) <= limit:
        return text
    gap = f" ... ({len(text):,} characters) ... "
    head = (limit - len(gap)) * 2 // 3
    return text[:head] + gap + text[len(gap) + head - limit :]


def quoted(value: object) -> str:
    """repr(value) for a message, cut to some eighty characters. Its cost does not grow with the value."""
    return _QUOTES.repr(value)


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print `text`, parts of which may come from files, in its printable form."""
    print(printable(text), file=sys.stderr if to_stderr else sys.stdout, flush=True)


def _escaped(character: str) -> str:
    """As JSON writes it: a pair of surrogates beyond 16 bits."""
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


class _Quotes(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict, self.maxset = 3, 8, 8, 6, 6

    def repr_int(self, number: int, level: int) -> str:  # noqa: ARG002
        """Python refuses to write integers of thousands of digits."""
        return repr(number) if number.bit_length() <= 128 else f"an integer of {number.bit_length():,} bits"

    def repr_bytes(self, content: bytes, level: int) -> str:
        return self.repr_str(content[:200].decode("ascii", "backslashreplace"), level)

    def repr_str(self, text: str, level: int) -> str:
        return super().repr_str(text, level) if len(text) <= 200 else super().repr_str(text[:100] + text[-100:], level)

    def repr_instance(self, value: Any, level: int) -> str:
        text = super().repr_instance(value, level)
        return text if len(text) <= self.maxother else f"a value of type {type(value).__name__}"


_QUOTES = _Quotes()
