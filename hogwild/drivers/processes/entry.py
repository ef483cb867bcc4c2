"""The entry point of a worker process.

The parent imports this module in the fork server before any worker exists, so that a worker starts in a tenth of a
second.
"""

from __future__ import annotations

import sys
import traceback

from hogwild.drivers.job.job import Job
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.handle import Handle
from hogwild.drivers.processes.worker import Worker
from hogwild.errors import HogwildError


def main(payload: bytes, context: WorkerContext) -> None:
    """Runs one worker, with the caller's own loop if the job has one. `payload` is Job.dumps()."""
    context.enter()
    try:
        worker = Worker(Job.loads(payload), context)
        body = worker.job.body
        worker.run(None if body is None else lambda: body(Handle(worker)))
    except HogwildError as error:
        context.events.send(("error", type(error).__name__, str(error)))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        context.events.send(("error", type(error).__name__, f"{type(error).__name__}: {error}"))
        sys.exit(1)
