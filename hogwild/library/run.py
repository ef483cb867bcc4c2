"""Runs a job in its run directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hogwild import errors
from hogwild.boxes.part import part_of
from hogwild.drivers.base import Driver
from hogwild.drivers.choice import driver_for
from hogwild.drivers.job.job import Job
from hogwild.library.result import Interrupted, Result, best, history
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory


def run(job: Job, recipe: Mapping[str, object], *, shows_prints: bool = False) -> Result:
    """Trains. `recipe`: what the job was made of, as far as a command can find it again by its name."""
    job = replace(job, config=part_of(job.config))
    directory = RunDirectory.begin(job.config, recipe)
    with Console(quiet=job.config.quiet, log=directory.log, shows_prints=shows_prints) as console:
        try:
            driver = driver_for(job.config)(job, directory, console)
            summary = driver.run()
            directory.summary(summary)
        except errors.Interrupted as error:
            directory.fail(error, {})
            raise Interrupted(str(error), _result(error.summary, driver, directory)) from None
        except BaseException as error:
            directory.fail(error, {})
            raise
        finally:
            directory.close()
    return _result(summary, driver, directory)


def _result(summary: dict[str, Any], driver: Driver, directory: RunDirectory) -> Result:
    rows = history(directory.path, driver.config)
    found = best(rows, driver.job.data)
    return Result(summary, driver.module, str(directory.path), rows, found, driver.returns)
