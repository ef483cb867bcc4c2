"""A user's own algorithm, examples/own_algorithm.py, in every place where a built-in one can be used."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
import warm
import yaml
from command_runs import Run

import hogwild
from hogwild.algorithms import registry
from hogwild.cli import main as cli
from hogwild.errors import UsageError

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OWN = "own_algorithm:Fading"
SHORT = ("--algorithm", OWN, "--rho", "0.8", "--updates", "60", "--workers", "2")


@pytest.fixture(autouse=True)
def _where_the_example_is(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES), str(ROOT)]))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)


def model() -> torch.nn.Module:
    return torch.nn.Linear(6, 2)


def samples() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    return (x, (x.sum(1) > 0).long()), (x[:50], (x[:50].sum(1) > 0).long())


def test_train_resume_eval_and_export(tmp_path, capsys):
    code, summary, err = Run(tmp_path, *SHORT).end()
    assert code == 0, err
    assert (summary["algorithm"], summary["updates"]) == (OWN, 60)
    recorded = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert (recorded["algorithm"], recorded["rho"]) == (OWN, 0.8)
    again = Run(tmp_path, "--resume", tmp_path / "run", "--updates", 100)
    code, summary, err = again.end()
    assert code == 0, err
    assert (summary["updates"], summary["test_accuracy"] > 0.8) == (100, True)
    assert cli.main(["eval", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == pytest.approx(summary["test_accuracy"])
    assert cli.main(["export", str(tmp_path / "run"), "weights.pt"]) == 0
    assert cli.main(["train", "--resume", str(tmp_path / "run"), "--rho", "0.7", "--updates", "200"]) == 2
    assert "--resume cannot change options" in capsys.readouterr().err


def test_options_change_what_is_computed(capsys):
    """patience 0 drops all stale gradients; with rho 1 and no momentum it is plain asgd."""

    def loss(*flags: str) -> float:
        assert cli.main(["simulate", "--updates", "60", "--workers", "4", "--json", "--quiet", *flags]) == 0
        return float(json.loads(capsys.readouterr().out)["test_loss"])

    own = ("--algorithm", OWN)
    plain = loss("--algorithm", "asgd", "--lr", "0.1")
    assert loss(*own, "--lr", "0.1", "--rho", "1", "--momentum", "0") == plain
    assert len({plain, loss(*own, "--lr", "0.1"), loss(*own, "--lr", "0.1", "--patience", "2")}) == 3


def test_compare(tmp_path, capsys):
    argv = ["compare", "--algorithms", f"asgd,{OWN}", "--workers-list", "2", "--seeds", "1", "--jobs", "1"]
    assert cli.main([*argv, "--updates", "20", "--vary", "momentum=0,0.5", "--directory", "grid"]) == 0
    assert f"| {OWN} |" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "grid/results.jsonl").read_text().splitlines()]
    assert [row["updates"] for row in rows] == [20] * 4
    assert cli.main([*argv, "--rho", "x"]) == 2
    assert "rho: 'x' is not allowed" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["name", "class", "instance"])
def test_fit_takes_a_name_a_class_or_an_instance(form):
    cls = registry.find(OWN)
    given = {"name": OWN, "class": cls, "instance": cls(rho=0.7)}[form]
    options = {} if form == "instance" else {"options": {"rho": 0.7}}
    result = hogwild.fit(
        model, samples(), algorithm=given, workers=2, clock="gamma", batch_size=10, updates=30, lr=0.1, **options
    )
    assert result.summary["updates"] == 30
    recorded = yaml.safe_load((Path(result.path) / "config.yaml").read_text())
    assert (recorded["algorithm"], recorded["rho"]) == (OWN, 0.7)


def test_an_option_is_given_once():
    cls = registry.find(OWN)
    with pytest.raises(UsageError, match="rho of the algorithm is given twice"):
        hogwild.fit(model, samples(), algorithm=cls(rho=0.7), rho=0.7)
    with pytest.raises(UsageError, match="rho of the algorithm is given twice"):
        hogwild.fit(model, samples(), algorithm=cls, options={"rho": 0.7}, rho=0.7)
    with pytest.raises(UsageError, match="has no roh="):
        hogwild.fit(model, samples(), algorithm=cls, options={"roh": 0.7})


@pytest.mark.slow
def test_a_class_of_the_main_script_reaches_the_workers(tmp_path):
    (tmp_path / "script.py").write_text(
        "import sys\n"
        "from dataclasses import dataclass\n"
        "import hogwild, torch\n"
        "from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Gradient\n"
        "@hogwild.register\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Algorithm):\n"
        "    name = 'mine'\n"
        "    buffers = {'x': SHARED, 'snapshot': SNAPSHOT}\n"
        "    beta: float = 1.0\n"
        "    def worker(self, w):\n"
        "        w.pull()\n"
        "        while True:\n"
        "            g = yield Gradient(at=w.snapshot)\n"
        "            w.push(g, scale=lambda tau: self.beta)\n"
        "def model():\n"
        "    return torch.nn.Linear(6, 2)\n"
        "if __name__ == '__main__':\n"
        "    x = torch.randn(200, 6); y = (x.sum(1) > 0).long()\n"
        "    for form in ('mine', Mine, Mine(beta=0.5)):\n"
        "        result = hogwild.fit(model, ((x, y), (x, y)), algorithm=form, updates=40, batch_size=10, lr=0.1)\n"
        "        print(result.summary['updates'], result.summary['algorithm'])\n"
    )
    command = [sys.executable, "-W", "error", "script.py"]
    done = warm.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert done.stdout == "40 script:Mine\n" * 3, done.stderr
