"""Every code block of the pages is run: by a test of its page, by the tests below, or elsewhere for a reason."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm
from test_pages import FENCE, PAGES, ROOT

OF_THEIR_OWN = {  # (page, language of the block) -> the test that runs all such blocks of that page
    ("docs/tutorial.md", "sh"): "tests/docs/test_tutorial.py",
    ("docs/tutorial.md", "python"): "tests/docs/test_tutorial.py",
    ("docs/loops.md", "sh"): "tests/docs/test_loops_page.py",
    ("docs/loops.md", "python"): "tests/docs/test_loops_page.py",
    ("docs/library.md", "python"): "tests/library/test_docs.py",
    ("docs/examples.md", "sh"): "tests/library/test_examples.py",
}
ELSEWHERE = {  # a pattern of commands -> where they are run, or why not
    r"pip install|\.venv|pre-commit|\.ci/run|python -m pytest -n auto|python tools/docs_site": ".ci/run, .ci/long",
    r"HOGWILD_DEBUG|lib\(\)|LD_PRELOAD": "python tools/sanitize",
    r"hogwild list \w+ --markdown|python tools/\w+\.py": "tests compare the generated pages",
    r"torchrun|\$run |random_box_kills": "two machines; tests/boxes does it on one",
    r"python -m (experiments|bench)|--data fashion_mnist --model mlp": "hours, whose results the page shows",
    r"hogwild reproduce": "minutes to hours; tests/reproduce runs each with smaller sizes",
}
SHORT = {"train": ["--samples", "300"], "simulate": ["--samples", "300"],
         "compare": ["--samples", "200", "--seeds", "1", "--workers-list", "2,4", "--jobs", "1"]}  # fmt: skip
RUNS = ("mine", "a", "b", "my-run", "two/box0", "two/box1")  # that pages name
PROGRAMS = [(page, code) for page in PAGES for language, code in FENCE.findall(page.read_text()) if language == "python"
            and (str(page.relative_to(ROOT)), language) not in OF_THEIR_OWN
            and "(Algorithm)" not in code]  # that one test_pages.py builds  # fmt: skip


def commands(page: Path) -> Iterator[str]:
    """The commands in blocks of sh, without comments."""
    for language, code in FENCE.findall(page.read_text()):
        if language == "sh":
            for line in code.replace("\\\n", " ").splitlines():
                for command in re.split(r" && ", re.sub(r"(^|\s+)# .*", "", line)):
                    if command.strip():
                        yield command.strip()


def own_commands() -> list[tuple[str, str]]:
    """(page, command) for those that this file runs."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        if (name, "sh") not in OF_THEIR_OWN:
            found += [(name, c) for c in commands(page) if not any(re.search(pattern, c) for pattern in ELSEWHERE)]
    return found


def test_every_block_is_run_somewhere():
    for page in PAGES:
        for language, _ in FENCE.findall(page.read_text()):
            assert language in ("sh", "python", "text", ""), f"{page.name}: nothing runs a block of {language}"
    for name, command in own_commands():
        words = shlex.split(command)
        assert words[0] in ("hogwild", "cd") or words[:2] == ["python", "-m"], f"{name}: nothing runs {command}"
    for (page, _), test in OF_THEIR_OWN.items():
        assert (ROOT / test).exists(), page
    known = [command for page in PAGES for command in commands(page)]
    for pattern in ELSEWHERE:
        assert any(re.search(pattern, command) for command in known), f"no page has a command of {pattern}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the runs that pages name, and the examples, where the algorithm of one's own is."""
    path = tmp_path_factory.mktemp("pages") / "examples"
    shutil.copytree(ROOT / "examples", path, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    hogwild("train --workers 1 --samples 300", path)
    (run,) = (path / "runs").iterdir()
    for name in RUNS:
        shutil.copytree(run, path / "runs" / name)
    hogwild("compare --algorithms asgd,ssgd --workers-list 2 --seeds 1 --samples 200 --jobs 1 --directory grid", path)
    return path


def hogwild(line: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-m", "hogwild", *shlex.split(line)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    done = warm.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("page", "command"), own_commands(), ids=lambda part: part.partition(" ")[2] or part)
def test_a_command_of_a_page_runs(page: str, command: str, folder: Path, tmp_path: Path):
    """With few samples, in a copy of the prepared folder. `...` stands for a run that the reader has."""
    if command.startswith("cd "):
        return
    here = tmp_path / "examples"
    shutil.copytree(folder, here)
    line = re.sub(r"^(python -m )?hogwild(\.| )", "", command).replace("runs/...", "runs/mine")
    name = line.split()[0]
    if "--help" not in line and "--resume" not in line:
        line = " ".join([line, *SHORT.get(name, [])])
    hogwild(line, here)


@pytest.mark.parametrize(("page", "code"), PROGRAMS, ids=lambda part: part.name if isinstance(part, Path) else "")
def test_a_program_of_a_page_runs(page: Path, code: str, tmp_path: Path):
    (tmp_path / "mine.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "mine.py"]
    done = warm.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
