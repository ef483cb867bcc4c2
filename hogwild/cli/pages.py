"""The reference pages of the documentation, written from the registries: docs/algorithms.md and docs/options.md.

`hogwild list algorithms --markdown` and `hogwild list options --markdown` print them. Links are relative to docs/.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hogwild.buffers import Buffer, Scope
from hogwild.cli.flags import algorithm_options, flag
from hogwild.config import FIELDS, GROUPS

if TYPE_CHECKING:
    from hogwild.algorithms import Algorithm

FAMILIES = {  # folder of hogwild/algorithms -> title and introduction
    "": ("References", "One worker, and synchronous SGD on the same shared memory: the baselines for all others."),
    "stale": (
        "Stale gradients on one shared model",
        "Each gradient updates the shared model x as soon as it is computed, although other updates have changed x "
        "since the gradient's snapshot. The algorithms differ in how they correct for that delay. The named ones are "
        "presets of papers. `asgd` composes the same parts freely: `--momentum-kind`, `--penalty` and "
        "`--compensation`, each with the options of the named algorithms. It refuses combinations that make no sense, "
        "such as a gap penalty on a compensated gradient.",
    ),
    "gathered": (
        "Several gradients per update",
        "The shared model x waits for a number of gradients and takes one step with all of them. The algorithms differ "
        "in which gradients count, and in which workers wait.",
    ),
    "elastic": (
        "Replicas and a center",
        "Each worker trains a replica of its own and exchanges with the center x every `--period` steps. Depending on "
        "the algorithm, the center or the mean of the replicas is evaluated and saved.",
    ),
    "decentralized": (
        "Replicas and neighbours",
        "Each worker trains a replica of its own and averages it with its neighbours in a graph; there is no center. "
        "Most take a `--topology` (`hogwild list topologies`). The mean of the replicas is evaluated and saved.",
    ),
}
LABELS = ("Source", "Deviates")
INDENT = "    "
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
ALGORITHMS_INTRO = """\
Symbols: x is the shared model, lr the learning rate, wd the weight decay, g a gradient, m a momentum factor, tau a
delay in updates, N the number of workers. Every algorithm takes the [options of a run](options.md) too, such as `--lr`
and `--clip`. *Deviates* says where an algorithm differs from its source. A buffer is *shared* (all workers write it),
*worker* (one per worker, private) or *replica* (one per worker, and the others may read or average it). In the
simulator `--latency` and `--bandwidth` charge virtual time for what the workers exchange. [Bytes](gpu.md#bytes) has
what a push of each rule moves, and [choosing an algorithm](choosing.md) says which one to try.
"""
OPTIONS_INTRO = """\
`hogwild train`, `hogwild simulate` and `hogwild compare` take these options as flags, a `--config` file takes them as
YAML with `_` for `-`, and `hogwild.fit` takes them as keyword arguments. Flags override the file. If the column
*default* is empty, the text states the default. [usage.md](usage.md) shows the options in commands.
"""


def algorithms() -> str:
    """docs/algorithms.md: a table per family, then equations, source, buffers and options of each algorithm."""
    from hogwild.algorithms import REGISTRY

    return _page(_algorithms(list(REGISTRY.values())))


def options(named: Mapping[str, Mapping[str, str]]) -> str:
    """docs/options.md: the options of a run, those of the algorithms, and the values that have names (`named`)."""
    return _page(_options(named))


def _page(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def _algorithms(registry: Sequence[type[Algorithm]]) -> Iterator[str]:
    yield "# Algorithms\n"
    yield "<!-- Written by `hogwild list algorithms --markdown`; do not edit it by hand. -->\n"
    yield ALGORITHMS_INTRO
    families = {name: [a for a in registry if _family(a) == name] for name in (*FAMILIES, *map(_family, registry))}
    for name, members in families.items():
        yield f"**[{_title(name)}](#{_anchor(_title(name))})**\n"
        rows = [(f"[`{a.name}`](#{_anchor(_heading(group))})", a.summary) for group in _files(members) for a in group]
        yield from _table(("algorithm", "what it does"), rows)
    for name, members in families.items():
        yield f"## {_title(name)}\n"
        if name in FAMILIES:
            yield f"{FAMILIES[name][1]}\n"
        for group in _files(members):
            yield from _section(group)


def _family(algorithm: type[Algorithm]) -> str:
    """The folder of hogwild/algorithms that contains it; for other algorithms their package."""
    package = algorithm.__module__.rpartition(".")[0]
    return package.removeprefix("hogwild.algorithms").removeprefix(".")


def _title(family: str) -> str:
    return FAMILIES[family][0] if family in FAMILIES else family


def _files(members: Iterable[type[Algorithm]]) -> list[list[type[Algorithm]]]:
    """Groups the algorithms of one file, which share a docstring."""
    return [list(group) for _, group in groupby(members, key=lambda algorithm: algorithm.__module__)]


def _heading(group: Iterable[type[Algorithm]]) -> str:
    return ", ".join(f"`{algorithm.name}`" for algorithm in group)


def _anchor(heading: str) -> str:
    """The link fragment of a heading."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in " -_").replace(" ", "-")


def _section(group: Sequence[type[Algorithm]]) -> Iterator[str]:
    module = group[0].__module__
    yield f"### {_heading(group)}\n"
    yield from prose(sys.modules[module].__doc__ or "")
    path = module.replace(".", "/") + ".py"
    yield f"File: [{path}](../{path}).\n"
    for algorithm in group:
        of = f" of `{algorithm.name}`" if len(group) > 1 else ""
        buffers = ", ".join(f"`{name}` {buffer.scope.value}" for name, buffer in algorithm().keeps().items())
        yield f"Buffers{of} by default: {buffers}. {_memory(algorithm().keeps().values())}\n"
        if taken := algorithm.options():
            rows = [(f"`{flag(name)}`", _default(field), _help(field)) for name, field in taken.items()]
            yield from _table((f"option{of}", "default", "meaning"), rows)


def _memory(buffers: Iterable[Buffer]) -> str:
    """The memory of the buffers that are as large as the model, with a float32 master."""
    shared = worker = 0
    for buffer in buffers:
        element_bytes = 8 if buffer.dtype == "float64" else 4
        if buffer.size == "x" and buffer.scope is Scope.SHARED:
            shared += element_bytes
        elif buffer.size == "x":
            worker += element_bytes
    return f"Memory in float32: {shared} bytes a parameter, and {worker} more per worker."


def prose(docstring: str) -> Iterator[str]:
    """A docstring as Markdown: indented lines are equations, the others are paragraphs."""
    for is_equation, blocks in groupby(_blocks(docstring), key=lambda block: block.startswith(INDENT)):
        if is_equation:
            equations = "\n\n".join(blocks).split("\n")
            yield "\n".join(["```text", *(line.removeprefix(INDENT) for line in equations), "```\n"])
        else:
            for paragraph in blocks:  # in one line: at the start of a line "1." would begin a list
                text = ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", " ".join(paragraph.split()))
                label, _, rest = text.partition(": ")
                yield f"*{label}*: {rest}\n" if label in LABELS else f"{text}\n"


def _blocks(docstring: str) -> Iterator[str]:
    """The paragraphs of a docstring: a blank line, a change of indentation or a label starts a new one."""
    block: list[str] = []
    for line in [*docstring.splitlines(), ""]:
        begins = not line.strip() or line.partition(":")[0] in LABELS
        if block and (begins or line.startswith(INDENT) != block[-1].startswith(INDENT)):
            yield "\n".join(block)
            block = []
        if line.strip():
            block.append(line)


def _options(named: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield "# Options\n"
    yield "<!-- Written by `hogwild list options --markdown`; do not edit it by hand. -->\n"
    yield OPTIONS_INTRO
    for group in GROUPS:
        yield f"## {group.capitalize()}\n"
        fields = [field for field in FIELDS.values() if field.metadata["group"] == group]
        rows = [(f"`{flag(field.name)}`", _default(field), _help(field)) for field in fields]
        yield from _table(("option", "default", "meaning"), rows)
    yield "## Options of single algorithms\n"
    yield "[algorithms.md](algorithms.md) explains them with their algorithms.\n"
    owned = sorted(algorithm_options().items())
    rows = [(f"`{flag(name)}`", _owners(owners), _help(next(iter(owners.values())))) for name, owners in owned]
    yield from _table(("option", "defaults", "meaning"), rows)
    for kind, values in named.items():
        yield f"## Names: {kind}\n"
        yield from _table(("name", "meaning"), [(f"`{name}`", text) for name, text in values.items()])


def _default(field: Field[Any]) -> str:
    return "" if field.default is None or field.default == () else str(field.default).lower()


def _help(field: Field[Any]) -> str:
    """The help text, with the allowed values if they are few."""
    choices = field.metadata.get("choices")
    return str(field.metadata["help"]) + (f" ({', '.join(map(str, choices))})" if choices else "")


def _owners(owners: Mapping[str, Field[Any]]) -> str:
    """`0.9: shifted, gap-aware; 0.0: asgd`."""
    by_default: dict[str, list[str]] = {}
    for name, field in owners.items():
        by_default.setdefault(_default(field) or "none", []).append(name)
    return "; ".join(f"{default}: {', '.join(names)}" for default, names in by_default.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    yield ""
