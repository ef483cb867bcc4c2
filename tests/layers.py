"""The allowed imports: one row per room of hogwild/, and a check of them as a function of {path: source}.

A room is a package or a module; a file belongs to the longest row that its path begins with (`drivers.__init__` is that
one file, so a new room of drivers/ needs a row). A row lists the rooms that the room may import. The rows have no
circle, so every import points one way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

BASE = {"errors", "options", "system", "rules", "tables", "buffers", "files", "text"}
RUN = {"algorithms", "config", "metrics", "runs", "shared", "shared.seeds", "tasks"}
ROWS: dict[str, set[str]] = {
    "text": set(),
    "errors": {"text"},
    "files": {"errors", "text"},
    "momenta": set(),
    "adaptive": {"momenta"},
    "rules": {"adaptive", "momenta"},
    "tables": {"adaptive", "momenta"},
    "buffers": set(),
    "system": {"text"},
    "options": {"errors", "text"},
    "own_code": {"errors", "text"},
    "reference": {"adaptive", "rules", "tables"},
    "kernels": {"_C", "rules", "tables", "errors"},
    "nn": {"kernels", "errors"},
    "theory": {"errors"},
    "delays": {"errors", "files", "options", "text"},
    "topology": {"errors", "files", "options", "rules", "text", "theory"},
    "topology.trees": set(),
    "metrics": {"errors", "own_code"},
    "tasks": {"errors", "files", "metrics", "options", "own_code", "shared.seeds", "text"},
    "algorithms": {"buffers", "rules", "topology.trees"},
    "algorithms.terms": {"algorithms", "buffers", "errors", "options", "own_code"},
    "algorithms.registry": {"algorithms", "algorithms.terms", "errors", "options", "own_code"},
    "shared": {"buffers", "errors", "kernels", "system", "tables"},
    "shared.seeds": set(),
    "config": {*BASE, "algorithms", "algorithms.registry", "tasks", "theory", "topology"},
    "runs": {"config", "errors", "files", "kernels", "system", "tasks", "text"},
    "drivers.__init__": set(),
    "drivers.interrupts": set(),
    "drivers.fork_server": {"drivers.interrupts", "errors"},
    "drivers.forked": set(),
    "drivers.callbacks": {"errors", "own_code", "tasks"},
    "drivers.job": {"drivers.callbacks", *BASE, *RUN, "algorithms.registry", "kernels", "nn", "own_code"},
    "drivers.view": {*BASE, "algorithms", "drivers.job", "kernels", "shared", "shared.seeds", "topology"},
    "drivers.checkpoints": {*BASE, *RUN, "drivers.job", "nn"},
    "drivers.instruments": {
        *BASE, *RUN, "delays", "drivers.callbacks", "drivers.checkpoints", "drivers.job", "kernels", "own_code",
        "theory",
    },
    "drivers.copies": {*BASE, *RUN, "drivers.checkpoints", "drivers.instruments", "drivers.job", "own_code"},
    "drivers.base": {
        *BASE, *RUN, "drivers.checkpoints", "drivers.copies", "drivers.instruments", "drivers.interrupts",
        "drivers.job", "own_code",
    },
    "drivers.processes": {
        *BASE, *RUN, "drivers.base", "drivers.checkpoints", "drivers.fork_server", "drivers.instruments",
        "drivers.interrupts", "drivers.job", "drivers.view", "kernels", "own_code",
    },
    "drivers.simulated": {
        *BASE, *RUN, "delays", "drivers.base", "drivers.checkpoints", "drivers.copies", "drivers.instruments",
        "drivers.job", "drivers.view", "kernels",
    },
    "boxes": {
        *BASE, *RUN, "drivers.checkpoints", "drivers.fork_server", "drivers.instruments", "drivers.job",
        "drivers.processes", "drivers.simulated", "drivers.view", "kernels", "nn",
    },
    "drivers.choice": {*RUN, "boxes", "drivers.base", "drivers.job", "drivers.processes", "drivers.simulated"},
    "drivers.comparison": {*RUN, "drivers.choice", "drivers.fork_server", "drivers.job", "errors", "files"},
    "library": {
        *RUN, "algorithms.registry", "drivers.base", "drivers.callbacks", "drivers.checkpoints", "drivers.choice",
        "drivers.fork_server", "drivers.instruments", "drivers.job", "drivers.processes", "errors", "files", "own_code",
        "boxes", "system",
    },
    "report": {*RUN, "errors", "files", "text"},
    "recommend": set(),
    "reproduce": {
        *BASE, *RUN, "boxes", "delays", "drivers.checkpoints", "drivers.fork_server", "drivers.instruments",
        "drivers.job", "drivers.processes", "drivers.simulated", "kernels", "theory",
    },
    "cli": {
        *BASE, *RUN, "algorithms.registry", "boxes", "delays", "drivers.checkpoints", "drivers.choice",
        "drivers.comparison", "drivers.fork_server", "drivers.instruments", "drivers.job", "drivers.simulated",
        "kernels", "recommend", "report", "reproduce", "theory", "topology",
    },
    "reproduce.__main__": {"cli"},
    "train": {"cli"},
    "_moved": set(),
    "__init__": {"_moved", "algorithms.registry", "library", "metrics"},
    "__main__": {"cli"},
}  # fmt: skip
UPWARD: dict[tuple[str, str], str] = {}
"""(file, room whose types it imports against its row) -> reason for the exception."""

OF_ALGORITHMS = {"hogwild.algorithms", "hogwild.algorithms.base", "hogwild.algorithms.registry"}
"""The modules of hogwild/algorithms/ that the rest of hogwild may import; the others are particular algorithms."""
NAMES_OF_ALGORITHMS = {"Algorithm", "REGISTRY", "registry", "base"}

FOR_ALGORITHMS = {
    "__future__", "abc", "collections", "contextlib", "dataclasses", "enum", "functools", "inspect", "itertools",
    "math", "typing",
}  # fmt: skip
"""The outside modules that an algorithm may import: none for processes, threads or clocks, and not torch."""
SEEDED = "random.Random"  # is given its seed; the functions of random share a generator with the caller


class Import(NamedTuple):
    """One imported module or name, `from a import b` as a.b; `for_types`: under TYPE_CHECKING."""

    name: str
    line: int
    for_types: bool


@cache
def imports(source: str, path: str) -> tuple[Import, ...]:
    """All imports of a file, in both forms, anywhere in the file; also `__import__` and import_module of a literal."""
    return tuple(_imports(source, path))


def _imports(source: str, path: str) -> Iterator[Import]:
    tree = ast.parse(source)
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    typed = {id(inner) for block in blocks for child in block.body for inner in ast.walk(child)}
    package = path.removesuffix(".py").split("/")
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = [".".join(package[: -node.level])] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            names = [str(node.args[0].value)] if called in ("import_module", "__import__") else []
        yield from (Import(name, node.lineno, id(node) in typed) for name in names)


def row_of(path: str) -> str | None:
    """The room of a file of hogwild/; None if no row begins its path."""
    return _longest(path.removesuffix(".py").split("/")[1:])


def room_of(name: str) -> str | None:
    """The room of the imported `hogwild.a.b.c`; None for names of other packages. Names without a row come from
    hogwild/__init__.py.
    """
    parts = name.split(".")
    if parts[0] != "hogwild":
        return None
    return "_C" if parts[1:2] == ["_C"] else _longest(parts[1:]) or "__init__"


def _longest(parts: list[str]) -> str | None:
    """The longest row that `parts` begin with."""
    rows = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((row for row in rows if row in ROWS), None)


def faults(files: Mapping[str, str]) -> list[str]:
    """All violations of the rows, and of the rules below them, in the sources of hogwild/, one line each."""
    return [*_without_row(files), *_against_rows(files), *_particular(files), *_circles(files)]


def _without_row(files: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{path} has no row" for path in files if row_of(path) is None)
    rooms = {row_of(path) for path in files}
    yield from (f"row {row} has no file" for row in ROWS if row not in rooms)
    yield from (f"row {row} allows {name}, which has no row" for row in ROWS for name in ROWS[row] - {*ROWS, "_C"})


def _against_rows(files: Mapping[str, str]) -> Iterator[str]:
    used = set()
    for path, source in files.items():
        row = row_of(path)
        for found in imports(source, path):
            room = room_of(found.name)
            if row is None or room is None or room == row or room in ROWS[row]:
                continue
            if (path, room) in UPWARD and found.for_types:
                used.add((path, room))
            else:
                yield f"{path}:{found.line} imports {found.name}, which {row} may not"
    yield from (
        f"upward import {entry} no longer exists: remove it from the list" for entry in UPWARD if entry not in used
    )


def _particular(files: Mapping[str, str]) -> Iterator[str]:
    """No other room imports a particular algorithm, and no algorithm imports processes, clocks or torch."""
    for path, source in files.items():
        for found in imports(source, path):
            if row_of(path) == "algorithms":
                top = found.name.partition(".")[0]
                if (
                    top not in {*FOR_ALGORITHMS, "hogwild"}
                    and found.name != SEEDED
                    and not (top == "torch" and found.for_types)
                ):
                    yield f"{path}:{found.line} imports {found.name}, which no algorithm may at run time"
            elif found.name.startswith("hogwild.algorithms") and not path.startswith("hogwild/algorithms/"):
                module, _, name = found.name.rpartition(".")
                is_known = found.name in OF_ALGORITHMS or module in OF_ALGORITHMS - {"hogwild.algorithms"}
                if not is_known and not (module == "hogwild.algorithms" and name in NAMES_OF_ALGORITHMS):
                    yield f"{path}:{found.line} imports the particular algorithm {found.name}"


def arrows(files: Mapping[str, str], *, for_types: bool = False) -> dict[str, set[str]]:
    """Room -> the rooms that it imports, at run time (and for types)."""
    graph: dict[str, set[str]] = {}
    for path, source in files.items():
        row = row_of(path)
        if row is None:
            continue
        found = {room_of(i.name) for i in imports(source, path) if for_types or not i.for_types}
        graph.setdefault(row, set()).update(room for room in found if room is not None and room != row)
    return graph


def _circles(files: Mapping[str, str]) -> Iterator[str]:
    for what, graph in (("rows allow", ROWS), ("files make", arrows(files))):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            yield f"the {what} a circle of rooms: {' -> '.join(map(str, error.args[1]))}"
