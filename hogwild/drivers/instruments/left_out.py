"""The samples that a run leaves out because they cannot be read: counted, named, a reason to stop if they are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from hogwild.drivers.job.samples import BadSample
from hogwild.errors import DataError

SHARE = 0.01  # of an epoch, or of an evaluation, above which a run stops
NAMED = 20  # samples named on the terminal; the journal has all of them
TRAINING, TEST = "training", "test"


class LeftOut:
    """Counts the samples left out. `policy`: skip or stop (--on-bad-sample). `tell` is called once for each sample,
    with a line about it, the `trace` of its exception, its `part` and number (`sample`), the `worker` that was to read
    it, and `quietly` after the first NAMED ones.
    """

    def __init__(self, policy: str, tell: Callable[..., object]) -> None:
        self._policy = policy
        self._tell = tell
        self._counts: Counter[tuple[str, int]] = Counter()
        self._named: set[tuple[str, int]] = set()

    def total(self, part: str) -> int:
        """How many were left out of that part, each time that they were."""
        return sum(count for (where, _), count in self._counts.items() if where == part)

    def add(self, bad: Sequence[BadSample], part: str, turn: int, size: int, *, worker: int | None = None) -> None:
        """Counts the `bad` samples of a batch, in pass number `turn` over the `size` samples of a part. `worker`: the
        one that was to read them.

        DataError if the run must stop: at the first one under --on-bad-sample stop, else above 1 % of a pass. A single
        one in a pass is never too much.
        """
        for sample in bad:
            self._counts[part, turn] += 1
            if (part, sample.index) not in self._named:
                self._named.add((part, sample.index))
                line = f"sample {sample.index} of the {part} set cannot be read, and is left out: {sample.fault}"
                quietly = len(self._named) > NAMED
                facts = {"part": part, "sample": sample.index, "worker": worker}
                self._tell(line, trace=sample.trace, quietly=quietly, **facts)
        count = self._counts[part, turn]
        if bad and self._policy == "stop":
            raise DataError(
                f"sample {bad[0].index} of the {part} set cannot be read: {bad[0].fault}. Mend it, or leave it out of "
                "the data set; --on-bad-sample skip leaves such samples out and continues"
            )
        if bad and count > max(1, SHARE * size):
            raise DataError(
                f"{count} of the {size} samples of a pass over the {part} set could not be read, more than "
                f"{SHARE:.0%}: the last was sample {bad[-1].index}: {bad[-1].fault}. Mend these samples, or leave them "
                "out of the data set"
            )


def refuse(bad: Sequence[BadSample], *_: object) -> None:
    """DataError for the first one, where the samples left out are not counted."""
    raise DataError(f"sample {bad[0].index} cannot be read: {bad[0].fault}")
