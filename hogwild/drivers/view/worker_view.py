"""A worker's view of the run: one object with all operations of hogwild.algorithms.base.View.

The process driver and the simulator both use this class; they differ in how they fulfil the algorithm's requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property

from torch import Tensor

from hogwild.algorithms.base import View
from hogwild.buffers import Buffer
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.world import kept, reads_in_place
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.draws import Draws
from hogwild.drivers.view.exchanges import Exchanges
from hogwild.drivers.view.gathering import Gathering
from hogwild.drivers.view.layers import LayerPushes
from hogwild.drivers.view.mailbox import Mailbox
from hogwild.drivers.view.neighbours import Neighbours
from hogwild.drivers.view.outcome import CurrentUpdate, Outcome
from hogwild.drivers.view.pushes import PushCache
from hogwild.drivers.view.round_table import RoundTable
from hogwild.drivers.view.rounds import Rounds
from hogwild.drivers.view.updates import Updates
from hogwild.rules import Access, Guard
from hogwild.shared.world import World


class WorkerView:
    """See hogwild.algorithms.base.View. Each operation is a method of one of the parts that this object holds.

    For the drivers: `lr` is set before each update and `outcome` read after it; `rounds.generation` is set at each
    barrier; `updates.defers` is set for masters on a GPU: pushes are then `pending` until `finish` counts them;
    `buffers.traffic` counts the bytes moved.
    """

    def __init__(
        self,
        world: World,
        rank: int,
        declared: Mapping[str, Buffer],
        *,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        inplace: bool = False,
        weight_decay: float = 0.0,
        clip: float = 0.0,
        barriers_per_round: int = 0,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        """`inplace`: gradients are taken at the master, not at a snapshot. `seed`: of the worker's own random choices.
        `clock`: seconds since the start of the run. `schedule`: number of an update -> its learning rate.
        """
        self.world = world
        self.control = world.control
        self.rank = rank
        self.workers = world.workers
        self._clock = clock
        self._current = CurrentUpdate(schedule=schedule)
        self.buffers = Buffers(world, rank, declared, access)
        pushes = PushCache(self.buffers, guard, inplace)
        own_share = 1 / world.workers if barriers_per_round else 0.0
        self.updates = Updates(
            self.buffers, pushes, self._current, weight_decay=weight_decay, clip=clip, own_share=own_share
        )
        self.layers = LayerPushes(self.buffers, pushes, self.updates, self._current)
        self.rounds = Rounds(self.buffers, pushes, self.updates, self._current, barriers_per_round)
        gathering = Gathering(self.buffers, pushes, self.updates, self._current)
        table = RoundTable(self.buffers, pushes, self.updates, self.rounds, self._current)
        exchanges = Exchanges(self.buffers, self.updates, self.rounds, self._current)
        draws = Draws(self.buffers, self.updates, seed)
        neighbours = Neighbours(self.buffers, self.updates, self.rounds, draws)
        self.mailbox = Mailbox(self.buffers, exchanges)
        self._snapshot = "x" if inplace else "snapshot"

        self.buffer = self.buffers.__getitem__
        self.parts = self.buffers.parts
        self.pull = self.updates.pull
        self.push = self.updates.push
        self.step = self.updates.step
        self.gather = gathering.gather
        self.gather_round = table.gather_round
        self.deposit = self.rounds.deposit
        self.push_mean = self.rounds.push_mean
        self.combine = self.rounds.combine
        self.fragments = self.rounds.fragments
        self.adopt = exchanges.adopt
        self.elastic = exchanges.elastic
        self.deliver = exchanges.deliver
        self.admm = exchanges.admm
        self.exclusive = exchanges.exclusive
        self.mix = neighbours.mix
        self.step_among = neighbours.step_among
        self.peer = neighbours.peer
        self.average_with = neighbours.average_with
        self.draw = draws.draw
        self.draw_block = draws.draw_block

        self.finish = self.updates.finish  # for the drivers, as the next two
        self.gather_rest = gathering.gather_rest
        self.drop = gathering.drop

    @property
    def lr(self) -> float:
        return self._current.lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._current.lr, self._current.has_begun = lr, True

    def submit(self, name: str, step: Callable[[View], None]) -> None:  # noqa: ARG002
        with self.exclusive():
            step(self)

    @property
    def x(self) -> Tensor:
        return self.buffers["x"]

    @cached_property
    def snapshot(self) -> Tensor:
        return self.buffers[self._snapshot]

    @property
    def replica(self) -> Tensor:
        return self.buffers["replica"]

    @property
    def version(self) -> int:
        return self.updates.version

    @property
    def steps(self) -> int:
        return self.updates.steps

    @property
    def now(self) -> float:
        return self._clock()

    @property
    def round(self) -> int:
        return self.rounds.round

    @property
    def barriers(self) -> int:
        return self.rounds.generation

    @property
    def present(self) -> list[int]:
        return self.rounds.present

    @property
    def pending(self) -> bool:
        """Whether a push has been enqueued and not yet been counted."""
        return self.updates.pending

    @property
    def outcome(self) -> Outcome:
        """The result of the last gradient; while its push is pending, that of the one before."""
        return self._current.outcome


def view_of(job: Job, world: World, rank: int, clock: Callable[[], float]) -> WorkerView:
    """The view of worker `rank` in a run of `job`. `clock`: seconds since the start of the run."""
    config = job.config
    return WorkerView(
        world,
        rank,
        kept(job, world.arena.device),
        access=Access(config.access),
        guard=Guard(config.guard),
        inplace=reads_in_place(job, world.arena.device),
        weight_decay=world.groups.weight_decay(config.weight_decay),
        clip=config.clip,
        barriers_per_round=job.algorithm.barriers_per_round,
        seed=config.seed,
        clock=clock,
        schedule=job.schedule.lr,
    )
