"""Names beside their texts, in two columns that fit the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

NARROW = 30  # characters: texts in fewer stand below their names


def columns(
    rows: Sequence[tuple[str, str]], indent: int = 0, names: int = 0, width: int | None = None
) -> Iterator[str]:
    """A line for each row, and more where its text does not fit into `width` characters. The column of names is at
    least `names` wide. By default the width is the terminal's; in a pipe or a file every row is one line, for grep.
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    names = max([names, *(len(name) for name, _ in rows)])
    place = indent + names + 1
    if width is not None and width - place < NARROW:
        place = indent + 2
    for name, text in rows:
        lines = [text] if width is None else textwrap.wrap(text, max(width - place, 10)) or [""]
        head = " " * indent + name
        if len(head) >= place:
            yield head
        else:
            yield f"{head:{place}}{lines.pop(0)}"
        yield from (" " * place + line for line in lines)
