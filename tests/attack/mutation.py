"""Seeded damage to files: to their bytes, to values in a JSON tree, and texts that readers have stumbled over."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path
from typing import Any

NUMBERS = ["0", "-1", "1e400", "-1e400", "nan", "inf", "1e-320", "9" * 400, "9" * 6000, "0x10", "²", "٣", "1_0", "١e٣"]
TEXTS = [
    "",
    "\x00",
    "\x1b]0;owned\x07\x1b[2J",
    "\u009b31m",
    "\u202e",
    "\ud800",
    "../../x",
    "/etc/passwd",
    "a" * 300,
    "%s{x}",
]
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    0.5,
    1 << 70,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [1],
    {"a": 1},
]
VALUES += TEXTS


def damaged(r: random.Random, content: bytes) -> bytes:
    """`content` after one to five random changes."""
    found = bytearray(content)
    for _ in range(r.randint(1, 5)):
        found = bytearray(_changed(r, found or bytearray(b"0")))
    return bytes(found)


def _changed(r: random.Random, content: bytearray) -> bytes:
    at = r.randrange(len(content))
    end = at + r.randint(1, 32)
    piece = bytes(content[at:end])
    size = struct.pack(r.choice("<>") + r.choice("IQ"), r.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
    text = r.choice([*NUMBERS, *TEXTS]).encode("utf-8", "surrogatepass")
    middle = r.choice([
        bytes([content[at] ^ 1 << r.randrange(8)]) + piece[1:], b"", piece * r.randint(2, 5), size + piece[len(size) :],
        r.randbytes(len(piece)), text, piece[:1] + text, bytes(len(piece)), b"[" * 200, b"\n" + piece,
    ])  # fmt: skip
    return bytes(content[:at]) if r.random() < 0.1 else bytes(content[:at]) + middle + bytes(content[end:])


def altered(r: random.Random, tree: Any) -> Any:
    """A copy of a JSON tree in which one value, somewhere, is missing or another."""
    if isinstance(tree, dict) and tree and r.random() < 0.85:
        key = r.choice(list(tree))
        rest = {name: value for name, value in tree.items() if name != key}
        choice = r.random()
        if choice < 0.15:
            return rest
        return {**tree, r.choice(TEXTS): r.choice(VALUES)} if choice < 0.25 else {**tree, key: altered(r, tree[key])}
    if isinstance(tree, list) and tree and r.random() < 0.7:
        at = r.randrange(len(tree))
        return [*tree[:at], altered(r, tree[at]), *tree[at + 1 :]]
    return r.choice(VALUES)


def word(r: random.Random, words: list[str]) -> str:
    """One of `words`, or a number, with letters put in here and there."""
    text = r.choice([*words, *words, *NUMBERS, *TEXTS, str(10 ** r.randint(0, 40)), str(r.uniform(-1, 1))])
    for _ in range(r.choice([0, 0, 1, 3])):
        at = r.randint(0, len(text))
        text = text[:at] + r.choice(list("0123456789:,.=-+ex \n{}[]'\"%é")) + text[at:]
    return text


class Planted:
    """Makes a folder, and so betrays itself, when a pickle of it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def write(name: str, content: bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
