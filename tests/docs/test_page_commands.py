"""Every command of the pages is one that hogwild understands."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from hogwild.cli import flags
from hogwild.cli.main import COMMANDS
from hogwild.cli.simulate import DEFAULT_CLOCK
from hogwild.config import Config
from hogwild.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS = ("train", "simulate")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command of hogwild in the page's blocks of sh, without comments and redirections."""
    for block in BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r" && |; (?=\w)", line):
                if not part.strip() or part.lstrip().startswith("#"):
                    continue
                words = shlex.split(part.partition(" > ")[0], comments=True)
                if words[:1] == ["hogwild"] or words[:3] == ["python", "-m", "hogwild"]:
                    yield words[words.index("hogwild") + 1 :]
                elif "hogwild.train" in words:
                    yield ["train", *words[words.index("hogwild.train") + 1 :]]


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.name)
def test_every_command_is_understood(page: Path):
    for words in commands(page):
        understood(*words)


def understood(command: str, *argv: str) -> None:
    """Parses the command. The options of a run become a Config, unless a file or own code has to be there for that."""
    assert command in COMMANDS, command
    if command in RUNS and "--help" not in argv:
        parser = flags.parser(f"hogwild {command}")
        given = {name: value for name, value in vars(parser.parse(argv)).items() if value is not None}
        if not {"config", "resume"} & given.keys() and not any(
            ":" in str(given.get(n)) for n in ("algorithm", "clock")
        ):
            clock = {"clock": DEFAULT_CLOCK} if command == "simulate" else {}
            Config.from_values({**clock, **{name: value for name, value in given.items() if name != "trust"}})
    elif "--help" not in argv:
        importlib.import_module(COMMANDS[command][0]).parser().parse(argv)


@pytest.mark.parametrize("words", ["train --algoritm asgd", "simulate --lr much", "list everything", "eval"])
def test_wrong_commands_are_found(words: str):
    with pytest.raises(UsageError):
        understood(*words.split())
