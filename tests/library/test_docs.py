"""The programs in docs/library.md run."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

import hogwild

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_page_runs(number, monkeypatch, capsys):
    """With simulated workers."""
    monkeypatch.setattr(hogwild, "fit", partial(hogwild.fit, clock="round-robin"), raising=False)
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    exec(compile(PROGRAMS[number], str(PAGE), "exec"), module.__dict__)
    out = capsys.readouterr().out
    if number == 0:
        assert re.search(r"Result\(val_loss=[\d.]+, .*val_top1=[\d.]+, .*test_top1=[\d.]+", out), out
    else:
        assert float(out) > (0.9 if number == 1 else 0.5)
