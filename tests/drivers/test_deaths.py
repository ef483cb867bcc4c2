"""What is said about a process that has died."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from hogwild.drivers.processes.deaths import Deaths
from hogwild.drivers.processes.pool import Event
from hogwild.drivers.processes.watch import Watch

KILLED = {"error": None, "killed_for": None, "rss_bytes": 14_100_000_000}


def write(root: Path, kills: int) -> None:
    folder = root / "sys/fs/cgroup/job"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("0::/job\n")
    (folder / "memory.events").write_text(f"oom {kills}\noom_kill {kills}\n")
    (folder / "memory.max").write_text("2000000\n")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "0.log").touch()
    return tmp_path


def test_a_worker_that_the_kernel_killed_for_memory_is_told_so_with_its_memory_and_the_limit(logs: Path):
    write(logs, 2)
    deaths = Deaths(logs, logs)
    assert deaths.of_worker(0, 7, -signal.SIGKILL, **KILLED) == (
        "worker 0 (pid 7) died: SIGKILL, killed or out of memory (RSS was 14.1 GB)"
    )
    write(logs, 4)
    for _ in range(2):  # each of the two that the kernel counted
        assert deaths.of_worker(0, 7, -signal.SIGKILL, **KILLED) == (
            "worker 0 (pid 7) died: SIGKILL, out of memory (RSS was 14.1 GB, the limit of all processes is 0.002 GB): "
            "use fewer workers or smaller batches"
        )
    assert "killed or out of memory" in deaths.of_worker(0, 7, -signal.SIGKILL, **KILLED)


def test_what_the_parent_killed_is_not_taken_for_out_of_memory(logs: Path):
    write(logs, 0)
    deaths = Deaths(logs, logs)
    write(logs, 1)
    why = {**KILLED, "killed_for": "it had finished"}
    assert deaths.of_worker(0, 7, -signal.SIGKILL, **why) == "worker 0 (pid 7) died: SIGKILL, it had finished"


def test_last_words(logs: Path):
    (logs / "0.log").write_text("one\ntwo\n")
    deaths = Deaths(logs, logs)
    unknown = {"error": None, "killed_for": None, "rss_bytes": 0}
    assert deaths.of_worker(0, 7, -signal.SIGSEGV, **unknown) == "worker 0 (pid 7) died: SIGSEGV; last words: one | two"
    assert deaths.of_worker(0, 7, 3, **unknown) == "worker 0 (pid 7) died: exit code 3; last words: one | two"
    assert "exit code 1, while it imported the main script" in deaths.of_worker(5, 7, 1, **unknown)
    assert deaths.of_worker(0, 7, 1, **{**unknown, "error": "E"}) == "worker 0 (pid 7) died: E"


@pytest.mark.parametrize(
    ("interrupted", "code", "server", "faults"),
    [
        (True, -signal.SIGTERM, None, 0),
        (True, -signal.SIGHUP, 7, 0),
        (True, -signal.SIGKILL, None, 2),
        (True, -signal.SIGKILL, 7, 1),
        (False, -signal.SIGTERM, None, 2),
        (False, -signal.SIGTERM, 7, 1),
        (True, 1, None, 2),
    ],
)
def test_deaths_by_the_signal_that_ends_the_run_are_no_faults(interrupted: bool, code: int, server, faults: int):
    """Of two workers; the caller's program may have started their fork server, which then dies of the signal too."""
    told: list[str] = []
    control = SimpleNamespace(mark_dead=lambda *_: True, stopping=interrupted, version=3, next=8, total=8)
    control.outstanding = list
    driver = SimpleNamespace(
        config=SimpleNamespace(respawn=0, kill_stalled=1.0, stall_timeout=1.0, workers=3, min_workers=1),
        report=SimpleNamespace(fault=lambda _reason, line, **_: told.append(line), left=lambda _rank: None),
        world=SimpleNamespace(control=control),
        job=SimpleNamespace(body=None),
        lost=set(),
        is_interrupted=interrupted,
    )
    members = {rank: SimpleNamespace(error=None) for rank in (0, 1)}
    pool = SimpleNamespace(world=driver.world, members=members, left=1)
    watch = Watch(driver, pool, lambda _rank: None)
    for rank in members:
        assert watch._on_death(Event("died", rank, f"worker {rank} died", code, server))
    assert len(told) == faults
    assert driver.lost == {0, 1}
