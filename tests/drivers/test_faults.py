"""Workers that die, parents that die, Ctrl-C: the run says what happened, loses nothing and leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from command_runs import gone

SAMPLES = 1437  # of the digits training split
LONG = ("--epochs", 4000, "--eval-every", 0, "--ckpt-every", 0)


def test_twenty_kills_and_every_sample_is_seen(start):
    epochs, kills, rng = 1000, 20, random.Random(7)
    run = start("--epochs", epochs, "--eval-every", 0, "--ckpt-every", 0, "--respawn", kills, "--workers", 2)
    killed: set[int] = set()
    while len(killed) < kills:
        fresh = [pid for pid in run.wait_for_workers().values() if pid not in killed]
        if fresh:
            time.sleep(rng.uniform(0.0, 0.05))
            victim = rng.choice(fresh)
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
        time.sleep(0.01)
    code, summary, _ = run.end()
    assert code == 0
    assert summary["samples"] == epochs * SAMPLES
    assert summary["updates"] >= epochs * 45  # a batch whose push was done but not yet booked is done once more
    assert summary["updates"] <= epochs * 45 + kills
    faults = run.lines("fault")
    assert len(faults) == kills == summary["faults"]
    assert all(fault["reason"] == "died" and "SIGKILL" in fault["message"] for fault in faults)
    assert summary["test_accuracy"] > 0.9


@pytest.mark.parametrize("algorithm", ["asgd", "ssgd"])
def test_a_killed_worker_does_not_stop_the_run(start, algorithm: str):
    run = start("--algorithm", algorithm, "--workers", 3, "--epochs", 300, "--eval-every", 0, "--ckpt-every", 0)
    pids = run.wait_for_workers(3)
    os.kill(pids[1], signal.SIGKILL)
    code, summary, stderr = run.end()
    assert code == 0
    assert summary["samples"] == 300 * SAMPLES
    assert f"worker 1 (pid {pids[1]}) died: SIGKILL" in stderr
    assert "2 of 3 continue, its work is dealt again" in stderr
    assert summary["test_accuracy"] > 0.9


def test_a_replaced_worker_joins_a_synchronous_run(start):
    run = start("--algorithm", "ssgd", "--epochs", 600, "--respawn", 3, "--eval-every", 0, "--ckpt-every", 0)
    for _ in range(3):
        pids = run.wait_for_workers(2)
        os.kill(pids[0], signal.SIGKILL)
        while run.pids()[0] == pids[0]:
            time.sleep(0.01)
    code, summary, _ = run.end()
    assert code == 0
    assert summary["samples"] == 600 * SAMPLES
    assert summary["test_accuracy"] > 0.9


def test_too_few_workers_left_ends_with_4_and_a_checkpoint(start):
    run = start("--min-workers", 2, *LONG)
    os.kill(run.wait_for_workers(2)[0], signal.SIGKILL)
    code, summary, stderr = run.end()
    assert code == 4
    assert "1 worker left, --min-workers is 2" in stderr
    assert summary["exit_reason"] == "too_few_workers"
    assert (run.path / "ckpt" / "last" / "manifest.json").exists()


def test_the_last_worker_dies(start):
    run = start("--workers", 1, *LONG)
    os.kill(run.wait_for_workers(1)[0], signal.SIGKILL)
    code, _, stderr = run.end()
    assert code == 4
    assert "no workers left" in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_checkpoints_and_ends_with_130(start, number: signal.Signals):
    run = start(*LONG)
    pids = run.wait_for_workers(2)
    time.sleep(0.3)
    run.signal(number)
    code, summary, stderr = run.end()
    assert code == 130
    assert summary["exit_reason"] == "interrupted"
    assert 0 < summary["samples"] < 4000 * SAMPLES
    assert "interrupted at update" in stderr
    assert (run.path / "ckpt" / "last" / "manifest.json").exists()
    assert gone(list(pids.values()))


def test_no_worker_outlives_a_killed_parent(start):
    shared = set(os.listdir("/dev/shm"))
    run = start("--workers", 3, *LONG)
    pids = run.wait_for_workers(3)
    run.signal(signal.SIGKILL)
    assert gone(list(pids.values()))
    assert set(os.listdir("/dev/shm")) <= shared


def test_a_stopped_worker_is_named_and_does_not_stop_the_others(start):
    run = start("--workers", 2, "--epochs", 500, "--eval-every", 0, "--ckpt-every", 0, "--stall-timeout", 1)
    pids = run.wait_for_workers(2)
    os.kill(pids[0], signal.SIGSTOP)
    while not run.lines("fault"):
        assert run.process.poll() is None
        time.sleep(0.02)
    os.kill(pids[0], signal.SIGCONT)
    code, summary, stderr = run.end()
    assert code == 0
    assert "worker 0 has made no progress for" in stderr
    assert summary["samples"] == 500 * SAMPLES
    [zero, one] = [line for line in run.lines("worker") if line["event"] == "ended"]
    assert one["share"] > zero["share"]


def test_who_waits_for_a_stopped_worker_has_not_stalled(start):
    endless = ("--epochs", 100_000, "--eval-every", 0, "--ckpt-every", 0)  # a checkpoint would give the stopped one up
    run = start("--algorithm", "ssgd", "--workers", 2, "--stall-timeout", 1, *endless)
    pids = run.wait_for_workers(2)
    os.kill(pids[0], signal.SIGSTOP)  # wherever it is: a worker that is stopped in a barrier is named too
    while not run.lines("fault"):
        assert run.process.poll() is None
        time.sleep(0.02)
    os.kill(pids[0], signal.SIGCONT)
    run.process.send_signal(signal.SIGINT)
    code, _, _ = run.end()
    assert code == 130
    assert all("worker 0 has made no progress" in line["message"] for line in run.lines("fault"))


def test_divergence_ends_with_3_and_says_what_to_do(start):
    code, summary, stderr = start("--lr", 1e30, "--ckpt-every", 0).end()
    assert code == 3
    assert summary["exit_reason"] == "diverged"
    assert "not applied" in stderr
    assert "lower --lr or give --clip" in stderr


def test_skipping_nonfinite_gradients_goes_on_and_counts_them(start):
    code, summary, _ = start("--lr", 1e30, "--on-nonfinite", "skip", "--ckpt-every", 0).end()
    assert summary["refused"] > 0
    assert code in (0, 3)  # 3 when the parameters themselves overflowed
