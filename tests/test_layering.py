"""The import graph points one way, and only hogwild.kernels knows the compiled module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "hogwild"
LAYERS = {  # a package or module -> what it may import from hogwild (besides itself)
    "text": set(),
    "errors": {"text"},
    "files": {"errors", "text"},
    "rules": set(),
    "options": {"errors", "text"},
    "system": {"text"},
    "algorithms": {"rules"},
    "reference": {"rules"},
    "kernels": {"_C", "rules", "errors"},
    "nn": {"kernels", "errors"},
    "theory": {"errors"},
    "delays": {"errors", "options", "files", "text"},
    "topology": {"errors", "options", "rules", "theory", "files", "text"},
    "tasks": {"errors", "options", "files", "text"},
    "shared": {"kernels", "algorithms", "errors", "system"},
    "config": {"errors", "files", "options", "rules", "system", "algorithms", "tasks", "theory", "topology"},
    "runs": {"config", "errors", "files", "kernels", "system", "text"},
    "drivers": {
        "algorithms", "rules", "kernels", "shared", "tasks", "nn", "config", "runs", "errors", "system", "delays",
        "topology", "theory", "files", "text",
    },
    "reproduce": {
        "files", "drivers", "tasks", "shared", "config", "theory", "delays", "runs", "errors", "options", "cli",
    },
    "library": {"drivers", "config", "runs", "tasks", "errors"},
}  # fmt: skip
NO_TORCH = [
    "hogwild",
    "hogwild.config",
    "hogwild.algorithms",
    "hogwild.tasks",
    "hogwild.theory",
    "hogwild.topology",
    "hogwild.cli.flags",
    "hogwild.cli.reproduce",
]


def imports(path: Path) -> set[str]:
    """First parts below hogwild of everything that a file imports from it, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "hogwild" else {node.module}
            )
    return {name.split(".")[1] for name in found if name.startswith("hogwild.")}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_lies_below(layer: str):
    files = sorted((ROOT / layer).rglob("*.py")) or [ROOT / f"{layer}.py"]
    if not any(file.exists() for file in files):
        pytest.fail(f"there is no hogwild/{layer}: update the layers")
    for file in files:
        strange = imports(file) - LAYERS[layer] - {layer}
        assert not strange, f"{file.relative_to(ROOT)} imports {sorted(strange)}"


def test_only_kernels_import_the_compiled_module():
    for file in ROOT.rglob("*.py"):
        if file.relative_to(ROOT).parts[0] != "kernels":
            assert "_C" not in imports(file), file


def test_algorithms_know_no_process_and_drivers_no_algorithm():
    for file in (ROOT / "algorithms").rglob("*.py"):
        tree = ast.parse(file.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not names & {"torch", "multiprocessing", "threading", "time"}, file
    for file in (ROOT / "drivers").glob("*.py"):
        text = file.read_text()
        assert "algorithms.base" in text or "algorithms import" not in text or "REGISTRY" in text, file


@pytest.mark.parametrize("module", NO_TORCH)
def test_what_help_needs_does_not_import_torch(module: str):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_is_longer_than_300_lines(file: Path):
    assert len(file.read_text().splitlines()) <= 300


def test_no_two_test_files_have_one_name():
    """pytest imports them by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_test_imports_a_conftest():
    """There are several; which one is meant would depend on what else is run."""
    files = Path(__file__).parent.rglob("*.py")
    assert [path.name for path in files if "\nfrom conftest import" in path.read_text()] == []
