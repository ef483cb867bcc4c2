"""Workers that hang, or whose process does not end, keep no run from its end: evaluation, checkpoint, summary."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

import hogwild
from hogwild import Interrupted
from hogwild.drivers.checkpoints import contents, store
from hogwild.drivers.processes import stalls
from hogwild.drivers.processes.watch import Watch

STALLS = {"stall_timeout": 1.0, "kill_stalled": 0.5}


def model() -> torch.nn.Module:
    return torch.nn.Linear(7, 3)


def wide_model() -> torch.nn.Module:
    """Its pushes, under the lock, take a good part of the time."""
    return torch.nn.Sequential(torch.nn.Linear(7, 20_000), torch.nn.Linear(20_000, 3))


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 7, generator=generator), torch.randint(3, (count,), generator=generator)


DATA = (samples(330, 1), samples(70, 2))


def lingers(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A loss that leaves a thread behind which keeps the process from its end."""
    if multiprocessing.parent_process() is not None and threading.active_count() == 1:
        threading.Thread(target=threading.Event().wait).start()
    return torch.nn.functional.cross_entropy(output, target)


@dataclass(frozen=True)
class Hangs:
    """A loss that never comes back in the worker that calls it first."""

    marker: str

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if multiprocessing.parent_process() is None:  # the parent tries out one batch before the run
            return torch.nn.functional.cross_entropy(output, target)
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return torch.nn.functional.cross_entropy(output, target)
        threading.Event().wait()
        raise AssertionError


def faults(path: str | Path) -> list[dict[str, Any]]:
    """The faults in the journal, without slow starts: on a busy machine a worker may need more than `stall_timeout`."""
    lines = [json.loads(line) for line in (Path(path) / "metrics.jsonl").read_text().splitlines()]
    begun = [line for line in lines if line["kind"] == "fault" and not line.get("ended")]
    return [line for line in begun if "(last: starting)" not in line["message"]]


def fit(tmp_path: Path, **values: Any) -> hogwild.Result:
    values = {"workers": 2, "epochs": 2, "batch_size": 10, "lr": 0.05, "out": str(tmp_path), "name": "run", **values}
    return hogwild.fit(values.pop("model", model), DATA, **values)


def test_a_worker_whose_process_stays_after_its_work_is_killed_and_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(stalls, "LEAVING_S", 0.3)
    result = fit(tmp_path, loss_fn=lingers)
    assert result.summary["samples"] == 660
    assert result.summary["exit_reason"] == "done"
    assert store.load(tmp_path / "run" / "ckpt").samples == 660
    messages = [fault["message"] for fault in faults(result.path)]
    assert messages
    assert all("had finished, but its process did not end within 0.3 s" in message for message in messages)


@pytest.mark.parametrize("algorithm", ["asgd", "ssgd"])
def test_a_worker_that_hangs_in_user_code_with_the_last_ticket_is_killed(tmp_path: Path, algorithm: str):
    """Where no other worker takes that ticket over."""
    values = {"loss_fn": Hangs(str(tmp_path / "marker")), "algorithm": algorithm, "takeover": False}
    result = fit(tmp_path, **values, **STALLS)
    assert result.summary["samples"] == 660
    assert store.load(tmp_path / "run" / "ckpt").samples == 660
    stalled, died = faults(result.path)
    assert (stalled["reason"], died["reason"], stalled["worker"]) == ("stalled", "died", died["worker"])
    assert "all others had waited for it" in faults(result.path)[1]["message"]


@pytest.fixture
def stopped_in_the_lock(monkeypatch) -> list[int]:
    """The rank of the worker that the run's parent stops while it holds the lock of the model."""
    stopped: list[int] = []
    once = Watch.once

    def try_to_stop(watch: Watch) -> None:
        control = watch.driver.world.control
        for rank, member in watch.pool.members.items():
            if stopped or not member.is_ready or member.is_done or watch.tickets.next < 3:
                return
            os.kill(member.process.pid, signal.SIGSTOP)
            while psutil.Process(member.process.pid).status() != psutil.STATUS_STOPPED:
                pass
            if ("the lock of the model", member.process.pid) in control.lock_holders():
                stopped.append(rank)
            else:
                os.kill(member.process.pid, signal.SIGCONT)

    def wrapped(watch: Watch, timeout_s: float) -> Any:
        try_to_stop(watch)
        return once(watch, 0.0001 if not stopped else timeout_s)

    monkeypatch.setattr(Watch, "once", wrapped)
    return stopped


LOCKED = {
    "model": wide_model,
    "lr": 1e-5,
    "access": "locked",
    "workers": 3,
    "epochs": 100_000,
    "eval_every": 0,
    "ckpt_every": 0,
    **STALLS,
}


def test_a_worker_stopped_in_the_lock_of_the_model_is_named_and_killed_alone(tmp_path: Path, stopped_in_the_lock):
    result = fit(tmp_path, **{**LOCKED, "epochs": 40})
    [rank] = stopped_in_the_lock
    stalled, died = faults(result.path)
    assert f"worker {rank} has made no progress" in stalled["message"]
    assert "it holds the lock of the model" in stalled["message"]
    assert f"worker {rank} (pid" in died["message"]
    assert result.summary["samples"] == 40 * 330


def test_ctrl_c_ends_a_run_at_once_though_a_worker_is_stopped_in_the_lock(
    tmp_path: Path, stopped_in_the_lock, monkeypatch
):
    once = Watch.once
    sent: list[bool] = []

    def interrupting(watch: Watch, timeout_s: float) -> Any:
        if stopped_in_the_lock and not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return once(watch, timeout_s)

    monkeypatch.setattr(Watch, "once", interrupting)
    monkeypatch.setattr("hogwild.drivers.processes.trainer.STOP_TIMEOUT_S", 1e9)  # it is not that which ends the run
    with pytest.raises(Interrupted):
        fit(tmp_path, **{**LOCKED, "stall_timeout": 1e9})
    [rank] = stopped_in_the_lock
    [died] = faults(tmp_path / "run")
    assert f"worker {rank} (pid" in died["message"]
    assert "the run stops" in died["message"]
    assert store.load(tmp_path / "run" / "ckpt").step > 0


def test_a_full_disk_is_told_once_and_the_next_checkpoint_is_tried(tmp_path: Path, monkeypatch):
    whole, failures = contents.save_state, []

    def save_state(state: Any, path: Path) -> None:
        if len(list(path.parent.parent.glob("step-*"))) >= 1 and len(failures) < 2:
            failures.append(path)
            path.write_bytes(b"a part")
            raise OSError(28, "No space left on device")
        whole(state, path)

    monkeypatch.setattr(contents, "save_state", save_state)
    result = fit(tmp_path, epochs=40, ckpt_every=1, eval_every=0, workers=1)
    assert len(failures) == 2
    [fault] = faults(result.path)
    assert fault["reason"] == "checkpoint"
    assert "No space left on device" in fault["message"]
    assert "Earlier checkpoints are untouched. Tried again at the next checkpoint" in fault["message"]
    assert store.load(tmp_path / "run" / "ckpt").samples == 40 * 330
