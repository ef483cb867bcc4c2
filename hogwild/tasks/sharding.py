"""Divides the training set among the workers, as --shard says. `parts` does it. This module needs no torch.

    none               no division: every worker draws from the whole set
    iid                equal parts at random
    contiguous         equal slices of the set as it is stored
    label              equal slices of the set sorted by class; whole classes if these are a multiple of the workers
    dirichlet:ALPHA    every class in shares drawn from Dirichlet(ALPHA, ..., ALPHA): the smaller ALPHA, the fewer
                       classes a worker has, and the more unequal the parts

Source: label: Tang et al. 2018 (arXiv:1803.07068), 5 workers with 2 classes each; dirichlet: Yurochkin et al. 2019
(arXiv:1905.12022).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hogwild.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

SHARDS = "none, iid, contiguous, label or dirichlet:ALPHA with ALPHA > 0"


def is_shard(text: str) -> bool:
    """Whether `text` is one of SHARDS."""
    kind, _, alpha = text.partition(":")
    if kind != "dirichlet":
        return text in ("none", "iid", "contiguous", "label")
    try:
        return 0 < float(alpha) < math.inf
    except ValueError:
        return False


def needs_classes(shard: str) -> bool:
    """Whether the division depends on the classes of the samples."""
    return shard.startswith(("label", "dirichlet"))


def parts(shard: str, samples: int, workers: int, seed: int, classes: Numbers | None = None) -> list[Numbers]:
    """The sample numbers of each worker, [m_i] int64: a partition of range(samples) that depends on the seed only.

    `classes` [samples]: the class of every sample, needed if needs_classes(shard). Raises UsageError if a worker gets
    no sample.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    if shard == "iid":
        found = np.array_split(rng.permutation(samples), workers)
    elif shard == "contiguous":
        found = np.array_split(np.arange(samples), workers)
    else:
        assert classes is not None, f"{shard} needs the classes"
        alpha = shard.partition(":")[2]
        found = _dirichlet(classes, workers, float(alpha), rng) if alpha else _by_label(classes, workers)
    for rank, part in enumerate(found):
        if not len(part):
            raise UsageError(
                f"--shard {shard} leaves worker {rank} of {workers} without any of {samples} samples (seed {seed}): "
                "use a larger ALPHA, another seed or fewer workers"
            )
    return found


def _by_label(classes: Numbers, workers: int) -> list[Numbers]:
    import numpy as np

    ordered = np.argsort(classes, kind="stable")
    ends = np.cumsum(np.unique(classes, return_counts=True)[1])
    if len(ends) % workers:
        return np.array_split(ordered, workers)
    each = len(ends) // workers
    return np.split(ordered, ends[each - 1 : -1 : each])


def _dirichlet(classes: Numbers, workers: int, alpha: float, rng: Generator) -> list[Numbers]:
    import numpy as np

    found: list[list[Numbers]] = [[] for _ in range(workers)]
    for number in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == number))
        shares = rng.dirichlet(np.full(workers, alpha))
        cuts = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(np.int64)
        for own, part in zip(found, np.split(members, cuts), strict=True):
            own.append(part)
    return [np.concatenate(own) for own in found]
