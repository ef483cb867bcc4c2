"""The examples in the docstrings, which the site shows under their functions."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "hogwild.buffers",
    "hogwild.metrics",
    "hogwild.theory.closed_forms",
    "hogwild.theory.elastic",
    "hogwild.theory.spectrum",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_right(name: str):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried > 0
