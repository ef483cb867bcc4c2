"""--norm and its options through the drivers: shared and private averages, resume, evaluation, and the defaults that
keep it finite.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from label_split import OwnClasses, accuracy, net
from slow import rest_is_slow

from hogwild.cli import export
from hogwild.config import Config
from hogwild.drivers.instruments.evaluation import evaluate, evaluate_checkpoint
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.model import model_fn
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import DivergedError, UsageError
from hogwild.nn import FullNorm1d
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.own_buffers import OwnBuffers
from hogwild.tasks import load

LAYER = "2"  # of the mlp: Flatten, Linear, norm, ReLU, Linear
FULL = {"norm": "full", "batch_size": 16, "lr": 0.05}


def run(tmp_path: Path, **values: Any) -> tuple[Trainer | Simulator, dict[str, Any], RunDirectory]:
    config = Config.from_values({"out": str(tmp_path), "quiet": True, **values})
    directory = RunDirectory.create(config) if config.resume is None else RunDirectory.resume(config)
    try:
        job = make_job(config, load(config.data), model_fn(config))
        driver = (Trainer if config.clock is None else Simulator)(job, directory, Console(quiet=True))
        return driver, driver.run(), directory
    finally:
        directory.close()


def averages(driver: Trainer | Simulator, rank: int) -> dict[str, torch.Tensor]:
    """Worker `rank`'s copy of the layer's state in the arena, by buffer name."""
    return {name: value.clone() for name, value in OwnBuffers(driver.world, driver.module).published(rank).items()}


@pytest.mark.parametrize("clock", ["gamma:cv=0.4", "const:3"])
def test_shared_averages_see_every_batch_and_the_same_ones_each_time(tmp_path: Path, clock: str):
    values = {**FULL, "clock": clock, "workers": 4, "updates": 61, "seed": 5}
    driver, summary, _ = run(tmp_path, name="one", **values)
    states = [averages(driver, rank) for rank in range(4)]
    assert int(states[0][f"{LAYER}.num_batches_tracked"]) == 61
    assert int(states[0][f"{LAYER}.num_gradients_tracked"]) == 61
    assert all(torch.equal(state[name], value) for state in states[1:] for name, value in states[0].items())
    again, repeated, _ = run(tmp_path, name="two", **values)
    assert all(torch.equal(averages(again, 3)[name], value) for name, value in states[0].items())
    assert repeated["test_loss"] == summary["test_loss"]


def test_private_averages_see_the_own_batches_and_are_pooled_for_evaluation(tmp_path: Path):
    values = {**FULL, "norm_state": "worker", "clock": "round-robin", "workers": 3, "updates": 20}
    driver, summary, directory = run(tmp_path, **values)
    states = [averages(driver, rank) for rank in range(3)]
    counts = [int(state[f"{LAYER}.num_batches_tracked"]) for state in states]
    assert counts == [7, 7, 6]
    for name in ("running_mean", "running_square", "running_mean_grad", "running_square_grad"):
        mean = sum(
            count * state[f"{LAYER}.{name}"].double() for count, state in zip(counts, states, strict=True)
        ) / sum(counts)
        torch.testing.assert_close(driver.module.get_buffer(f"{LAYER}.{name}"), mean.float(), rtol=1e-6, atol=1e-8)
        assert not torch.equal(states[0][f"{LAYER}.{name}"], states[1][f"{LAYER}.{name}"]), name
    data = load("digits")
    assert evaluate(driver.module, data, data.test).loss == pytest.approx(summary["test_loss"], rel=1e-6)
    assert evaluate_checkpoint(directory)["test_loss"] == pytest.approx(summary["test_loss"], rel=1e-6)


@pytest.mark.parametrize("state", ["shared", "worker"])
def test_a_resumed_run_is_one_never_interrupted(tmp_path: Path, state: str):
    values = {**FULL, "norm_state": state, "workers": 1, "warmup": 0.0, "clip": 0.5}
    whole, _, _ = run(tmp_path, name="whole", updates=60, **values)
    _, _, directory = run(tmp_path, name="part", updates=30, **values)
    resumed, _, _ = run(tmp_path, **{**directory.config().values(), "updates": 60, "resume": str(directory.path)})
    assert torch.equal(whole.world.arena.tensor("x"), resumed.world.arena.tensor("x"))
    for name, value in averages(whole, 0).items():
        assert torch.equal(averages(resumed, 0)[name], value), name
    assert int(averages(whole, 0)[f"{LAYER}.num_batches_tracked"]) == 60


def test_two_processes_write_one_state(tmp_path: Path):
    """Updates may be lost, so a few counts may be missing; private states would have half of them."""
    driver, summary, _ = run(tmp_path, **FULL, workers=2, updates=300, takeover=False)
    assert 210 < int(averages(driver, 0)[f"{LAYER}.num_batches_tracked"]) <= 300
    assert summary["test_accuracy"] > 0.8


@pytest.mark.parametrize("workers", rest_is_slow([2, 4], {4}))
def test_label_split_lock_free_workers_train_with_full_norm_and_not_with_batch_norm(tmp_path: Path, workers: int):
    """Real processes; each has its own classes, and every batch has one class."""
    values = {"workers": workers, "lr": 0.05, "clip": 1.0, "out": str(tmp_path), "stall_timeout": 30.0}
    assert accuracy(800 // workers, norm="full", **values) > 0.5
    assert accuracy(800 // workers, norm="batch", **values) < 0.3


@pytest.mark.slow
def test_full_norm_at_the_learning_rate_of_batch_norm_needs_the_defaults_of_norm_full(tmp_path: Path):
    """The deeper net of the reference measurement, lr 0.1: it diverges without a clip and trains with the defaults."""
    values = {**FULL, "lr": 0.1, "model": "label_split:deep", "workers": 1, "clock": "round-robin", "updates": 400}
    assert run(tmp_path, name="defaults", **values)[1]["test_accuracy"] > 0.9
    try:
        unclipped = run(tmp_path, name="unclipped", clip=0.0, **values)[1]["test_accuracy"]
    except DivergedError:
        unclipped = 0.0
    assert unclipped < 0.5


@pytest.mark.parametrize(("clip", "advice"), [(0.0, "lower --lr or give --clip"), (1e30, "lower --lr or --clip")])
def test_a_nonfinite_gradient_is_reported_with_advice(tmp_path: Path, clip: float, advice: str):
    with pytest.raises(DivergedError, match=rf"Stopping, no checkpoint yet; {advice}; --on-nonfinite skip"):
        run(tmp_path, model="mlp", lr=1e30, clip=clip, clock="round-robin", workers=1, updates=50)


def test_checkpoints_are_evaluated_and_exported_with_their_norm(tmp_path: Path):
    values = {"norm": "full", "norm_alpha": 0.05, "model": "lenet", "algorithm": "ssgd", "batch_size": 16}
    _, summary, directory = run(tmp_path, updates=12, **values)
    config = directory.config()
    assert (config.norm, config.norm_alpha, config.norm_state) == ("full", 0.05, "shared")
    assert (config.clip, config.warmup) == (1.0, 0.05)
    assert evaluate_checkpoint(directory)["test_loss"] == pytest.approx(summary["test_loss"])
    out = tmp_path / "weights.pt"
    assert export.main([str(directory.path), str(out)]) == 0
    assert {"1.running_square", "10.num_gradients_tracked"} <= set(torch.load(out))


def test_averages_of_the_callers_own_full_norm_are_shared_too(tmp_path: Path):
    values = {"model": "label_split:own_full_norm", "workers": 3, "clock": "round-robin", "updates": 12}
    for state, batches in (("shared", 12), ("worker", 4)):
        driver, _, _ = run(tmp_path, name=state, norm_state=state, **values)
        assert isinstance(driver.module[2], FullNorm1d)
        assert int(averages(driver, 1)["2.num_batches_tracked"]) == batches


def test_a_model_without_batch_norm_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="--norm full replaces BatchNorm layers, and the model has none"):
        run(tmp_path, norm="full", model="logistic", clock="round-robin")
    assert run(tmp_path, norm="none", model="logistic", clock="round-robin", updates=3)[1]["updates"] == 3


def test_launch_takes_full_norm_without_a_warm_up(tmp_path: Path):
    import hogwild

    result = hogwild.launch(OwnClasses(3), net, norm="full", workers=2, out=str(tmp_path))
    assert isinstance(result.model[2], FullNorm1d)
    assert 0 < int(result.model[2].num_batches_tracked) <= 6
