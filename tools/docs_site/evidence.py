"""The tests of each algorithm: those files of tests/algorithms and tests/theory that call it by its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FOLDERS = ("tests/algorithms", "tests/theory")
OF_ALL = ("test_contract.py", "test_recorded_runs.py", "test_weight_decay.py")
"""These take every algorithm of the registry."""
ABOUT_OTHERS = ("test_clip.py", "test_outcome.py", "test_own_algorithms.py", "test_families_command.py")
"""These use algorithms as examples of something else."""
SECTION = re.compile(r"^(### .+\n(?:.*\n)*?)(File: .+\n)", re.MULTILINE)


def with_tests(text: str, root: Path) -> str:
    """docs/algorithms.md with a paragraph about tests below the file of each algorithm."""
    tests = found(root)

    def section(match: re.Match[str]) -> str:
        names = re.findall(r"`([^`]+)`", match[1].partition("\n")[0])
        return f"{match[1]}{match[2]}\n{' '.join(_words(names, tests))}\n"

    return SECTION.sub(section, text)


@cache
def found(root: Path) -> dict[str, tuple[str, set[str]]]:
    """Test file -> the first sentence about it, and all texts in it that may be the name of an algorithm."""
    tests = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("test_*.py")):
            tree = ast.parse(path.read_text())
            about = " ".join((ast.get_docstring(tree) or path.stem).split())
            texts = {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            tests[path.relative_to(root).as_posix()] = (about.split(". ")[0].rstrip("."), texts)
    return tests


def _words(names: list[str], tests: dict[str, tuple[str, set[str]]]) -> Iterator[str]:
    yield "*Tests*:"
    for path, (about, texts) in tests.items():
        file = path.rpartition("/")[2]
        if file not in (*OF_ALL, *ABOUT_OTHERS) and texts & set(names):
            yield f"[{file.removesuffix('.py')}](../{path}), *{about}*;"
    links = ", ".join(f"[{file.removesuffix('.py')}](../tests/algorithms/{file})" for file in OF_ALL)
    yield f"those of every algorithm: {links}."
