"""The help of a run: the general options, and the options of the requested algorithms."""

from __future__ import annotations

from pathlib import Path

import pytest

from hogwild.algorithms import REGISTRY
from hogwild.cli import flags
from hogwild.cli import main as cli
from hogwild.cli.compare import UNUSED
from hogwild.config import FIELDS
from hogwild.errors import UsageError

OWN = {option for algorithm in REGISTRY.values() for option in algorithm.options()}
COMMANDS = {"train": "--algorithm", "simulate": "--algorithm", "compare": "--algorithms"}


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def shown(argv: list[str], capsys) -> tuple[set[str], str]:
    """The options in a help text, and the text."""
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    assert end.value.code == 0
    text = capsys.readouterr().out
    words = {line.split()[0] for line in text.splitlines() if line.startswith("  --")}
    return {word.removeprefix("--").replace("-", "_") for word in words}, text


def of(command: str) -> set[str]:
    """The general options of a command. A comparison has none that its grid sets, or that have no effect in it."""
    return set(FIELDS) - (UNUSED if command == "compare" else set())


@pytest.mark.parametrize("command", COMMANDS)
def test_plain_help_shows_the_general_options_and_where_the_others_are(command, capsys):
    options, text = shown([command, "--help"], capsys)
    assert options & set(FIELDS) == of(command)
    assert not options & OWN
    assert f"hogwild {command} {COMMANDS[command]} NAME --help, hogwild list algorithms" in text


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["asgd", "sgp", "easgd"])
def test_the_help_of_an_algorithm_shows_its_options_alone(command, name, capsys):
    options, text = shown([command, COMMANDS[command], name, "--help"], capsys)
    assert options & OWN == set(REGISTRY[name].options())
    assert options & set(FIELDS) == of(command)
    assert f"\noptions of {name}:\n" in text or not REGISTRY[name].options()
    assert shown([command, f"{COMMANDS[command]}={name}", "--help"], capsys)[0] == options


def test_a_comparison_shows_the_options_of_all_its_algorithms(capsys):
    options, text = shown(["compare", "--algorithms", "asgd, admm", "--help"], capsys)
    assert options & OWN == {*REGISTRY["asgd"].options(), *REGISTRY["admm"].options()}
    assert "\noptions of asgd, admm:\n" in text


def test_the_algorithm_of_a_file_counts(capsys):
    Path("run.yaml").write_text("algorithm: admm\n")
    assert shown(["train", "--config", "run.yaml", "--help"], capsys)[0] & OWN == set(REGISTRY["admm"].options())


def test_one_default_is_said_simply_and_several_by_their_owners(capsys):
    _, text = shown(["compare", "--algorithms", "asgd,shifted", "--help"], capsys)
    assert "momentum factor m (0: asgd; 0.9: shifted)" in text
    assert "the factor 1 - d (default: 0)" in shown(["train", "--algorithm", "shifted", "--help"], capsys)[1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rho", "1"], "algorithm asgd has no option 'rho'; it has: .*momentum.* Known to: admm"),
        (["--algorithm", "admm", "--dampening", "0"], "algorithm admm has no option 'dampening'.* Known to: .*asgd"),
        (["--momentun", "0.5"], r"unknown argument '--momentun'\. Did you mean --momentum\?"),
        (["--algorithm", "admm", "--dampenning", "0"], r"'--dampenning'\. Did you mean --dampening\?"),
        (["--algorithm"], "argument --algorithm: expected one argument"),
        (["--algorithm", "amdm", "--lr", "1"], r"unknown algorithm 'amdm'\. Did you mean 'admm'\?"),
    ],
)
def test_flags_that_are_not_shown_are_understood_all_the_same(argv, message):
    with pytest.raises(UsageError, match=message):
        flags.parse(argv)
