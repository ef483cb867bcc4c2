"""Signals and deaths at every phase of a run: it ends in order, reports that, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest
from attacks import ENVIRONMENT, LONG, TIMEOUT_S, command, fork_server, hear_ctrl_c, lines, wait_until, workers


def end(process) -> tuple[int, str]:
    _, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, err


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_during_the_load_of_the_data(tmp_path: Path, number: signal.Signals):
    with command(tmp_path, "--data", "own_code:slow_to_load") as process:
        wait_until((tmp_path / "loading").exists)
        process.send_signal(number)
        assert end(process) == (130, "hogwild: interrupted\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_while_the_fork_server_starts(tmp_path: Path):
    """The whole process group gets the signal, also the fork server, which imports torch like the parent."""
    with command(tmp_path, *LONG, cold=True) as process:
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


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_signals_to_all_processes_of_a_run_stop_it_and_are_no_fault(tmp_path: Path, method: str):
    """As a closed terminal and service managers send them. The parent alone ends the run."""
    with command(tmp_path, *LONG, "--start-method", method) as process:
        pids = wait_until(lambda: found if len(found := workers(tmp_path / "run")) == 2 else None)
        server = [fork_server(process.pid).pid] if method == "forkserver" else []
        for pid in [*pids, *server]:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                os.kill(pid, number)
        before = len(lines(tmp_path / "run", "train"))
        wait_until(lambda: len(lines(tmp_path / "run", "train")) > before + 1)
        assert not lines(tmp_path / "run", "fault")
        os.killpg(process.pid, signal.SIGTERM)
        code, err = end(process)
    assert code == 130
    assert "SIGTERM: finishing the updates in progress" in err
    assert "interrupted at update" in err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    # On a busy machine a process may need more than 5 s to end.
    faults = [fault for fault in lines(tmp_path / "run", "fault") if "had finished" not in fault["message"]]
    assert (summary["exit_reason"], faults) == ("interrupted", [])
    assert summary["test_accuracy"] > 0
    assert (tmp_path / "run" / "ckpt" / "last" / "manifest.json").exists()
    wait_until(lambda: gone(pids))


@pytest.mark.slow
def test_nohup_is_heeded(tmp_path: Path):
    """A SIGHUP that the caller ignores stops nothing."""

    def ignore() -> None:
        hear_ctrl_c()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with command(tmp_path, *LONG, cold=True, preexec_fn=ignore) as process:
        wait_until(lambda: len(workers(tmp_path / "run")) == 2)
        os.killpg(process.pid, signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        code, err = end(process)
    assert code == 130
    assert "SIGINT: finishing" in err
    assert "SIGHUP" not in err


def test_the_death_of_the_fork_server_is_told_once_and_ends_the_run(tmp_path: Path):
    with command(tmp_path, *LONG) as process:
        pids = wait_until(lambda: found if len(found := workers(tmp_path / "run")) == 2 else None)
        server = fork_server(process.pid)
        server.kill()
        code, err = end(process)
    assert gone(pids)
    assert code == 4
    assert "Traceback" not in err
    named = f"the fork server (pid {server.pid}), from which workers are forked, died: SIGKILL"
    assert "--start-method spawn needs no such process" in err
    assert named in err.splitlines()[-1]
    [fault] = lines(tmp_path / "run", "fault")
    assert named in fault["message"]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["exit_reason"], summary["faults"]) == ("too_few_workers", 1)
    assert (tmp_path / "run" / "ckpt" / "last" / "manifest.json").exists()


@pytest.mark.slow
def test_workers_of_a_fork_server_that_has_died_are_replaced(tmp_path: Path):
    """They count as dead, so they must end: otherwise --respawn would give two processes the same rank."""
    with command(tmp_path, *LONG, "--respawn", 2) as process:
        pids = wait_until(lambda: found if len(found := workers(tmp_path / "run")) == 2 else None)
        fork_server(process.pid).kill()
        wait_until(lambda: len(workers(tmp_path / "run")) == 4)
        assert gone(pids)
        process.send_signal(signal.SIGTERM)
        code, err = end(process)
    assert code == 130
    assert "Traceback" not in err
    assert len(lines(tmp_path / "run", "fault")) == 1


DIES = """import os, signal, sys
if "multiprocessing.forkserver" in " ".join(sys.orig_argv):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_fork_server_that_dies_before_the_workers_start_is_named(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(DIES)
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    with command(tmp_path, *LONG, env={**ENVIRONMENT, "PYTHONPATH": path}) as process:
        code, err = end(process)
    assert code == 4
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert "cannot start worker 0 of 2: the fork server (pid" in last
    assert "from which workers are forked, died: SIGKILL" in last


@pytest.mark.slow
@pytest.mark.parametrize("access", ["locked", "striped"])
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
