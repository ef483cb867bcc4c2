"""What editors, type checkers and `help` see of hogwild.fit and hogwild.launch, and what unknown keywords are told."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_fits import no_run, simulate, two

import hogwild
from hogwild.config import FIELDS
from hogwild.errors import UsageError
from hogwild.library.foreign import FOREIGN
from hogwild.library.options import FitOptions, LaunchOptions

ROOT = Path(__file__).parents[2]


def test_the_typed_keywords_are_those_that_the_options_give():
    spec = importlib.util.spec_from_file_location("library_options", ROOT / "tools" / "library_options.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PLACE.read_text() == tool.source(), "run python tools/library_options.py"


def test_every_option_is_a_keyword_with_its_default():
    parameters = inspect.signature(hogwild.fit).parameters
    in_a_program = set(FIELDS) - {"data", "json", "resume", "ckpt"}
    assert in_a_program <= set(parameters)
    for name in FitOptions.__annotations__.keys() | LaunchOptions.__annotations__.keys():
        wanted = FIELDS[name].default if name in FIELDS else None
        assert parameters[name].default == wanted
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert (parameters["epochs"].annotation, parameters["eval_every"].default) == ("float | None", 1.0)
    assert "clock" not in inspect.signature(hogwild.launch).parameters


def test_help_answers_what_data_metrics_and_options_may_be():
    text = hogwild.fit.__doc__
    for words in (
        "a map-style torch data set, an IterableDataset, a", "-> mean of the batch, or -> (sum, count)",
        "torchmetrics", "warmup_updates: the same as a number of updates", "momentum: ", "shifted",
        "eval_every: epochs between evaluations; 0: only at the end (default: 1.0)",
    ):  # fmt: skip
        assert words in text
    assert "step(loss)" in hogwild.launch.__doc__
    assert "eval_updates: " in hogwild.launch.__doc__


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("optimizer", 'algorithm="asgd"'), ("num_workers", "workers="), ("max_steps", "updates="),
        ("max_epochs", "epochs="), ("lr_scheduler", "schedule="), ("patience", "callbacks="),
        ("gradient_accumulation_steps", "accumulate="), ("train_dataset", r"hogwild.fit\(model, \(train, test\)\)"),
        ("eval_dataset", "validation="), ("precision", 'amp="bf16"'), ("warmup_steps", "warmup_updates="),
    ],
)  # fmt: skip
def test_names_of_other_libraries_are_told_what_to_use(name, use):
    with pytest.raises(UsageError, match=rf"^hogwild.fit has no {name}=. Use .*{use}") as caught:
        simulate(**{name: 3})
    assert "\n" not in str(caught.value)
    assert no_run()


def test_the_table_has_no_name_that_exists_and_names_only_options_that_do():
    known = set(inspect.signature(hogwild.fit).parameters) | {"callbacks"}
    assert not set(FOREIGN) & known
    for text in FOREIGN.values():
        assert set(re.findall(r"\b([a-z_0-9]+)=", text)) <= known, text


def test_an_unknown_name_gets_its_neighbour_or_none():
    with pytest.raises(UsageError, match=r"hogwild.fit has no epoch=. Did you mean epochs=\? help\("):
        simulate(epoch=3)
    with pytest.raises(UsageError, match=r"has no stride=\. help"):  # not straggler, nor schedule
        simulate(stride=3)
    with pytest.raises(UsageError, match=r"algorithm asgd has no option 'rho'; it has: .*Known to: "):
        simulate(rho=0.5)
    with pytest.raises(UsageError, match=r"hogwild.launch has no optimizer=. Use algorithm="):
        hogwild.launch(print, two, optimizer=3)


PROGRAM = """
import hogwild
import torch
result = hogwild.fit(torch.nn.Linear(2, 2), "digits", lr=0.1, access="atomic", epochs=3, momentum=0.5, lr_=1)
hogwild.fit(torch.nn.Linear(2, 2), "digits", access="atomc")
hogwild.fit(torch.nn.Linear(2, 2), "digits", epochs="3")
row: int = result.history
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_sees_the_keywords(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        str(program),
    ]  # with the configuration and cache of the project
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=500).stdout
    errors = re.findall(r"program.py:(\d+): error: (.*)", found)
    assert [int(line) for line, _ in errors] == [4, 5, 6, 7], found
    assert 'Unexpected keyword argument "lr_"' in errors[0][1]
