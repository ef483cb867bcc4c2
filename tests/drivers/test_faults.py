"""Workers that die, parents that die, Ctrl-C: the run reports it, loses no sample and leaves no process."""

from __future__ import annotations

import os
import random
import signal

import pytest
from command_runs import BATCHES, ENDLESS, SAMPLES, gone


@pytest.mark.slow
@pytest.mark.parametrize("kills", [6, 20])
def test_random_kills_and_every_sample_is_seen(start, kills: int):
    run = start(*ENDLESS, "--respawn", kills, "--workers", 2)
    run.kill_workers(kills, random.Random(7))
    faults = run.wait_for_faults(kills)
    epochs, summary, _ = run.finish()
    assert summary["samples"] == epochs * SAMPLES
    assert summary["updates"] >= epochs * BATCHES  # a batch is computed again if its push was made but not yet counted
    assert summary["updates"] <= epochs * BATCHES + kills
    assert len(run.lines("fault")) == kills
    assert all(fault["reason"] == "died" and "SIGKILL" in fault["message"] for fault in faults)
    assert summary["test_accuracy"] > 0.9


@pytest.mark.parametrize("algorithm", ["asgd", pytest.param("ssgd", marks=pytest.mark.slow)])
def test_a_killed_worker_does_not_stop_the_run(start, algorithm: str):
    run = start("--algorithm", algorithm, "--workers", 3, *ENDLESS)
    pids = run.wait_for_workers(3)
    os.kill(pids[1], signal.SIGKILL)
    run.wait_for_faults()
    epochs, summary, stderr = run.finish()
    assert summary["samples"] == epochs * SAMPLES
    assert f"worker 1 (pid {pids[1]}) died: SIGKILL" in stderr
    assert "2 of 3 continue, its work is assigned again" in stderr
    assert summary["test_accuracy"] > 0.9


@pytest.mark.slow
def test_a_replaced_worker_joins_a_synchronous_run(start):
    run = start("--algorithm", "ssgd", "--respawn", 3, *ENDLESS)
    for _ in range(3):
        pids = run.wait_for_workers(2)
        os.kill(pids[0], signal.SIGKILL)
        run.wait_for(lambda old=pids[0]: run.pids()[0] != old, "worker 0 is replaced")
    epochs, summary, _ = run.finish()
    assert summary["samples"] == epochs * SAMPLES
    assert summary["test_accuracy"] > 0.9
    [zero, _] = [line for line in run.lines("worker") if line["event"] == "ended"][:2]
    assert zero["worker"] == 0
    assert zero["pushes"] > 0


@pytest.mark.slow
def test_too_few_workers_left_ends_with_4_and_a_checkpoint(start):
    run = start("--min-workers", 2, *ENDLESS)
    os.kill(run.wait_for_workers(2)[0], signal.SIGKILL)
    code, summary, stderr = run.end()
    assert code == 4
    assert "1 worker left, --min-workers is 2" in stderr
    assert summary["exit_reason"] == "too_few_workers"
    assert (run.path / "ckpt" / "last" / "manifest.json").exists()


@pytest.mark.slow
def test_the_last_worker_dies(start):
    run = start("--workers", 1, *ENDLESS)
    os.kill(run.wait_for_workers(1)[0], signal.SIGKILL)
    code, _, stderr = run.end()
    assert code == 4
    assert "no workers left" in stderr


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_an_interrupt_checkpoints_and_ends_with_130(start, number: signal.Signals):
    run = start(*ENDLESS, "--ckpt-every", 1)
    pids = run.wait_for_workers(2)
    run.wait_for(lambda: run.lines("checkpoint"), "a checkpoint")
    run.signal(number)
    code, summary, stderr = run.end()
    assert code == 130
    assert summary["exit_reason"] == "interrupted"
    assert summary["samples"] >= SAMPLES
    assert "interrupted at update" in stderr
    assert (run.path / "ckpt" / "last" / "manifest.json").exists()
    assert gone(list(pids.values()))


@pytest.mark.slow
def test_no_worker_outlives_a_killed_parent(start):
    shared = set(os.listdir("/dev/shm"))
    run = start("--workers", 3, *ENDLESS)
    pids = run.wait_for_workers(3)
    run.signal(signal.SIGKILL)
    assert gone(list(pids.values()))
    assert set(os.listdir("/dev/shm")) <= shared


@pytest.mark.slow
def test_a_stopped_worker_is_named_and_does_not_stop_the_others(start):
    run = start("--workers", 2, *ENDLESS, "--stall-timeout", 1, "--straggler", "0:20", "--record")
    pids = run.wait_for_workers(2)
    run.wait_for_pushes(1, 0)
    run.stop_in_gradient(0)
    before = run.pushes(0)
    run.wait_for_pushes(100, 1)
    assert run.pushes(0) == before
    os.kill(pids[0], signal.SIGCONT)
    run.wait_for_pushes(1, 0)
    epochs, summary, _ = run.finish()
    assert summary["samples"] == epochs * SAMPLES


@pytest.mark.slow
def test_a_worker_that_waits_for_a_stopped_worker_has_not_stalled(start):
    run = start("--algorithm", "ssgd", "--workers", 2, "--stall-timeout", 1, *ENDLESS)
    pids = run.wait_for_workers(2)
    os.kill(pids[0], signal.SIGSTOP)  # anywhere: a worker that is stopped in a barrier is named too
    run.wait_for(lambda: [line for line in run.lines("fault") if "worker 0" in line["message"]], "worker 0 is named")
    os.kill(pids[0], signal.SIGCONT)
    run.signal(signal.SIGINT)
    code, _, _ = run.end()
    assert code == 130
    named = [line["message"] for line in run.lines("fault")]
    assert any("worker 0 has made no progress" in line for line in named)
    assert not any("worker 1 has" in line and "(last: barrier)" in line for line in named)


@pytest.mark.slow
def test_divergence_ends_with_3_and_gives_advice(start):
    code, summary, stderr = start("--lr", 1e30, "--ckpt-every", 0).end()
    assert code == 3
    assert summary["exit_reason"] == "diverged"
    assert "not applied" in stderr
    assert "lower --lr or give --clip" in stderr


@pytest.mark.slow
def test_skipping_nonfinite_gradients_goes_on_and_counts_them(start):
    code, summary, _ = start("--lr", 1e30, "--on-nonfinite", "skip", "--ckpt-every", 0).end()
    assert summary["refused"] > 0
    assert code in (0, 3)  # 3 when the parameters themselves overflowed
