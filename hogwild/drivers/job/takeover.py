"""Whether an idle worker may compute a batch that a slower one still holds, at the end of a run (--takeover)."""

from __future__ import annotations

from hogwild.config import TIMED_CLOCKS
from hogwild.config.takeover import excluded
from hogwild.drivers.job.batches import FullBatches
from hogwild.drivers.job.job import Job


def takes_over(job: Job) -> bool:
    """By default wherever a ticket names its batch, and a gradient is one update. Config has refused what else the user
    may have asked for; a caller's own loop has batches of its own.
    """
    if job.config.takeover is False or job.config.workers == 1 or job.body is not None:
        return False
    return not isinstance(job.order, FullBatches) and excluded(job.config, job.algorithm, TIMED_CLOCKS) is None
