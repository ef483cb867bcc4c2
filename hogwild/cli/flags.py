"""The flags of a run, made from the fields of Config and of every algorithm, and the Config that they give."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hogwild.cli.shell import Parser
from hogwild.config import FIELDS, GROUPS, LIMITS, Config, override, read_yaml
from hogwild.errors import UsageError
from hogwild.files.writing import refuse_links
from hogwild.options import kind
from hogwild.runs.directory import DONE, LINKS, RunDirectory, is_run
from hogwild.runs.trust import TRUST, require_trust

DESCRIPTION = "Train a model with asynchronous workers on one shared copy. Without options: digits, 2 workers."
METAVARS = {
    "str": "NAME",
    "int": "N",
    "float": "X",
    "tuple[float, ...]": "X,X",
    "Mapping[int, float]": "W:FACTOR",
    "data_dir": "DIR",
    "out": "DIR",
    "resume": "RUN",
    "pin": "CORES",
    "shard": "PARTS",
    "master": "PLACE",
}


def parse(argv: Sequence[str], prog: str = "hogwild train", defaults: Mapping[str, object] | None = None) -> Config:
    """Flags over the --config file, or over the run to be resumed, over `defaults`. Raises UsageError."""
    given = vars(parser(prog).parse(argv))
    file, trust = given.pop("config", None), given.pop("trust", False)
    if given.get("resume") is not None:
        if file is not None:
            raise UsageError("--resume takes the configuration of the run: leave --config out, flags may change it")
        return _resumed(given, trust)
    values = given if file is None else override(read_config(Path(file), trust), given)
    missing = {name: value for name, value in (defaults or {}).items() if values.get(name) is None}
    return Config.from_values({**values, **missing})


def read_config(file: Path, trust: bool) -> dict[str, object]:
    """The flat values of a --config file. If it is that of a run, own code in it needs trust as with --resume."""
    values = read_yaml(file)
    if is_run(file.parent) and not trust:
        require_trust(file.parent, values)
    return values


def _resumed(given: dict[str, object], trust: bool) -> Config:
    run = RunDirectory.open(str(given["resume"]))
    refuse_links(run.path, LINKS)
    before = run.config(trust=trust)
    config = Config.from_values(override(before.values(), given))
    for name in (*(name for name, field in FIELDS.items() if field.metadata["fixed"]), "options"):
        here, there = getattr(config, name), getattr(before, name)
        if here != there:
            raise UsageError(f"--resume cannot change {name} from {there!r} to {here!r}: start a new run instead")
    limit = next(name for name in LIMITS if getattr(before, name) is not None)
    if getattr(config, limit) == getattr(before, limit) and run.read_summary().get("exit_reason") == DONE:
        raise UsageError(
            f"{run.path} is finished ({limit} {getattr(before, limit):g}): give a later end, {flag(limit)} N"
        )
    return config


def parser(prog: str, description: str = DESCRIPTION) -> Parser:
    """A parser of every option of a run."""
    parser = Parser(prog, description)
    parser.usage = f"{prog} [options]"
    groups = {name: parser.add_argument_group(name) for name in GROUPS}
    for field in FIELDS.values():
        _add(groups[field.metadata["group"]], field, _help(field))
        if field.name == "algorithm":
            for defaults in algorithm_options().values():
                _add(groups["algorithm"], *_option_help(defaults))
    groups["run"].add_argument("--config", metavar="FILE", help="YAML with any of these options; flags override it")
    groups["run"].add_argument("--trust", action="store_true", help=TRUST)
    parser.set_defaults(config=None)
    return parser


def algorithm_options() -> dict[str, dict[str, dataclasses.Field[Any]]]:
    """option -> algorithm that has it -> its field."""
    from hogwild.algorithms import REGISTRY

    found: dict[str, dict[str, dataclasses.Field[Any]]] = {}
    for name, algorithm in REGISTRY.items():
        for option, field in algorithm.options().items():
            found.setdefault(option, {})[name] = field
    return found


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _add(group: Any, field: dataclasses.Field[Any], help: str) -> None:
    shape: dict[str, object] = {"metavar": METAVARS.get(field.name, METAVARS.get(kind(field)))}
    if choices := field.metadata.get("choices"):
        shape = {"metavar": "{" + ",".join(map(str, choices)) + "}"}
    elif kind(field) == "bool":
        shape = {"nargs": "?", "const": True, "metavar": "false"}  # the bare flag means true
    group.add_argument(
        flag(field.name), dest=field.name, default=argparse.SUPPRESS, help=help.replace("%", "%%"), **shape
    )


def _help(field: dataclasses.Field[Any]) -> str:
    if field.default is None or field.default is False or field.default == ():
        return str(field.metadata["help"])
    return f"{field.metadata['help']} (default: {_short(field.default)})"


def _option_help(owners: dict[str, dataclasses.Field[Any]]) -> tuple[dataclasses.Field[Any], str]:
    """The field, and `momentum factor m (0.9: shifted, gap-aware; 0.0: asgd)`."""
    by_default: dict[str, list[str]] = {}
    for name, field in owners.items():
        by_default.setdefault(_short(field.default), []).append(name)
    first = next(iter(owners.values()))
    defaults = "; ".join(f"{default}: {', '.join(names)}" for default, names in by_default.items())
    return first, f"{first.metadata['help']} ({defaults})"


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
