"""The algorithms, by the names that the command line, the library and the tests use."""

from __future__ import annotations

from hogwild.algorithms.base import Algorithm
from hogwild.algorithms.decentralized.acid import ACiD
from hogwild.algorithms.decentralized.ad_psgd import ADPSGD
from hogwild.algorithms.decentralized.d2 import D2
from hogwild.algorithms.decentralized.d_psgd import DPSGD
from hogwild.algorithms.decentralized.gradient_tracking import GradientTracking
from hogwild.algorithms.decentralized.noloco import NoLoCo
from hogwild.algorithms.decentralized.qg_dsgdm import QuasiGlobalMomentum
from hogwild.algorithms.decentralized.relaysgd import RelaySGD
from hogwild.algorithms.decentralized.sgp import StochasticGradientPush
from hogwild.algorithms.elastic.admm import ADMM
from hogwild.algorithms.elastic.area import AREA
from hogwild.algorithms.elastic.async_diloco import AsyncDiLoCo
from hogwild.algorithms.elastic.averaged_downpour import AveragedDownpour, MovingAverageDownpour
from hogwild.algorithms.elastic.downpour import Downpour
from hogwild.algorithms.elastic.eamsgd import EAMSGD
from hogwild.algorithms.elastic.easgd import EASGD
from hogwild.algorithms.elastic.easgd_sync import SynchronousEASGD
from hogwild.algorithms.elastic.easgd_tree import EASGDTree
from hogwild.algorithms.elastic.fedbuff import FedBuff
from hogwild.algorithms.elastic.local_sgd import LocalSGD
from hogwild.algorithms.elastic.lookahead import Lookahead
from hogwild.algorithms.elastic.mdownpour import MomentumDownpour
from hogwild.algorithms.elastic.overlap_sgd import OverlapSGD
from hogwild.algorithms.elastic.slowmo import DiLoCo, SlowMo
from hogwild.algorithms.elastic.sparta import SPARTA
from hogwild.algorithms.elastic.streaming_diloco import StreamingDiLoCo
from hogwild.algorithms.gathered.asysg_con import AsySGConsistent
from hogwild.algorithms.gathered.k_async import KAsync
from hogwild.algorithms.gathered.k_batch_async import KBatchAsync
from hogwild.algorithms.gathered.k_batch_sync import KBatchSync
from hogwild.algorithms.gathered.k_sync import KSync
from hogwild.algorithms.gathered.malenia import Malenia
from hogwild.algorithms.gathered.softsync import Softsync
from hogwild.algorithms.sgd import SGD
from hogwild.algorithms.ssgd import SSGD
from hogwild.algorithms.stale.adagrad import Adagrad
from hogwild.algorithms.stale.adamw import AdamW
from hogwild.algorithms.stale.asgd import ASGD
from hogwild.algorithms.stale.asysg_incon import AsySGInconsistent
from hogwild.algorithms.stale.clipped import Clipped
from hogwild.algorithms.stale.dana_ga import DANAGA
from hogwild.algorithms.stale.dana_sa import DANASA
from hogwild.algorithms.stale.dana_slim import DANASlim
from hogwild.algorithms.stale.dana_zero import DANAZero
from hogwild.algorithms.stale.dc_asgd import DCASGD
from hogwild.algorithms.stale.delay_adaptive import DelayAdaptive
from hogwild.algorithms.stale.gap_aware import GapAware
from hogwild.algorithms.stale.gpa import GPA
from hogwild.algorithms.stale.ia2sgd import IA2SGD
from hogwild.algorithms.stale.lion import Lion
from hogwild.algorithms.stale.nag_asgd import NAGASGD
from hogwild.algorithms.stale.ormo import OrderedMomentum
from hogwild.algorithms.stale.picky import Picky
from hogwild.algorithms.stale.rescaled import Rescaled
from hogwild.algorithms.stale.ringleader import Ringleader
from hogwild.algorithms.stale.ringmaster import Ringmaster
from hogwild.algorithms.stale.ringmaster_muon import RingmasterMuon
from hogwild.algorithms.stale.rmsprop import RMSprop
from hogwild.algorithms.stale.shifted import ShiftedMomentum
from hogwild.algorithms.stale.smega2 import SMEGA2
from hogwild.algorithms.stale.staleness_aware import StalenessAware

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
        RingmasterMuon,
        Picky,
        Clipped,
        Rescaled,
        IA2SGD,
        Ringleader,
        GPA,
        AdamW,
        RMSprop,
        Adagrad,
        Lion,
        EASGD,
        SynchronousEASGD,
        EAMSGD,
        EASGDTree,
        Downpour,
        MomentumDownpour,
        AveragedDownpour,
        MovingAverageDownpour,
        ADMM,
        Lookahead,
        LocalSGD,
        DiLoCo,
        SlowMo,
        StreamingDiLoCo,
        OverlapSGD,
        SPARTA,
        AsyncDiLoCo,
        FedBuff,
        AREA,
        DPSGD,
        ADPSGD,
        ACiD,
        D2,
        StochasticGradientPush,
        QuasiGlobalMomentum,
        GradientTracking,
        RelaySGD,
        NoLoCo,
        AsySGConsistent,
        AsySGInconsistent,
        Softsync,
        KSync,
        KBatchSync,
        KAsync,
        KBatchAsync,
        Malenia,
    )
}

__all__ = ["REGISTRY", "Algorithm"]
