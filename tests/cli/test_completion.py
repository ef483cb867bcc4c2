"""`hogwild completion`: bash, zsh and fish run their scripts, where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
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
        (["train", "--algorithm=dana-sl"], {"--algorithm=dana-slim"}),  # where = does not divide words
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


LINES = {
    "trai": "train",
    "train --algorithm dana-sl": "train --algorithm dana-slim",
    "train --algorithm=dana-sl": "train --algorithm=dana-slim",
    "compare --algorithms asgd,dana-z": "compare --algorithms asgd,dana-zero",
    "report --over": "report --overwrite",
    "completion z": "completion zsh",
}


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["completion", "fish"]) == 0
    path = tmp_path / "hogwild.fish"
    path.write_text(capsys.readouterr().out)
    code = "; ".join([f"source {path}", *(f"complete -C 'hogwild {line}'" for line in LINES)])
    command = ["fish", "--no-config", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [answer.partition("\t")[0] for answer in done.stdout.splitlines()] == [
        line.split()[-1] for line in LINES.values()
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes(script: Path, tmp_path: Path):
    """A TAB in a terminal: zsh completes nowhere else."""
    start = f"autoload -U compinit bashcompinit; compinit -u -d {tmp_path}/dump; bashcompinit; source {script}"
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "PS1": "> ", "COLUMNS": "300"}
    with subprocess.Popen(["zsh", "-f", "-i"], stdin=its, stdout=its, stderr=its, env=environment) as shell:
        os.close(its)

        def tell(words: str, answer: str) -> None:
            """Types the words, and waits until the terminal shows the answer."""
            os.write(ours, words.encode())
            said, deadline = b"", time.monotonic() + 60
            while answer.encode() not in said:
                assert select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0], said
                said += os.read(ours, 65536)

        tell(f"{start}; echo rea''dy\n", "\nready")
        for number, (line, whole) in enumerate(LINES.items()):
            tell(f"hogwild {line}\t", f"hogwild {whole} ")
            tell(f"\x15echo dri''ed {number}\n", f"\ndried {number}")
        shell.kill()
    os.close(ours)


def test_every_shell_has_its_installation(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.main(["completion", "--help"])
    assert 'eval "$(hogwild completion bash)"' in capsys.readouterr().out
