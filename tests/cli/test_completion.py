"""`hogwild completion`: bash runs its script; that of zsh is the same one; fish gets a line for each word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hogwild.algorithms import REGISTRY
from hogwild.cli import main as cli
from hogwild.cli.main import COMMANDS

ASK = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hogwild; printf "%s\\n" "${COMPREPLY[@]}"'


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hogwild.cli import completion

    path = tmp_path_factory.mktemp("completion") / "hogwild.bash"
    path.write_text("\n".join(completion.bash(completion.words())))
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], set(COMMANDS)),
        (["trai"], {"train"}),
        (["train", "--algorithm", ""], set(REGISTRY)),
        (["simulate", "--algorithm", "=", "dana-s"], {"dana-sa", "dana-slim"}),
        (["compare", "--algorithms", "asgd,dana-z"], {"asgd,dana-zero"}),
        (["train", "--data", "fas"], {"fashion_mnist"}),
        (["train", "--access", ""], {"racing", "atomic", "striped", "locked"}),
        (["train", "--csv", "--algo"], {"--algorithm"}),  # a flag that needs no value
        (["compare", "--tune", "weight_"], {"weight_decay="}),
        (["reproduce", "del"], {"delayed-rules", "delayed-text", "delayed-tables"}),
        (["report", ""], {""}),  # nothing: bash then completes the names of files
        (["report", "--over"], {"--overwrite"}),
        (["completion", "z"], {"zsh"}),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_bash(script: Path, words: list[str], expected: set[str]):
    command = ["bash", "-c", ASK, "bash", str(script), "hogwild", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert set(done.stdout.removesuffix("\n").split("\n")) == expected


def test_zsh_takes_the_script_of_bash(script: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["completion", "zsh"]) == 0
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert "bashcompinit" in first
    assert rest == script.read_text() + "\n"


def test_fish(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (algorithm,) = (line for line in lines if "_from train' -l algorithm " in line)
    assert f" -x -a '{' '.join(REGISTRY)}' -d " in algorithm
    assert any(line.startswith("complete -c hogwild -n __fish_use_subcommand -f -a doctor -d ") for line in lines)


def test_every_shell_has_its_installation(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.main(["completion", "--help"])
    assert 'eval "$(hogwild completion bash)"' in capsys.readouterr().out
