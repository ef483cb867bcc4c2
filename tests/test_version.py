"""The version is written in four files."""

from __future__ import annotations

import re
from pathlib import Path

import hogwild

ROOT = Path(__file__).parents[1]
PATTERNS = {
    "pyproject.toml": r'^version = "(.+)"',
    "CITATION.cff": r"^version: (.+)",
    "CHANGELOG.md": r"^## \[(\d.+)\] - ",
}


def test_the_version_is_the_same_everywhere():
    found = {name: re.search(pattern, (ROOT / name).read_text(), re.MULTILINE) for name, pattern in PATTERNS.items()}
    assert {name: match and match[1] for name, match in found.items()} == dict.fromkeys(PATTERNS, hogwild.__version__)
