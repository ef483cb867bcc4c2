"""The examples in the docstrings, which the site shows under their functions."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

MODULES = (
    "hogwild.buffers",
    "hogwild.kernels.push",
    "hogwild.library.comparing",
    "hogwild.metrics",
    "hogwild.theory.closed_forms",
    "hogwild.theory.elastic",
    "hogwild.theory.rates",
    "hogwild.theory.spectrum",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried > 0
