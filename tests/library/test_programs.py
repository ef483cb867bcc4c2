"""Programs around the library: in a cell, at python -c, on standard input, without a guard, and interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scripts import TIMEOUT_S, run
from slow import rest_is_slow
from small_fits import samples, two
from torch import nn

import hogwild
from hogwild.errors import UsageError
from hogwild.library import surroundings

PROGRAM = """
import torch, hogwild
class Net(torch.nn.Linear):
    def __init__(self):
        super().__init__(6, 2)
x = torch.randn(44, 6)
y = (x.sum(1) > 0).long()
GUARD
    try:
        print(hogwild.fit(Net, ((x, y), (x, y)), workers=1, epochs=1, batch_size=11, lr=0.1, CLOCK).summary["updates"])
    except hogwild.errors.UsageError as error:
        print(error)
"""


def program(*, guard: bool = True, clock: str | None = None) -> str:
    text = PROGRAM.replace("GUARD", 'if __name__ == "__main__":' if guard else "if True:")
    return text.replace("CLOCK", f"clock={clock!r}")


@pytest.mark.parametrize("way", rest_is_slow(["-c", "stdin"], {"-c"}))
def test_a_program_without_a_file_is_told_in_one_line(way):
    def ask(text: str) -> list[str]:
        if way == "-c":
            return run("-c", text).stdout.splitlines()
        done = subprocess.run(
            [sys.executable], input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        return done.stdout.splitlines()

    (line,) = ask("import hogwild.errors\n" + program())
    assert "worker processes cannot import model Net, which was defined" in line
    assert 'save the program in a file, or give clock="gamma"' in line
    if way == "-c":
        assert ask(program(clock="gamma")) == ["4"]


def test_a_model_of_a_cell_is_told_and_can_be_simulated(monkeypatch):
    class Cell(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 2)

    Cell.__module__ = "__main__"
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(surroundings, "in_notebook", lambda: True)
    options = {"workers": 1, "epochs": 1, "batch_size": 11, "lr": 0.1}
    message = r"cannot import model(_fn)? .*Cell, which was defined in a cell: put it into a file \(%%writefile mine.py"
    with pytest.raises(UsageError, match=message):
        hogwild.fit(Cell, (samples(), samples()), **options)
    with pytest.raises(UsageError, match=message):
        hogwild.launch(len, Cell, workers=1)
    assert hogwild.fit(Cell, (samples(), samples()), clock="gamma", **options).summary["updates"] == 9


def test_a_script_without_a_guard_is_told_without_a_traceback():
    Path("bare.py").write_text(program(guard=False))
    done = run("bare.py", code=1, cold=True)
    assert done.stdout == ""
    assert "while it imported the main script" in done.stderr
    assert "call hogwild.fit under if __name__ == '__main__'" in done.stderr.splitlines()[-1]
    assert done.stderr.count("Traceback") == 1, "only that of the call itself"


# ---- interrupts ---------------------------------------------------------------------------------------------


class Interrupts(hogwild.Callback):
    copies_every = 5

    def on_copy(self, run):
        if run.updates == 10:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("clock", [None, "gamma"])
def test_ctrl_c_leaves_the_trained_model_in_the_exception(clock):
    with pytest.raises(KeyboardInterrupt) as caught:
        hogwild.fit(
            two, (samples(), samples(50)), clock=clock, workers=1, epochs=500, batch_size=11, lr=0.1,
            callbacks=[Interrupts()], name="x",
        )  # fmt: skip
    assert isinstance(caught.value, hogwild.Interrupted)
    result = caught.value.result
    assert 10 <= result.summary["updates"] < 4500
    assert torch.equal(hogwild.load("runs/x")["weight"], result.model.weight)
    assert str(caught.value).startswith(f"interrupted at update {result.summary['updates']}; last checkpoint: step-")
    resumed = hogwild.fit(two, (samples(), samples(50)), resume="runs/x", clock=clock, epochs=30)
    assert resumed.summary["updates"] == 270
