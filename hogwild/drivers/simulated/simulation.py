"""A simulation: workers under a virtual clock that draws the times of their gradients, or their delays.

A min-heap orders the workers by the virtual time at which their gradient is due. The next one applies its update, which
takes no virtual time, and starts its next gradient. Workers that waited for that update resume, and workers whose
gradient it cancels restart, at the same virtual time. Runs are repeatable bit for bit.

With in-place reads, and for models with tables, a gradient is computed at its request. Averages of Full Normalization
that all workers share are read and updated when the gradient is computed. A gradient that takes longer than
Gradient.within is never computed: its worker receives None when that time has passed. Nor is one whose batch another
worker has completed meanwhile (--takeover).
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from hogwild.algorithms.base import Barrier, Gradient, Update
from hogwild.buffers import has_replicas
from hogwild.drivers.instruments.left_out import refuse
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.job.takeover import takes_over
from hogwild.drivers.simulated.clocks import DelayClock, TimedClock
from hogwild.drivers.simulated.layer_times import LayerTimes
from hogwild.drivers.simulated.run import SimulatedRun
from hogwild.drivers.simulated.workers import Push, Request, SimulatedWorker
from hogwild.errors import UsageError
from hogwild.kernels.control import Phase
from hogwild.shared.control import NO_TICKET
from hogwild.shared.world import World


class Simulation(SimulatedRun):
    """Simulated workers under a clock of durations or of delays."""

    def __init__(
        self, job: Job, world: World, module: nn.Module, clock: TimedClock | DelayClock,
        on_bad: Callable[[Sequence[BadSample], int, int], object] = refuse,
    ) -> None:  # fmt: skip
        super().__init__(job, world, module, on_bad)
        self.clock = clock
        config = job.config
        self._takes_over = isinstance(clock, TimedClock) and takes_over(job)
        self._inplace = config.read == "inplace" or bool(world.tables)
        self._due: list[tuple[float, int, int]] = []
        self._requests = 0
        self._layers = LayerTimes(world.layout) if config.layer_pushes else None
        self._opens: dict[int, float] = {}  # barrier -> when the last worker so far has come
        self._history: deque[Tensor] = deque(maxlen=clock.largest + 1 if isinstance(clock, DelayClock) else 1)
        self._remembered = 0  # versions
        waits = job.algorithm.barriers_per_round or job.algorithm.follows_updates
        if isinstance(clock, DelayClock) and (waits or self._inplace):
            reason = ", and this model has tables, which are read in place" if world.tables else ""
            raise UsageError(f"a clock that draws delays is for asynchronous algorithms with --read snapshot{reason}")
        if isinstance(clock, DelayClock) and has_replicas(job.algorithm.keeps()):
            raise UsageError(
                f"a clock that draws delays is for snapshots of one master, and algorithm {config.algorithm} trains "
                "each worker's own replica: use --clock gamma, round-robin or random"
            )
        for rank in range(world.workers):
            self.rounds.join(rank, job.algorithm.barriers_per_round, 0.0)
        for rank, worker in enumerate(self.workers):
            self._serve(rank, next(worker.steps))
        self._remember()

    def advance(self) -> Push | None:
        rank = self._next_rank()
        if rank is None:
            return None
        if self._takes_over:
            self.rounds.join(rank, 0, 0.0)  # again, now that the ticket that it has taken over counts
        push, request = self._answer(rank, given_up=self.workers[rank].gives_up)
        if request is None:
            self._take(rank)
        else:
            self._remember()
            self._serve(rank, request)
        self._follow_update()
        return push

    # ---- the next worker -------------------------------------------------------------------------------------------

    def next_time(self) -> float | None:
        """When the next gradient is due, under a clock of durations. None if none is being computed."""
        while self._due and self._due[0][1] != self.workers[self._due[0][2]].request:
            heapq.heappop(self._due)  # cancelled
        return self._due[0][0] if self._due else None

    def hold_until(self, time: float) -> None:
        """Gradients that are due before that time are due then: their workers have waited to push them."""
        if self._due and self._due[0][0] < time:
            self._due = [(max(due, time), number, rank) for due, number, rank in self._due]
            heapq.heapify(self._due)

    def _next_rank(self) -> int | None:
        if isinstance(self.clock, TimedClock):
            while self._due:
                now, number, rank = heapq.heappop(self._due)
                worker = self.workers[rank]
                if number != worker.request or self._is_over(rank):
                    continue
                self.now = now
                if worker.ticket == NO_TICKET or self.tickets.overtaken(rank):
                    self._retake(rank)
                    continue
                if self._layers is None or not worker.early_left:
                    return rank
                self._push_early(rank, self._layers.groups[-worker.early_left])
            return None
        rank = self.computed % len(self.workers)
        if self.workers[rank].ticket == NO_TICKET:
            return None
        self.now += 1.0 / len(self.workers)
        self._go_back(rank)
        return rank

    def _go_back(self, rank: int) -> None:
        """Puts the model of `delay` versions ago into the worker's snapshot: its gradient then has exactly the delay
        that was drawn.
        """
        assert isinstance(self.clock, DelayClock)
        delay = min(self.clock.delay(), len(self._history) - 1)
        self.workers[rank].view.snapshot.copy_(self._history[-1 - delay])
        self.versions.set_pulled(rank, self.versions.version - delay)

    def _remember(self) -> None:
        if isinstance(self.clock, DelayClock) and self.versions.version >= self._remembered:
            self._remembered += 1
            self._history.append(self.workers[0].view.x.clone())

    # ---- requests -------------------------------------------------------------------------------------------------

    def _serve(self, rank: int, request: Request) -> None:
        worker = self.workers[rank]
        if isinstance(request, Barrier):
            if request.arrives:
                worker.ready = self._after_traffic(worker, self.now)
                self._phase(rank, Phase.BARRIER, worker.ready)
                generation = self.rounds.arrive(rank)
                self._opens[generation] = max(self._opens.get(generation, 0.0), worker.ready)
            worker.at_barrier, worker.splits = request.waits, not request.arrives
            self._release()
            if not request.waits:
                self._serve(rank, worker.steps.send(None))
            return
        if isinstance(request, Update):
            worker.at_update = True
            self._phase(rank, Phase.BARRIER)
            return
        self._ask(rank, request)
        self._take(rank)

    def _take(self, rank: int) -> None:
        """The worker's next ticket for the gradient that it has asked for, if there is one."""
        worker = self.workers[rank]
        worker.ticket = self.tickets.take(rank, False, self._ns())
        if worker.ticket == NO_TICKET:
            worker.ready = max(worker.ready, self._after_traffic(worker, self.now))
            self._phase(rank, Phase.DONE, worker.ready)
            self.rounds.leave(rank)
            self._release()
            if not self._takes_over:
                return
            worker.ticket = self.tickets.take(rank, True, self._ns())
        if worker.ticket == NO_TICKET:
            if (at := self.tickets.takes_over_at(rank)) is not None:
                self._requests += 1
                worker.request = self._requests
                then = (at + at // 2**50 + 1) * 1e-9  # rounded up, so that the ticket can be taken over then
                heapq.heappush(self._due, (max(self.now, then), self._requests, rank))
            return
        self._begin(rank)

    def _is_over(self, rank: int) -> bool:
        """Whether what the worker is at comes too late, for no ticket is outstanding. The time stays that of the last
        update.
        """
        if not self._takes_over or self.tickets.outstanding():
            return False
        self._phase(rank, Phase.DONE)
        return True

    def _retake(self, rank: int) -> None:
        """Looks for a ticket again: the worker had none, or another worker has been first with its own."""
        worker = self.workers[rank]
        if worker.ticket != NO_TICKET:
            self.tickets.claim(rank)
            worker.answer = None
            worker.view.updates.tables.drop()
        self._take(rank)

    def _ask(self, rank: int, request: Gradient) -> None:
        if request.within is not None and not isinstance(self.clock, TimedClock):
            raise UsageError(
                f"--clock {self.job.config.clock} draws no durations, and algorithm {self.job.config.algorithm} gives "
                "up gradients after a time: use --clock gamma, round-robin or random"
            )
        super()._ask(rank, request)

    def _begin(self, rank: int) -> None:
        """Starts the worker's gradient of its ticket."""
        worker = self.workers[rank]
        begins = self.now
        if isinstance(self.clock, TimedClock):
            self._requests += 1
            worker.request = self._requests
            duration = self.clock.duration(rank)
            worker.gives_up = worker.within is not None and duration > worker.within
            takes = worker.within if worker.within is not None and worker.gives_up else duration
            self._phase(rank, Phase.UPDATE, worker.pulled)
            begins = self._after_traffic(worker, max(self.now, worker.ready))
            heapq.heappush(self._due, (begins + takes, self._requests, rank))
            shares = [] if self._layers is None or worker.within is not None else self._layers.shares
            worker.early_left = len(shares)
            for share in shares:
                heapq.heappush(self._due, (begins + share * takes, self._requests, rank))
        self._phase(rank, Phase.GRADIENT, begins)
        if self._inplace and not worker.gives_up:
            self._compute_now(rank)

    def _compute_now(self, rank: int) -> None:
        """The worker's answer, before it is due."""
        worker = self.workers[rank]
        worker.answer = self._gradient(rank)
        own = [(name, b) for name, b in self.module.named_buffers() if not self.world.is_shared(name)]
        worker.buffers = {name: buffer.clone() for name, buffer in own}

    def _push_early(self, rank: int, places: Sequence[int]) -> None:
        """Pushes the gradients of these parameters; the algorithm then pushes the others."""
        worker = self.workers[rank]
        worker.early_left -= 1
        if not worker.view.layers.knows_rule:
            return
        worker.view.lr = self.job.schedule.lr(self.tickets.number(worker.ticket))
        if worker.answer is None:
            self._compute_now(rank)
        assert worker.answer is not None
        loss, g = worker.answer
        if g is not None and worker.view.layers.push(
            {place: part for place in places if (part := g[place]) is not None}
        ):
            worker.answer = loss, [None if place in places else part for place, part in enumerate(g)]

    def _follow_update(self) -> None:
        """Resumes the workers that waited for an update just made, and restarts the gradients that it cancels."""
        for rank, worker in enumerate(self.workers):
            if worker.at_update and not self.versions.awaits_update(rank):
                worker.at_update = False
                self._serve(rank, worker.steps.send(None))
            elif worker.cancels and worker.request and self.versions.pulled_version(rank) < self.versions.version:
                worker.view.drop()
                worker.steps = self.job.algorithm.worker(worker.view)
                request = next(worker.steps)
                assert isinstance(request, Gradient), "an algorithm first requests a gradient"
                self._ask(rank, request)
                self._begin(rank)

    def _release(self) -> None:
        """Resumes the workers at a barrier, in the order of their ranks, once all that have a ticket have come."""
        left = [self.rounds.arrived(rank) for rank, worker in enumerate(self.workers) if worker.ticket != NO_TICKET]
        resumed = []
        for rank, worker in enumerate(self.workers):
            generation = self.rounds.arrived(rank)
            if worker.at_barrier and generation <= min(left, default=generation):
                opens = self._opens.get(generation, 0.0)
                worker.at_barrier, worker.arrived = False, opens if worker.splits else None
                worker.ready = max(self.now, opens) if worker.splits else opens
                worker.view.rounds.generation = generation
                resumed.append(worker)
        requests = [(worker.view.rank, worker.steps.send(None)) for worker in resumed]
        for rank, request in requests:
            self._serve(rank, request)

    def _after_traffic(self, worker: SimulatedWorker, since: float) -> float:
        """The time at which the worker's messages since its last request have arrived: a latency for each message, plus
        bytes / bandwidth.
        """
        config, traffic = self.job.config, worker.view.buffers.traffic.take()
        self.messages += traffic.messages
        self.moved_bytes += traffic.moved_bytes
        takes = config.latency * traffic.messages + traffic.moved_bytes / (config.bandwidth or math.inf)
        arrived, worker.arrived = worker.arrived, None
        return since + takes if arrived is None else max(since, arrived + takes)
