"""`hogwild list [WHAT] [--markdown]`: all registered names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hogwild.cli import pages, shell
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


def _list(argv: Sequence[str]) -> int:
    parser = shell.Parser("hogwild list", "All registered names, with their options.")
    parser.add_argument("what", nargs="?", choices=KINDS, help="default: all but the options of a run")
    parser.add_argument("--markdown", action="store_true", help="a whole page: algorithms (the default) or options")
    given = parser.parse(argv)
    if given.markdown:
        print(_page(given.what or "algorithms"), end="")
        return 0
    what = given.what
    for kind in ("algorithms", *NAMES) if what is None else (what,):
        if what is None:
            print(f"{kind}:")
        for line in _lines(kind):
            print(f"  {line}" if what is None else line)
    return 0


def _page(kind: str) -> str:
    if kind == "algorithms":
        return pages.algorithms()
    if kind == "options":
        return pages.options({name: _named(name) for name in NAMES})
    raise UsageError(f"--markdown prints the page of algorithms or options, not of {kind}")


def _lines(kind: str) -> Iterator[str]:
    if kind == "algorithms":
        yield from _algorithms()
    else:
        named = _named(kind)
        width = max(map(len, named))
        yield from (f"{name:{width}} {text}" for name, text in named.items())


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


def _algorithms() -> Iterator[str]:
    from hogwild.algorithms.registry import known

    for name, algorithm in known().items():
        yield f"{name:16} {algorithm.about()}"
        for option, field in algorithm.options().items():
            yield f"    {flag(option):20} {field.metadata.get('help', '')} (default: {str(field.default).lower()})"
