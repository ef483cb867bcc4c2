"""`hogwild list [WHAT] [--markdown]`: all registered names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import Field
from typing import Any

from hogwild.cli import pages, shell
from hogwild.cli.columns import columns
from hogwild.cli.flags import flag
from hogwild.config import FIELDS
from hogwild.config.schedules import SCHEDULES
from hogwild.errors import UsageError
from hogwild.rules import Access

ACCESS = {
    Access.RACING: "plain loads and stores: fastest; a concurrent update of an element may be lost, never torn",
    Access.ATOMIC: "no update is lost; each element is added to atomically",
    Access.STRIPED: "one lock per chunk of the parameters",
    Access.LOCKED: "one lock around the whole push",
}
NAMES = ("models", "data", "schedules", "access", "topologies")
KINDS = ("algorithms", *NAMES, "options")


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_list, argv)


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild list", "All registered names, with their options.")
    parser.add_argument("what", nargs="?", choices=KINDS, help="default: all but the options of a run")
    parser.add_argument("--markdown", action="store_true", help="a whole page: algorithms (the default) or options")
    return parser


def _list(argv: Sequence[str]) -> int:
    given = parser().parse(argv)
    if given.markdown:
        print(_page(given.what or "algorithms"), end="")
        return 0
    kinds, indent = (("algorithms", *NAMES), 2) if given.what is None else ((given.what,), 0)
    for kind in kinds:
        if indent:
            print(f"{kind}:")
        for line in _lines(kind, indent):
            print(line)
    return 0


def _page(kind: str) -> str:
    if kind == "algorithms":
        return pages.algorithms()
    if kind == "options":
        return pages.options({name: _named(name) for name in NAMES})
    raise UsageError(f"--markdown prints the page of algorithms or options, not of {kind}")


def _lines(kind: str, indent: int) -> Iterator[str]:
    return _algorithms(indent) if kind == "algorithms" else columns(list(_named(kind).items()), indent)


def _named(kind: str) -> dict[str, str]:
    from hogwild.tasks import DATASETS, MODELS
    from hogwild.topology import FIXED, SEQUENCES

    return {
        "models": MODELS,
        "data": DATASETS,
        "schedules": SCHEDULES,
        "access": {access.value: text for access, text in ACCESS.items()},
        "topologies": {**FIXED, **SEQUENCES, "file:PATH": "edges 'i j', one a line, or a matrix of weights"},
        "options": {flag(name): str(field.metadata["help"]) for name, field in FIELDS.items()},
    }[kind]


def _algorithms(indent: int) -> Iterator[str]:
    """Each algorithm with its options below it, the texts of all one below the other."""
    from hogwild.algorithms.registry import known

    for name, algorithm in known().items():
        yield from columns([(name, algorithm.about())], indent, names=20)
        rows = [(flag(option), _about(field)) for option, field in algorithm.options().items()]
        yield from columns(rows, indent + 4, names=20)


def _about(field: Field[Any]) -> str:
    return f"{field.metadata.get('help', '')} (default: {str(field.default).lower()})"
