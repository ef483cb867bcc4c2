"""The entry point of a worker process.

The parent imports this module in the fork server before any worker exists, so that a worker starts in a tenth of a
second.
"""

from __future__ import annotations

import sys
import traceback

from hogwild import own_code
from hogwild.drivers.job.job import Job
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.handle import run_loop
from hogwild.drivers.processes.loop_worker import LoopWorker
from hogwild.drivers.processes.worker import Worker
from hogwild.errors import HogwildError, TooFewWorkersError
from hogwild.shared.payload import Payload


def main(payload: Payload, context: WorkerContext) -> None:
    """Runs one worker, with the caller's own loop if the job has one. `payload`: Job.payload()."""
    context.enter()
    try:
        job = Job.of(payload)
        if (body := job.body) is None:
            Worker(job, context).run()
        else:
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # the parent shows the lines
            worker = LoopWorker(job, context)
            worker.run(lambda: run_loop(worker, body))
    except HogwildError as error:
        context.events.send(("error", type(error).__name__, str(error)))
        sys.exit(1)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        told = f"{own_code.told(error)}; traceback in {context.log}"
        context.events.send(("error", TooFewWorkersError.__name__, told))  # what it comes to if all of them do so
        sys.exit(1)
