"""A simulated worker, and what it does in one step."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from hogwild.algorithms.base import Barrier, Gradient, Gradients, Steps, Update
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.shared.control import NO_TICKET

Request = Gradient | Barrier | Update


@dataclass
class SimulatedWorker:
    """One simulated worker: its generator of the algorithm, and the batch that it computes."""

    view: WorkerView
    steps: Steps
    at: Tensor | None = None  # where its next gradient is taken [n]
    parameters: list[Tensor] = field(default_factory=list)  # as views of it
    pulled: float = 0.0  # when it read the parameters for its gradient
    ready: float = 0.0  # when all that it has sent and read has arrived
    ticket: int = NO_TICKET
    completed: int = 0  # tickets; not the control's count, because a replay assigns them itself
    samples: int = 0  # of its batch
    answer: tuple[float, Gradients | None] | None = None  # computed at the request, if what it depends on may change
    buffers: dict[str, Tensor] = field(default_factory=dict)  # the model's own after that, those of this worker alone
    at_barrier: bool = False
    splits: bool = False  # it has arrived there earlier
    arrived: float | None = None  # time since when what it now reads has travelled, after a split barrier
    at_update: bool = False
    cancels: bool = False  # a new version cancels its gradient
    within: float | None = None  # virtual time after which it gives its gradient up
    early_left: int = 0  # groups of parameters whose gradients are still to come before the last ones
    gives_up: bool = False  # the gradient takes longer than that
    request: int = 0  # number of the request that is in the heap


@dataclass(frozen=True)
class Push:
    """One completed request for a gradient at `time`. `pulled`: when its parameters had been read. `loss`: of the
    batch, at the snapshot; NaN if it was given up, or if nothing of the batch could be read: then there was no push.
    """

    time: float
    pulled: float
    rank: int
    ticket: int
    loss: float
    given_up: bool = False
