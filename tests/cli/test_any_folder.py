"""The installed command, started in a folder that is unrelated to hogwild and has misleading file names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import warm

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which the command is started: modules that raise, a folder `hogwild`, files in place of folders."""
    place = tmp_path / "elsewhere"
    (place / "hogwild").mkdir(parents=True)
    for name in ("torch", "numpy", "yaml", "own"):
        (place / f"{name}.py").write_text(f"raise RuntimeError('{name}.py of the current directory was imported')\n")
    for name in ("docs", "bench", "experiments", "tests", "examples"):
        (place / name).write_text("not a folder\n")
    return place


def hogwild(folder: Path, *argv: str, cold: bool = True) -> subprocess.CompletedProcess[str]:
    """Like pip's script: in a separate folder, with the current directory not on sys.path. `cold`: in a new process."""
    script = folder.parent / "bin" / "hogwild"
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        "import sys\nfrom hogwild.cli.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script), *argv]
    start = subprocess.run if cold else warm.run
    return start(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("list", "  asgd "),
        ("doctor --quick --json", '"cores"'),
        ("stability --delay 4", "threshold"),
        ("stability --family downpour --lr 0.05", ""),
        ("reproduce --help", "--scale"),
        ("reproduce list", "fig2"),
        ("data list digits", "1,797"),
        ("train --help", "--algorithm"),
    ],
)
def test_commands_without_output_files_work_in_a_read_only_folder(folder, argv, said):
    before = sorted(folder.rglob("*"))
    folder.chmod(0o500)
    try:
        done = hogwild(folder, *argv.split(), cold=argv == "list")
    finally:
        folder.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a fork server of Python 3.10 searches the current directory")
def test_a_run_and_the_commands_that_use_it(folder):
    done = hogwild(folder, "train", "--updates", "20", "--model", "logistic", "--name", "a", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["updates"] == 20
    assert (folder / "runs/a/summary.json").exists()
    done = hogwild(folder, "export", "runs/a", "weights.pt", cold=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_comparison_where_nothing_can_be_written(folder):
    done = hogwild(folder, "compare", "--algorithms", "asgd", "--workers-list", "2", "--directory", "docs/grid")
    assert done.returncode == 2
    assert done.stderr == "hogwild: error: cannot make docs/grid: Not a directory; choose another --directory\n"
