"""A run of the library goes on, in the library and by commands; what a crash cuts off is trained again to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import warm
from scripts import run, write
from small_fits import samples, two, weights
from torch import Tensor, nn

import hogwild
from hogwild.drivers.checkpoints import store
from hogwild.errors import CheckpointError, OwnCodeError, UsageError

CRASHES = """
name, *resume = sys.argv[1:]
callbacks = [hogwild.EMA(0.9, every=7), hogwild.EarlyStopping("ema_test_loss", patience=40)]
hogwild.fit(
    Net, data(), smoothed, callbacks=callbacks, name=name, updates=180, eval_updates=12, eval_every=0, ckpt_every=0,
    ckpt_updates=15, keep=100, **OPTIONS, **({"resume": resume[0]} if resume else {}),
)
"""


def state(run_directory: Path) -> dict[str, Any]:
    """The last checkpoint, without the seconds that the workers took."""
    return {name: value for name, value in store.load(run_directory / "ckpt").state.items() if name != "statistics"}


def evaluations(run_directory: Path) -> dict[int, dict[str, float]]:
    """By their updates; those that were made again after a crash have come out the same."""
    found: dict[int, dict[str, float]] = {}
    for line in (run_directory / "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "eval":
            values = {name: value for name, value in event.items() if name not in ("time", "s")}
            assert found.setdefault(event["updates"], values) == values
    return found


def assert_equal(one: Any, other: Any, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_equal(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}[{number}]")
    else:
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other, where


def test_a_run_that_is_killed_and_resumed_is_the_undisturbed_one_to_the_bit():
    script = write(Path("mine.py"), CRASHES)
    run(script, "whole")
    killed = Path("runs/killed")
    process = warm.Popen([sys.executable, str(script), "killed"], start_new_session=True)
    wanted, deadline = random.Random().randint(2, 9), time.monotonic() + 60
    while len(store.names(killed / "ckpt")) < wanted and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert store.names(killed / "ckpt")
    run(script, "killed", "runs/killed")
    assert_equal(state(killed), state(Path("runs/whole")))
    assert evaluations(killed) == evaluations(Path("runs/whole"))
    assert len(evaluations(killed)) == 15
    summary = json.loads((killed / "summary.json").read_text())
    assert summary["ema_test_loss"] == evaluations(killed)[180]["ema_test_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"algorithm": "dana-zero"}, {"algorithm": "adamw", "momentum_kind": "dana"}])
def test_a_look_ahead_goes_on_with_the_last_learning_rate(options: dict[str, str], tmp_path: Path):
    """The first gradient of a run that goes on is taken at the look-ahead point, and not at x."""
    common: dict[str, Any] = {"workers": 1, "lr": 0.05, "batch_size": 11, "warmup": 0.0, "schedule": "constant"}
    common |= {"out": str(tmp_path), "eval_every": 0, "device": "cpu", **options}
    ends = []
    for name, updates in (("whole", 8), ("half", 4)):
        ends.append(hogwild.fit(two, (samples(), None), name=name, updates=updates, **common))
    del common["out"]
    ends[1] = hogwild.fit(two, (samples(), None), resume=ends[1].path, updates=8, **common)
    assert torch.equal(*map(weights, (end.model for end in ends)))


def test_a_simulated_run_is_repeated_to_the_bit():
    def simulate(**options: Any) -> hogwild.Result:
        values = {"clock": "gamma", "workers": 3, "batch_size": 11, "lr": 0.1, "schedule": "cosine", "csv": True}
        return hogwild.fit(two, (samples(), samples(50)), callbacks=[hogwild.EMA(every=4)], **values, **options)

    whole = simulate(name="whole", epochs=4)
    with pytest.raises(OwnCodeError, match="a crash"):
        hogwild.fit(Crash, (samples(), samples(50)), clock="gamma", workers=3, batch_size=11, lr=0.1, name="killed",
                    schedule="cosine", csv=True, epochs=4)  # fmt: skip
    resumed = simulate(resume="runs/killed", epochs=4)
    assert torch.equal(whole.model.weight, resumed.model.weight)
    for name in ("metrics.jsonl", "evaluations.csv", "pushes.csv"):
        assert (Path(whole.path) / name).read_bytes() == (Path(resumed.path) / name).read_bytes()


class Crash(nn.Linear):
    """Fails in an unforeseen way after 20 batches."""

    def __init__(self) -> None:
        super().__init__(6, 2)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == 20:
            raise RuntimeError("a crash")
        return super().forward(x)


# ---- options of a run that is resumed -----------------------------------------------------------------------


def fit(dataset: Any = None, model: Any = two, **options: Any) -> hogwild.Result:
    values = {"workers": 1, "batch_size": 11, "lr": 0.1, "epochs": 2, **options}
    return hogwild.fit(model, dataset or (samples(), samples(50)), **values)


def test_what_is_not_given_again_stays_as_it_was():
    first = fit(algorithm="shifted", momentum=0.5, eval_every=0.5)
    data = samples(), samples(50)
    result = hogwild.fit(two, data, resume=first.path, epochs=4)
    assert result.path == first.path
    assert (result.summary["algorithm"], result.summary["updates"], result.summary["samples"]) == ("shifted", 36, 396)
    whole = fit(algorithm="shifted", momentum=0.5, epochs=4)
    assert torch.equal(result.model.weight, whole.model.weight)


@pytest.mark.parametrize(
    ("dataset", "model", "options", "error", "message"),
    [
        (None, two, {"algorithm": "gap-aware"}, UsageError, "cannot change algorithm from 'asgd' to 'gap-aware'"),
        (None, two, {"batch_size": 9}, UsageError, "cannot change batch_size from 11 to 9"),
        (None, two, {"epochs": 2}, UsageError, "is finished .epochs 2.: give a later end, --epochs N"),
        (None, lambda: nn.Linear(6, 3), {}, CheckpointError, r"weight is \[2,6\] in the checkpoint, \[3,6\] here"),
        ((samples(77), None), two, {}, CheckpointError, "cannot resume: train_samples 99 -> 77"),
    ],
)
def test_what_may_not_change_is_told(dataset, model, options, error, message):
    path = fit(clock=None).path
    before = (Path(path) / "config.yaml").read_text()
    with pytest.raises(error, match=message):
        fit(dataset, model, resume=path, **{"epochs": 5, **options})
    assert (Path(path) / "config.yaml").read_text() == before


def test_callbacks_that_come_and_go_are_told(capfd):
    path = fit().path
    fit(resume=path, epochs=3, callbacks=[hogwild.EMA()])
    assert "callback EMA has no state in the checkpoint: it begins anew" in capfd.readouterr().err
    fit(resume=path, epochs=4)
    assert "the checkpoint has a state of callback EMA, which this run does not have" in capfd.readouterr().err


def test_checkpoints_come_by_updates_and_by_seconds():
    by_updates = fit(epochs=3, ckpt_every=0, ckpt_updates=4, keep=99)
    assert [int(name[5:]) for name in store.names(Path(by_updates.path) / "ckpt")] == [4, 8, 12, 16, 20, 24, 27]
    by_seconds = fit((Slow(), None), epochs=3, ckpt_every=0, ckpt_seconds=0.001, keep=99)
    assert len(store.names(Path(by_seconds.path) / "ckpt")) > 1


class Slow(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Takes longer for a batch than a checkpoint may wait, and than the parent sleeps."""

    def __len__(self) -> int:
        return 33

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        time.sleep(0.004)
        return torch.full((6,), float(i)), i % 2
