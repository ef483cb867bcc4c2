"""The memory of the parent must not grow with the length of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from hogwild.config import Config
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.job import make_job
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World
from hogwild.tasks import build_model, load


def test_the_counters_of_ten_thousand_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The loss of the last epoch is right although only the counters of the last epochs are kept."""
    monkeypatch.chdir(tmp_path)
    config = Config(workers=1, batch_size=1437, epochs=10_000, quiet=True)
    job = make_job(config, load("digits"), partial(build_model, "mlp"))
    world = World.create(job.build(), job.algorithm.buffers, 1)
    run = RunDirectory.create(config)
    with Console(quiet=True) as console:
        report = Report(job, world, run, console)
        world.control.assign(0, job.total_tickets, [])
        for epoch in range(10_000):
            world.control.take(0)
            world.control.record_loss(0, float(epoch), 1437)
            world.control.complete(0)
            report.mark_epoch(Statistics.of(world))
        assert len(report._epochs) <= 3
        assert report.summary(None)["train_loss"] == 9999
    run.close()
