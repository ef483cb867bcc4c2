"""Runs a job in a run directory of its own."""

from __future__ import annotations

from hogwild.drivers.choice import driver_for
from hogwild.drivers.job.job import Job
from hogwild.library.result import Result
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory


def run(job: Job) -> Result:
    directory = RunDirectory.create(job.config)
    with Console(quiet=job.config.quiet, log=directory.log) as console:
        try:
            driver = driver_for(job.config)(job, directory, console)
            summary = driver.run()
            directory.summary(summary)
        except BaseException as error:
            directory.fail(error, {})
            raise
        finally:
            directory.close()
    return Result(summary, driver.module, str(directory.path))
