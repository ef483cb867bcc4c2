"""Docstrings of hogwild for mkdocstrings: their sections become definition lists.

    Args:     x: [n] float32, the shared model.           Args
              lr: the learning rate.              ->      :   - `x`: [n] float32, the shared model.
    Mutates:  x.                                              - `lr`: the learning rate.
                                                          Mutates
                                                          :   x.

A section is a line that begins with its name, and the lines below it up to the next section or an empty line; each
`name:` at the section's own indentation begins an entry. Lines indented by four spaces outside sections stay what they
are, equations. An extension of griffe: mkdocs.yml names this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from griffe import Extension, Object

SECTIONS = ("Args", "Mutates", "Races", "Bytes", "Raises", "Errors", "Returns", "Deviates", "Source")
SECTION = re.compile(rf"({'|'.join(SECTIONS)}):(\s*)(.*)")
ENTRY = re.compile(r"(\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}[A-Za-z_][\w.]*)*):\s+(.*)")
CODE = re.compile(r"(`[^`]*`)")
MARKS = re.compile(r"[\[\]*]|_(?=_)|(?<=_)_")
BLOCK = "    "


class House(Extension):
    """Rewrites every docstring once, when its object has been read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """The docstring with its sections as definition lists and its brackets escaped."""
    lines, out = docstring.splitlines(), []
    while lines:
        line = lines.pop(0)
        section = SECTION.fullmatch(line)
        if line.startswith(">>>"):
            out += ["```pycon", line]
            while lines and lines[0].strip():
                out.append(lines.pop(0))
            out.append("```")
            continue
        if section is None:
            out.append(line if line.startswith(BLOCK) else escaped(line))
            continue
        body = [" " * section.start(3) + section[3]] if section[3] else []
        while lines and lines[0].strip() and SECTION.fullmatch(lines[0]) is None:
            body.append(lines.pop(0))
        out += ["", section[1], *_definition(body), ""]
    return "\n".join(out)


def _definition(body: list[str]) -> Iterator[str]:
    entries = list(_entries(body))
    if not entries:
        yield f":   {escaped(' '.join(line.strip() for line in body))}"
    for number, (name, text) in enumerate(entries):
        yield f"{':   ' if number == 0 else BLOCK}- `{name}`: {escaped(text)}"


def _entries(body: list[str]) -> Iterator[tuple[str, str]]:
    """(name, text) for each `name: text` at the indentation of the first line. Nothing if that one is no such line."""
    margin = len(body[0]) - len(body[0].lstrip())
    if ENTRY.fullmatch(body[0].strip()) is None:
        return
    name, words = "", []
    for line in body:
        found = ENTRY.fullmatch(line[margin:]) if line[:margin].isspace() or not margin else None
        if found is None:
            words.append(line.strip())
            continue
        if name:
            yield name, " ".join(words)
        name, words = found[1], [found[2]]
    yield name, " ".join(words)


def escaped(text: str) -> str:
    """Shapes such as [n] are no links, and names such as __len__ no emphasis; code stays as it is."""
    return "".join(part if part.startswith("`") else MARKS.sub(r"\\\g<0>", part) for part in CODE.split(text))
