"""`hogwild completion bash|zsh|fish`: the script with which a shell completes commands, flags and values.

The script holds all words, so a TAB starts no Python. It is made from the parsers of the commands; after an update of
hogwild, or for algorithms of your own, make it again.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hogwild.cli import shell
from hogwild.config import FIELDS

SHELLS = {
    "bash": 'eval "$(hogwild completion bash)"                                  in ~/.bashrc',
    "zsh": 'eval "$(hogwild completion zsh)"                                   in ~/.zshrc, after compinit',
    "fish": "hogwild completion fish > ~/.config/fish/completions/hogwild.fish",
}
"""Shell -> how its script is installed."""


class Flag(NamedTuple):
    """`values`: those that complete after it, none: any, or a file. `is_list`: several, with commas between them."""

    name: str
    takes_value: bool
    values: tuple[str, ...]
    is_list: bool
    help: str


class Words(NamedTuple):
    """What completes after a command: its flags, and in places without a flag the values, or files (`takes_files`)."""

    help: str
    flags: tuple[Flag, ...]
    values: tuple[str, ...]
    takes_files: bool


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_completion, argv)


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild completion", "Print the script with which a shell completes hogwild's command line.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "install it:\n" + "\n".join(f"  {line}" for line in SHELLS.values())
    parser.add_argument("shell", choices=SHELLS)
    return parser


def _completion(argv: Sequence[str]) -> int:
    given = parser().parse(argv)
    commands = words()
    if given.shell == "fish":
        print("\n".join(fish(commands)))
        return 0
    if given.shell == "zsh":
        print("autoload -U +X bashcompinit && bashcompinit")
    print("\n".join(bash(commands)))
    return 0


def words() -> dict[str, Words]:
    """The words of every command."""
    from hogwild.cli.main import COMMANDS

    return {name: _words(importlib.import_module(module).parser(), help) for name, (module, help) in COMMANDS.items()}


def _words(parser: argparse.ArgumentParser, help: str) -> Words:
    named = _named()
    flags: list[Flag] = []
    values: list[str] = []
    takes_files = False
    for action in parser._actions:
        found = tuple(map(str, action.choices or named.get(action.dest, ())))
        if not action.option_strings:
            values += found
            takes_files |= not found
            continue
        for name in action.option_strings:
            is_list = isinstance(action.metavar, str) and action.metavar.startswith("NAME,")
            text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help)
            flags.append(Flag(name, action.nargs not in (0, "?"), found, is_list, text.replace("%%", "%")))
    return Words(help, tuple(flags), tuple(values), takes_files)


def _named() -> dict[str, Sequence[str]]:
    """Option, as parsers call it -> the values with a name that it may have."""
    from hogwild.algorithms.registry import known
    from hogwild.cli.flags import algorithm_options
    from hogwild.config.schedules import SCHEDULES
    from hogwild.reproduce import REGISTRY as FIGURES
    from hogwild.tasks import DATASETS, MODELS
    from hogwild.topology import NAMES as TOPOLOGIES

    options = {name: next(iter(owners.values())) for name, owners in algorithm_options().items()} | dict(FIELDS)
    chosen = {name: field.metadata["choices"] for name, field in options.items() if field.metadata.get("choices")}
    algorithms, data = list(known()), list(DATASETS)
    return chosen | {
        "algorithm": algorithms,
        "algorithms": algorithms,
        "delay_rule": algorithms,
        "data": data,
        "names": data,
        "model": list(MODELS),
        "schedule": list(SCHEDULES),
        "topology": list(TOPOLOGIES),
        "figures": ["all", *FIGURES],
        "vary": [f"{name}=" for name in options],
        "tune": [f"{name}=" for name in options],
        "ckpt": ["last", "best"],
    }


BASH = """\
_hogwild() {
  local current=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} found= head=
  if [[ $current == = ]]; then current=; elif [[ $flag == = ]]; then flag=${COMP_WORDS[COMP_CWORD-2]}; fi
  if [[ $current == --*=* ]]; then flag=${current%%%%=*} head=${current%%%%=*}= current=${current#*=}; fi  # in zsh
  if [[ $COMP_CWORD == 1 ]]; then found='%(commands)s'
  else case "${COMP_WORDS[1]} $flag" in
%(values)s
    *) case "${COMP_WORDS[1]}" in
%(flags)s
      esac ;;
  esac; fi
  COMPREPLY=($(compgen -P "$head" -W "$found" -- "$current"))
}
complete -o default -F _hogwild hogwild"""
LIST = "[[ $current == *,* ]] && { head=$head${current%,*},; current=${current##*,}; }; "
"""Of values with commas between them the last one is completed."""


def bash(commands: Mapping[str, Words]) -> Iterator[str]:
    """One function with all words. Where none fits, or a flag takes a file, the shell completes the names of files."""
    values, flags = [], []
    for command, own in commands.items():
        for flag in own.flags:
            if flag.takes_value:
                words = f"found={shlex.quote(' '.join(flag.values))}"
                values.append(f"    '{command} {flag.name}') {LIST if flag.is_list else ''}{words} ;;")
        names = [flag.name for flag in own.flags]
        only = "[[ $current == -* ]] && " if own.takes_files else ""
        flags.append(f"      {command}) {only}found={shlex.quote(' '.join([*own.values, *names]))} ;;")
    yield BASH % {"commands": " ".join(commands), "values": "\n".join(values), "flags": "\n".join(flags)}


def fish(commands: Mapping[str, Words]) -> Iterator[str]:
    """A line for each command, each flag and each list of values."""
    for command, own in commands.items():
        yield f"complete -c hogwild -n __fish_use_subcommand -f -a {command} -d {shlex.quote(own.help)}"
        of = f"complete -c hogwild -n '__fish_seen_subcommand_from {command}'"
        if own.values:
            yield f"{of} -f -a {shlex.quote(' '.join(own.values))}"
        for flag in own.flags:
            form = f"-l {flag.name[2:]}" if flag.name.startswith("--") else f"-s {flag.name[1:]}"
            names = " ".join(flag.values)
            words = f"(__fish_append , {names})" if flag.is_list else names
            takes = f" -x -a {shlex.quote(words)}" if flag.values else " -r" if flag.takes_value else ""
            yield f"{of} {form}{takes} -d {shlex.quote(flag.help)}"
