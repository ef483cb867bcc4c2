"""Signals and deaths at every phase of a run: it ends in order, reports that, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from attacks import LONG, TIMEOUT_S, command, fork_server, lines, wait_until, workers


def end(process) -> tuple[int, str]:
    _, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, err


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_during_the_load_of_the_data(tmp_path: Path, number: signal.Signals):
    with command(tmp_path, "--data", "own_code:slow_to_load") as process:
        wait_until((tmp_path / "loading").exists)
        process.send_signal(number)
        assert end(process) == (130, "hogwild: interrupted\n")
    assert not (tmp_path / "run").exists()


def test_ctrl_c_of_a_terminal_while_the_fork_server_starts(tmp_path: Path):
    """The whole process group gets the signal, also the fork server, which imports torch like the parent."""
    with command(tmp_path, *LONG) as process:
        wait_until(lambda: fork_server(process.pid))
        server = fork_server(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        code, err = end(process)
    assert code == 130
    assert "hogwild: interrupted" in err
    assert "Traceback" not in err
    wait_until(lambda: gone([server.pid]))


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_during_the_last_evaluation(tmp_path: Path, number: signal.Signals):
    """The result of the training is kept."""
    flags = ("--data", "own_code:slow_to_evaluate", "--model", "own_code:net", "--epochs", 2, "--eval-every", 0)
    with command(tmp_path, *flags, "--ckpt-every", 0) as process:
        wait_until((tmp_path / "evaluating").exists)
        process.send_signal(number)
        wait_until(lambda: "finishing" in (tmp_path / "run" / "log.txt").read_text())
        (tmp_path / "go on").touch()
        code, err = end(process)
    assert code == 130
    assert "last checkpoint: step-0" in err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["exit_reason"] == "interrupted"
    assert (tmp_path / "run" / "ckpt" / "last" / "manifest.json").exists()


def test_the_death_of_the_fork_server(tmp_path: Path):
    """Its workers count as dead, so they must end: otherwise --respawn would give two processes the same rank."""
    flags = ("--epochs", 500, "--eval-every", 0, "--ckpt-every", 0, "--respawn", 2)
    with command(tmp_path, *flags) as process:
        pids = wait_until(lambda: found if len(found := workers(tmp_path / "run")) == 2 else None)
        fork_server(process.pid).kill()
        wait_until(lambda: gone(pids))
        code, err = end(process)
    assert code in (0, 4)  # 4: a dead process still existed when its successor had to be started
    assert "Traceback" not in err
    assert len(lines(tmp_path / "run", "fault"))
    assert (tmp_path / "run" / "summary.json").exists()


@pytest.mark.parametrize("access", ["locked", pytest.param("striped", marks=pytest.mark.slow)])
def test_random_kills_under_a_lock(tmp_path: Path, access: str):
    kills, epochs = 5, 12
    flags = ("--workers", 4, "--access", access, "--respawn", kills, "--epochs", epochs, "--batch-size", 2)
    with command(tmp_path, *flags, "--eval-every", 0, "--ckpt-every", 0) as process:
        killed: list[int] = []
        while len(killed) < kills:
            alive = wait_until(lambda: [pid for pid in workers(tmp_path / "run") if pid not in killed])
            os.kill(alive[0], signal.SIGKILL)
            killed.append(alive[0])
        assert end(process)[0] == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["samples"], summary["faults"]) == (epochs * 1437, kills)
    assert summary["test_accuracy"] > 0.9
