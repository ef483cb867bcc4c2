"""Old import paths: they work, and say where the module is now."""

from __future__ import annotations

import importlib
import sys

import pytest

from hogwild import _moved


@pytest.mark.parametrize(("old", "new"), _moved.MOVED.items())
def test_an_old_name_is_the_new_module_with_a_warning(old: str, new: str):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}") as warned:
        module = importlib.import_module(old)
    moved = importlib.import_module(new)
    public = [name for name in vars(moved) if not name.startswith("_")]
    assert public
    assert all(getattr(module, name) is getattr(moved, name) for name in public)
    assert moved.__spec__ is not None
    assert moved.__spec__.name == new, "the module itself keeps its name"
    assert warned[0].filename == importlib.__file__, "the warning names the importer"


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'hogwild\.progres'"):
        importlib.import_module("hogwild.progres")
