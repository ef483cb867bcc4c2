"""A fake driver that does not train, for tests of the code around the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hogwild.config import Config
from hogwild.runs.console import Console, Status
from hogwild.runs.directory import RunDirectory

SUMMARY = {
    "updates": 90,
    "samples": 2880,
    "wall_s": 1.5,
    "samples_per_s": 1920.0,
    "train_loss": 0.031,
    "test_accuracy": 0.958,
    "delay": {"mean": 1.0, "p50": 1, "p95": 1, "max": 3},
    "gap_rms": 0.002,
    "exit_reason": "done",
}


class FakeDriver:
    """Records its arguments; `then` may raise."""

    def __init__(self) -> None:
        self.configs: list[Config] = []
        self.then: Callable[[], None] = lambda: None

    def of(self, config: Config, run: RunDirectory, console: Console) -> FakeDriver:
        self.configs.append(config)
        self._run, self._console = run, console
        return self

    def run(self) -> dict[str, Any]:
        self.then()
        self._run.journal.event("train", loss=0.031, samples=2880)
        self._console.update(Status(2880, 2880, epoch=2.0, loss=0.031, score=0.958, metric="accuracy"))
        self._console.warn("worker 1 was slow")
        return dict(SUMMARY)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver()
    monkeypatch.setattr("hogwild.cli.run.driver_for", lambda _: fake)
    return fake


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
