"""Runs a job in its run directory."""

from __future__ import annotations

from collections.abc import Mapping

from hogwild.drivers.choice import driver_for
from hogwild.drivers.job.job import Job
from hogwild.library.result import Result
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory


def run(job: Job, recipe: Mapping[str, object]) -> Result:
    """Trains. `recipe`: what the job was made of, as far as a command can find it again by its name."""
    if job.config.resume is None:
        directory = RunDirectory.create(job.config, recipe)
    else:
        directory = RunDirectory.resume(job.config, recipe)
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
