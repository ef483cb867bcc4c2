"""docs/house.py: the sections of the house's docstrings become definition lists."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PLACE = Path(__file__).parents[2] / "docs/house.py"


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a stand-in for griffe: the tests do not need the toolchain of the site."""
    griffe = ModuleType("griffe")
    griffe.Extension = griffe.Object = object
    monkeypatch.setitem(sys.modules, "griffe", griffe)
    spec = importlib.util.spec_from_file_location("house", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sections_in_columns(house: ModuleType):
    docstring = """A push of [n].

    x <- x[i] - lr g

Args:     x, v: [n] float32,
          of one device: the same.
          lr: the rate.
Mutates:  x; see `x[i]`.
Raises:   ValueError for
          sizes."""
    assert house.markdown(docstring).split("\n") == [
        "A push of \\[n\\].",
        "",
        "    x <- x[i] - lr g",
        "",
        "",
        "Args",
        ":   - `x, v`: \\[n\\] float32, of one device: the same.",
        "    - `lr`: the rate.",
        "",
        "",
        "Mutates",
        ":   x; see `x[i]`.",
        "",
        "",
        "Raises",
        ":   ValueError for sizes.",
        "",
    ]


def test_sections_with_indented_bodies(house: ModuleType):
    docstring = "Args:\n    a: one\n        goes on: here.\n    b.c: two, with __len__.\n\nMore."
    lines = [line for line in house.markdown(docstring).split("\n") if line]
    assert lines == ["Args", ":   - `a`: one goes on: here.", "    - `b.c`: two, with \\_\\_len\\_\\_.", "More."]


def test_a_text_that_only_contains_a_colon_is_no_list(house: ModuleType):
    assert ":   of two kinds: a and b" in house.markdown("Source: of two kinds: a and b")


def test_examples_become_blocks_of_code(house: ModuleType):
    docstring = "It counts [n].\n\n>>> count(x[0])\n2\n\nMore."
    assert house.markdown(docstring) == "It counts \\[n\\].\n\n```pycon\n>>> count(x[0])\n2\n```\n\nMore."
