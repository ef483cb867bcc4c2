"""The import graph points one way, and only hogwild.kernels knows the compiled module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import layers
import pytest
import warm

ROOT = Path(__file__).parent.parent
FILES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "hogwild").rglob("*.py"))}
NO_TORCH = [
    "hogwild",
    "hogwild.config",
    "hogwild.algorithms",
    "hogwild.algorithms.registry",
    "hogwild.tasks",
    "hogwild.theory",
    "hogwild.topology",
    "hogwild.cli.compare",
    "hogwild.cli.flags",
    "hogwild.cli.reproduce",
    "hogwild.cli.simulate",
    "hogwild.cli.train",
]
LONG = 300
WRITTEN = {"py", "h", "cpp", "cu", "cuh"}


def test_every_file_has_a_row_and_imports_what_its_row_allows():
    assert layers.faults(FILES) == []


def test_the_only_user_of_the_compiled_module():
    assert [row for row, allowed in layers.ROWS.items() if "_C" in allowed] == ["kernels"]


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("hogwild/drivers/view/pushes.py", "from hogwild.algorithms.stale.asgd import ASGD", "particular"),
        ("hogwild/drivers/job/job.py", "from hogwild.algorithms import ASGD", "particular"),
        ("hogwild/cli/compare.py", "import hogwild.algorithms.ssgd", "particular"),
        ("hogwild/drivers/job/job.py", "def f():\n    from hogwild.algorithms.elastic import easgd", "particular"),
        ("hogwild/algorithms/ssgd.py", "import multiprocessing", "no algorithm may"),
        ("hogwild/algorithms/ssgd.py", "from multiprocessing import Process", "no algorithm may"),
        ("hogwild/algorithms/ssgd.py", "import threading as t", "no algorithm may"),
        ("hogwild/algorithms/stale/asgd.py", "from threading import Lock", "no algorithm may"),
        ("hogwild/algorithms/ssgd.py", "import time", "no algorithm may"),
        ("hogwild/algorithms/ssgd.py", "def f():\n    from time import sleep", "no algorithm may"),
        ("hogwild/algorithms/base.py", "import torch", "no algorithm may"),
        ("hogwild/algorithms/base.py", "from torch import Tensor", "no algorithm may"),
        ("hogwild/algorithms/base.py", "import torch.nn.functional", "no algorithm may"),
        ("hogwild/algorithms/base.py", "__import__('torch')", "no algorithm may"),
        ("hogwild/runs/directory.py", "from hogwild.drivers.job.job import Job", "which runs may not"),
        ("hogwild/runs/console.py", "import hogwild.cli.shell", "which runs may not"),
        ("hogwild/config/fields.py", "from hogwild.cli import flags", "which config may not"),
        ("hogwild/config/checks.py", "def f():\n    from hogwild import drivers", "which config may not"),
        ("hogwild/config/checks.py", "if TYPE_CHECKING:\n    from hogwild.drivers.job import job", "which config may"),
        ("hogwild/config/checks.py", "import importlib\nimportlib.import_module('hogwild.cli')", "which config may"),
        ("hogwild/config/checks.py", "from .. import library", "which config may"),
        ("hogwild/drivers/job/model.py", "from hogwild.drivers.simulated import clocks", "which drivers.job may"),
        ("hogwild/drivers/checkpoints/manager.py", "import hogwild.drivers.instruments.edge", "checkpoints may not"),
        ("hogwild/drivers/view/buffers.py", "from hogwild import _C", "which drivers.view may not"),
        ("hogwild/drivers/interrupts.py", "from hogwild.drivers.job import job", "interrupts may not"),
        ("hogwild/drivers/new/file.py", "", "has no row"),
        ("hogwild/strange.py", "import os", "hogwild/strange.py has no row"),
    ],
)
def test_wrong_imports_are_found(path: str, line: str, fault: str):
    """Each of these lines, added to that file, must be reported."""
    source = FILES.get(path, "") + f"\n{line}\n"
    found = layers.faults({**FILES, path: source})
    assert any(path in text and fault in text for text in found), found


def test_a_circle_of_rooms_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(layers.ROWS, "runs", {*layers.ROWS["runs"], "drivers.job"})
    more = {"hogwild/runs/console.py": "from hogwild.drivers.job.job import Job\n"}
    found = layers.faults({**FILES, **more})
    assert [text for text in found if "the rows allow a circle" in text]
    assert [text for text in found if "the files make a circle" in text]


def test_a_row_without_a_file_and_an_idle_exception_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(layers.ROWS, "gone", set())
    monkeypatch.setitem(layers.UPWARD, ("hogwild/rules.py", "cli"), "no reason")
    found = layers.faults(FILES)
    assert "row gone has no file" in found
    assert [text for text in found if "no longer exists: remove it from the list" in text]


@pytest.mark.parametrize("module", NO_TORCH)
def test_help_does_not_import_torch(module: str):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_run_does_not_import_the_compiler(tmp_path: Path):
    """torch._dynamo costs each process more than a second. The parent of a run imports all that its workers do."""
    code = (
        "import sys; from hogwild.cli.main import main; from hogwild.nn import full_norm_autograd; "
        "main('train --updates 3 --workers 1 --quiet --norm full --model lenet'.split()); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    done = warm.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_no_file_is_longer_than_300_lines():
    folders = ("hogwild", "csrc", "tests", "tools", "bench", "experiments", "examples")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix[1:] in WRITTEN]
    assert len(paths) > 300
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > LONG} == {}


def test_no_two_test_files_have_one_name():
    """pytest imports test files by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_test_imports_a_conftest():
    """There are several, so the module found would depend on the other tests of the run."""
    files = Path(__file__).parent.rglob("*.py")
    assert [path.name for path in files if "\nfrom conftest import" in path.read_text()] == []
