"""Workers with replicas that are killed or stopped in a real run: it goes on, counts every sample, and ends."""

from __future__ import annotations

import os
import random
import signal

import pytest
from command_runs import ENDLESS, SAMPLES

ALGORITHMS = {
    "ad-psgd": ("--lr", 0.05),
    "easgd": ("--period", 1),
    "d-psgd": ("--lr", 0.05),
    "local-sgd": ("--period", 4),
    "sgp": ("--lr", 0.05),
}
LONG = [pytest.param(name, 30, marks=pytest.mark.slow) for name in ALGORITHMS]


@pytest.mark.parametrize(("algorithm", "kills"), [(name, 3) for name in ("ad-psgd", "easgd", "d-psgd")] + LONG)
def test_random_kills_and_every_sample_is_seen(start, algorithm: str, kills: int):
    run = start("--algorithm", algorithm, "--workers", 3, "--respawn", kills, *ALGORITHMS[algorithm], *ENDLESS)
    run.kill_workers(kills, random.Random(11))
    run.wait_for_faults(kills)
    epochs, summary, _ = run.finish(40)
    assert summary["samples"] == epochs * SAMPLES
    assert len(run.lines("fault")) == kills
    assert summary["test_accuracy"] > 0.85


def test_a_run_whose_last_batch_is_with_a_stopped_worker_ends(start):
    """It is named, killed when all others have waited for it, and its batch is done by another."""
    run = start("--algorithm", "ad-psgd", "--workers", 3, "--epochs", 60, "--eval-every", 0, "--ckpt-every", 0,
                "--stall-timeout", 1, "--kill-stalled", 1)  # fmt: skip
    pids = run.wait_for_workers(3)
    os.kill(pids[2], signal.SIGSTOP)
    code, summary, stderr = run.end()
    assert code == 0, stderr
    assert summary["samples"] == 60 * SAMPLES
    assert "worker 2 has made no progress for" in stderr
    assert f"worker 2 (pid {pids[2]}) died: SIGKILL, all others had waited for it for" in stderr
    assert [line["reason"] for line in run.lines("fault")] == ["stalled", "died"]
