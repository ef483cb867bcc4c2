"""The algorithms, by the names that the command line, the library and the tests use."""

from __future__ import annotations

from hogwild.algorithms.asgd import ASGD
from hogwild.algorithms.base import Algorithm
from hogwild.algorithms.clipped import Clipped
from hogwild.algorithms.dana_ga import DANAGA
from hogwild.algorithms.dana_sa import DANASA
from hogwild.algorithms.dana_slim import DANASlim
from hogwild.algorithms.dana_zero import DANAZero
from hogwild.algorithms.dc_asgd import DCASGD
from hogwild.algorithms.delay_adaptive import DelayAdaptive
from hogwild.algorithms.gap_aware import GapAware
from hogwild.algorithms.k_async import KAsync
from hogwild.algorithms.k_batch_async import KBatchAsync
from hogwild.algorithms.k_batch_sync import KBatchSync
from hogwild.algorithms.k_sync import KSync
from hogwild.algorithms.nag_asgd import NAGASGD
from hogwild.algorithms.ormo import OrderedMomentum
from hogwild.algorithms.ringmaster import Ringmaster
from hogwild.algorithms.sgd import SGD
from hogwild.algorithms.shifted import ShiftedMomentum
from hogwild.algorithms.smega2 import SMEGA2
from hogwild.algorithms.softsync import Softsync
from hogwild.algorithms.ssgd import SSGD
from hogwild.algorithms.staleness_aware import StalenessAware

REGISTRY: dict[str, type[Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        SGD,
        SSGD,
        ASGD,
        NAGASGD,
        ShiftedMomentum,
        StalenessAware,
        GapAware,
        DANAZero,
        DANASlim,
        DANAGA,
        DANASA,
        DCASGD,
        SMEGA2,
        OrderedMomentum,
        DelayAdaptive,
        Ringmaster,
        Clipped,
        Softsync,
        KSync,
        KBatchSync,
        KAsync,
        KBatchAsync,
    )
}

__all__ = ["REGISTRY", "Algorithm"]
