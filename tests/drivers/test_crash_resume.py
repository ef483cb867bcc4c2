"""A run of one worker that crashes and is resumed from a checkpoint in its middle ends as the one that did not crash.

The run directory is copied right after a checkpoint, as a crash of the parent would leave it there. When the state was
copied, the worker stood at the gate with a gradient, so its model had seen a batch that is not in the checkpoint.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hogwild.config import Config
from hogwild.drivers.checkpoints import store
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.model import ModelFn, model_fn
from hogwild.drivers.processes.trainer import Trainer
from hogwild.kernels.control import Phase
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import load
from hogwild.tasks.data import Data

WAIT_S = 60.0
UPDATES, EVERY_S, WAITS_AT = 47, 0.01, 30
NORMS: dict[str, dict[str, object]] = {
    "default": {},
    "batch": {"norm": "batch"},
    "full, shared": {"norm": "full", "norm_state": "shared"},
    "full, worker": {"norm": "full", "norm_state": "worker"},
    "group": {"norm": "group"},
    "none": {"norm": "none"},
}


@dataclass(frozen=True)
class Waits:
    """Makes the model; in a worker it waits in its WAITS_AT-th batch until `marker` exists."""

    make: ModelFn
    marker: Path

    def __call__(self, data: Data) -> nn.Module:
        module, calls = self.make(data), []

        def before(*_: object) -> None:
            calls.append(1)
            while len(calls) == WAITS_AT and not self.marker.exists():
                time.sleep(0.001)

        if multiprocessing.parent_process() is not None:
            module.register_forward_pre_hook(before)
        return module


def train(tmp_path: Path, **values: Any) -> dict[str, Any]:
    """The state in the last checkpoint of a run."""
    config = Config.from_values({"out": str(tmp_path), "quiet": True, **values})
    directory = RunDirectory.create(config) if config.resume is None else RunDirectory.resume(config)
    try:
        job = make_job(config, load(config.data), Waits(model_fn(config), tmp_path / "copying"))
        Trainer(job, directory, Console(quiet=True)).run()
        return dict(store.load(directory.path / "ckpt").state)
    finally:
        directory.close()


@pytest.fixture
def crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copies of the run directory, one per checkpoint of a run that goes on."""
    copies: list[Path] = []
    copy, save = Trainer.copy, Trainer.save

    def copied(trainer: Trainer) -> State:
        (tmp_path / "copying").touch()
        control, deadline = trainer.world.control, time.monotonic() + WAIT_S
        while trainer.pool.working and control.next < control.total:
            stats = control.stats(0)
            if stats["phase"] == Phase.PAUSED and stats["held"] >= 0:
                break
            assert time.monotonic() < deadline, "the worker does not come to the gate"
            time.sleep(0.001)
        return copy(trainer)

    def saved(trainer: Trainer, state: State, score: Score | None) -> None:
        save(trainer, state, score)
        if state.again:
            copies.append(tmp_path / f"crash-{len(copies)}")
            shutil.copytree(trainer.directory.path, copies[-1], symlinks=True)

    monkeypatch.setattr(Trainer, "copy", copied)
    monkeypatch.setattr(Trainer, "save", saved)
    return copies


def differences(one: object, other: object, where: str = "") -> list[str]:
    """The places at which two states differ by a bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for i, pair in pairs for found in differences(*pair, f"{where}[{i}]")]
    return [] if one == other else [where]


@pytest.mark.parametrize(
    "norm",
    [pytest.param(name, marks=[] if name in ("batch", "full, shared") else pytest.mark.slow) for name in NORMS],
)
@pytest.mark.parametrize("algorithm", ["asgd", pytest.param("gap-aware", marks=pytest.mark.slow)])
def test_a_run_that_crashed_ends_as_one_that_did_not(tmp_path: Path, crashes: list[Path], norm: str, algorithm: str):
    values = {"algorithm": algorithm, "workers": 1, "batch_size": 16, "lr": 0.05, "ckpt_every": 0, "eval_every": 0}
    values |= {"ckpt_seconds": EVERY_S}  # by updates, the worker would wait for each checkpoint after its update
    values |= {"updates": UPDATES, **NORMS[norm]}
    whole = train(tmp_path, name="whole", **values)
    assert crashes
    kept = {name: whole[name] for name in whole if name != "statistics"}  # those have the seconds that it took
    for crash in crashes[:2]:
        resumed = train(tmp_path, **values, resume=str(crash))
        assert resumed["next"] == UPDATES
        assert differences(kept, {name: resumed[name] for name in kept}) == []
        assert [worker["totals"]["pushes"] for worker in resumed["statistics"]] == [UPDATES]
