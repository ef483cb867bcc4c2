"""Lines of code of the examples and of their plain alternatives.

A line of code has code on it: blank lines, comments and docstrings do not count. A plain alternative imports model and
data from the example; the definitions that it needs count as its own, since without the example it would have them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = tuple(path.stem for path in sorted((ROOT / "examples").glob("*.py")))


def counted(path: Path) -> int:
    """Lines of code of a file."""
    source = path.read_text()
    return len(_lines(source, ast.parse(source).body))


def example(name: str) -> int:
    return counted(ROOT / "examples" / f"{name}.py")


def plain(name: str) -> int | None:
    """Lines of code of the plain alternative with what it takes from the example; None if there is none."""
    path = ROOT / "bench/plain" / f"{name}.py"
    if not path.exists():
        return None
    own, theirs = path.read_text(), (ROOT / "examples" / f"{name}.py").read_text()
    body = ast.parse(own).body
    taken = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == f"examples.{name}"]
    names = [alias.name for node in taken for alias in node.names]
    return len(_lines(own, [node for node in body if node not in taken])) + len(_lines(theirs, _needed(theirs, names)))


def _needed(source: str, names: Iterable[str]) -> list[ast.stmt]:
    """The definitions of these names at the top level of a program, and those that they use. Without imports."""
    found: list[ast.stmt] = []
    defined = {name: node for node in ast.parse(source).body for name in _names(node)}
    todo = list(names)
    while todo:
        node = defined.get(todo.pop())
        if node is not None and node not in found:
            found.append(node)
            todo += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
        yield from (name.id for name in names if isinstance(name.ctx, ast.Store))


def _lines(source: str, nodes: Iterable[ast.stmt]) -> set[int]:
    """The numbers of the lines of code of these statements."""
    is_code = [bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines()]
    lines: set[int] = set()
    for node in nodes:
        first = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
        lines |= {number for number in _range(node, first) if is_code[number - 1]}
        for part in ast.walk(node):
            if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):  # a docstring
                lines -= set(_range(part, part.lineno))
    return lines


def _range(node: ast.stmt, first: int) -> range:
    return range(first, (node.end_lineno or first) + 1)
