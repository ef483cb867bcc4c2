"""The flags of a run, made from the fields of Config and of every algorithm, and the Config made from flags."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hogwild.algorithms.registry import loaded
from hogwild.cli.shell import Parser
from hogwild.config import FIELDS, GROUPS, Config, override, read_yaml
from hogwild.config.algorithm import options_of
from hogwild.errors import UsageError
from hogwild.options import kind
from hogwild.runs.directory import is_run
from hogwild.runs.resuming import find_run, resumed
from hogwild.runs.trust import TRUST, require_trust

DESCRIPTION = "Train a model with asynchronous workers on one shared copy. Without options: digits, 2 workers."
METAVARS = {
    "str": "NAME",
    "int": "N",
    "float": "X",
    "tuple[float, ...]": "X,X",
    "Mapping[int, float]": "W:FACTOR",
    "box_straggler": "BOX:FACTOR",
    "data_dir": "DIR",
    "out": "DIR",
    "resume": "RUN",
    "pin": "CORES",
    "shard": "PARTS",
    "master": "PLACE",
}
_CHOICE = {"hogwild compare": "algorithms"}  # the flag that chooses the algorithms, if it is not --algorithm
Option = dataclasses.Field[Any]


def parse(argv: Sequence[str], prog: str = "hogwild train", defaults: Mapping[str, object] | None = None) -> Config:
    """The Config of the flags, which override the --config file or the resumed run, which override `defaults`. Raises
    UsageError.
    """
    algorithm = asked_algorithm(argv)
    given = vars(parser(prog, algorithms=[] if algorithm is None else [algorithm]).parse(argv))
    file, trust = given.pop("config", None), given.pop("trust", False)
    if given.get("resume") is not None:
        if file is not None:
            raise UsageError("--resume takes the configuration of the run: leave --config out, flags may change it")
        return resumed(given, trust=trust)
    values = given if file is None else override(read_config(Path(file), trust), given)
    missing = {name: value for name, value in (defaults or {}).items() if values.get(name) is None}
    return Config.from_values({**values, **missing})


def read_config(file: Path, trust: bool) -> dict[str, object]:
    """The flat values of a --config file. If it is that of a run, own code in it needs trust as with --resume."""
    values = read_yaml(file)
    if is_run(file.parent) and not trust:
        require_trust(file.parent, values)
    return values


def asked_algorithm(argv: Sequence[str]) -> str | None:
    """The algorithm that `argv`, its --config file or the run that it resumes names: the flags depend on it."""
    early = early_flags(argv, "algorithm", "config", "resume")
    name: object = early["algorithm"]
    if name is None and (early["config"] is None) != (early["resume"] is None):
        trust = "--trust" in argv
        if early["config"] is not None:
            name = read_config(Path(early["config"]), trust).get("algorithm")
        elif (run := find_run(Path(str(early["resume"])))) is not None:
            name = run.values(trust=trust).get("algorithm")
    return name if isinstance(name, str) else None


def early_flags(argv: Sequence[str], *names: str) -> dict[str, str | None]:
    """The values of a few flags, read before the complete parser can be made."""
    early = Parser("hogwild", "", add_help=False)
    for name in names:
        early.add_argument(flag(name), dest=name)
    return vars(early.parse_known_args(argv)[0])


def parser(
    prog: str, description: str = DESCRIPTION, algorithms: Sequence[str] = (), unused: Collection[str] = ()
) -> Parser:
    """A parser of every option of a run. The help shows only the options of `algorithms`, and none that is `unused`.

    The parser accepts options of other algorithms too; hogwild.config then refuses them and names their algorithms.
    """
    parser = Parser(prog, description)
    parser.usage = f"{prog} [options]"
    groups = {name: parser.add_argument_group(name) for name in GROUPS}
    choice = flag(_CHOICE.get(prog, "algorithm"))
    groups["algorithm"].description = f"Its options: {prog} {choice} NAME --help, hogwild list algorithms"
    for field in FIELDS.values():
        _add(groups[field.metadata["group"]], field, argparse.SUPPRESS if field.name in unused else _help(field))
    groups["run"].add_argument("--config", metavar="FILE", help="YAML with any of these options; flags override it")
    groups["run"].add_argument("--trust", action="store_true", help=TRUST)
    parser.set_defaults(config=None)
    asked = _owners({name: options_of(name, FIELDS) for name in algorithms})
    if asked:
        group = parser.add_argument_group(f"options of {', '.join(algorithms)}")
        for owners in asked.values():
            _add(group, *_option_help(owners))
    for option, owners in algorithm_options().items():
        if option not in asked:
            _add(groups["algorithm"], next(iter(owners.values())), argparse.SUPPRESS)
    return parser


def algorithm_options() -> dict[str, dict[str, Option]]:
    """option -> algorithm with that option -> its field, for all loaded algorithms."""
    return _owners({name: algorithm.options() for name, algorithm in loaded().items()})


def _owners(options: Mapping[str, Mapping[str, Option]]) -> dict[str, dict[str, Option]]:
    """The same mapping from algorithm -> option -> field."""
    found: dict[str, dict[str, Option]] = {}
    for name, fields in options.items():
        for option, field in fields.items():
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
    """The field and its help, such as `momentum factor m (0.9: shifted, gap-aware; 0: asgd)`, or with the common
    default.
    """
    by_default: dict[str, list[str]] = {}
    for name, field in owners.items():
        by_default.setdefault(_short(field.default), []).append(name)
    first = next(iter(owners.values()))
    if len(by_default) == 1:
        defaults = f"default: {next(iter(by_default))}"
    else:
        defaults = "; ".join(f"{default}: {', '.join(names)}" for default, names in by_default.items())
    return first, f"{first.metadata.get('help', '')} ({defaults})".strip()


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
