"""The simulator: the same algorithm texts, views and kernels in one process, under a virtual clock.

Asynchrony is an input here. A min-heap orders the workers by the virtual time at which their gradient is due. The next
one gets its gradient, applies its update at once (updates take no virtual time), and asks for its next gradient.
Workers blocked on that update go on, and workers with a gradient that it cancels begin again, at the same virtual time.
Runs are repeatable bit for bit.

A gradient is determined when it is asked for. With private snapshots nothing that it depends on can change until it is
due, so it is computed only then, and no gradient waits in memory; with in-place reads it is computed when asked for.
Averages of Full Normalization that all workers share are read and moved when the gradient is computed.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Barrier, Gradient, Gradients, Steps, Update
from hogwild.buffers import has_replicas
from hogwild.drivers.job.forward import Forward
from hogwild.drivers.job.job import Job
from hogwild.drivers.simulated.clocks import Clock, DelayClock, TimedClock, TraceClock
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.errors import UsageError
from hogwild.rules import Access, Guard
from hogwild.shared.control import NO_TICKET, Ledger, Rounds, Tickets, Versions
from hogwild.shared.devices import to_device
from hogwild.shared.layout import trainable
from hogwild.shared.world import World


@dataclass
class SimulatedWorker:
    """One worker of the simulation: its column of the algorithm, and the batch it is computing."""

    view: WorkerView
    steps: Steps
    parameters: list[Tensor] = field(default_factory=list)  # where its next gradient is taken, as views
    ready: float = 0.0  # when what it has sent and read has arrived
    ticket: int = NO_TICKET
    completed: int = 0  # tickets; the control's count ends with the tickets, and a trace may assign them unequally
    samples: int = 0  # of its batch
    answer: tuple[float, Gradients] | None = None  # computed at the request, if what it depends on may change
    at_barrier: bool = False
    at_update: bool = False
    cancels: bool = False  # a new version cancels the gradient it computes
    request: int = 0  # number of the pending request


@dataclass(frozen=True)
class Push:
    """What the simulation says of one answered gradient."""

    time: float
    rank: int
    ticket: int
    loss: float


class Simulation:
    """Simulated workers on one world. `advance` answers one gradient; `now` is the virtual time."""

    def __init__(self, job: Job, world: World, module: nn.Module, clock: Clock) -> None:
        config = job.config
        self.job, self.world, self.module, self.clock = job, world, module, clock
        self.tickets: Tickets = world.control
        self.versions: Versions = world.control
        self.rounds: Rounds = world.control
        self.ledger: Ledger = world.control
        self.now = 0.0
        self.computed = 0  # gradients
        self.messages = self.moved_bytes = 0  # between the workers and what they share
        self.forward = Forward(module, config, world.arena.device)
        self._parameters = trainable(module)
        self._has_buffers = any(True for _ in module.buffers())
        self._inplace = config.read == "inplace"
        self._due: list[tuple[float, int, int]] = []
        self._requests = 0
        self._history: deque[Tensor] = deque(maxlen=clock.largest + 1 if isinstance(clock, DelayClock) else 1)
        self._remembered = 0  # versions
        self._trace = iter(clock.pushes) if isinstance(clock, TraceClock) else iter(())
        waits = job.algorithm.barriers_per_round or job.algorithm.follows_updates
        if isinstance(clock, DelayClock) and (waits or self._inplace):
            raise UsageError("a clock that draws delays is for asynchronous algorithms with --read snapshot")
        if isinstance(clock, DelayClock) and has_replicas(job.algorithm.keeps()):
            raise UsageError(
                f"a clock that draws delays is for snapshots of one master, and algorithm {config.algorithm} trains "
                "each worker's own replica: use --clock gamma, round-robin or random"
            )
        if isinstance(clock, TraceClock) and waits:
            raise UsageError("a recorded schedule replays asynchronous algorithms only")
        module.train()
        self.workers = []
        for rank in range(world.workers):
            view = WorkerView(
                world,
                rank,
                job.algorithm.keeps(),
                access=Access(config.access),
                guard=Guard(config.guard),
                inplace=self._inplace,
                weight_decay=config.weight_decay,
                clip=config.clip,
                barriers_per_round=job.algorithm.barriers_per_round,
                seed=config.seed,
            )
            self.rounds.join(rank, job.algorithm.barriers_per_round, 0.0)
            self.workers.append(SimulatedWorker(view, job.algorithm.worker(view)))
        for rank, worker in enumerate(self.workers):
            self._serve(rank, next(worker.steps))
        self._remember()

    def advance(self) -> Push | None:
        """Answers the gradient that is due next. None when no ticket is left."""
        rank = self._next_rank()
        if rank is None:
            return None
        worker = self.workers[rank]
        ticket = worker.ticket
        loss, g = worker.answer or self._gradient(rank)
        worker.answer = None
        self.computed += 1
        worker.completed += 1
        worker.view.lr = self.job.schedule.lr(ticket)
        request = worker.steps.send(g)
        if self._has_buffers:
            self.world.publish(self.module, rank)
        self.ledger.record_loss(rank, loss, worker.samples)
        self._remember()
        self._serve(rank, request)
        self._follow_update()
        return Push(self.now, rank, ticket, loss)

    # ---- the next worker -------------------------------------------------------------------------------------------

    def _next_rank(self) -> int | None:
        if isinstance(self.clock, TimedClock):
            while self._due:
                now, number, rank = heapq.heappop(self._due)
                if number == self.workers[rank].request:
                    self.now = now
                    return rank
            return None
        if isinstance(self.clock, TraceClock):
            push = next(self._trace, None)
            if push is None:
                return None
            rank, self.workers[push[0]].ticket = push
            self.now += 1.0 / len(self.workers)
            return rank
        rank = self.computed % len(self.workers)
        if self.workers[rank].ticket == NO_TICKET:
            return None
        self.now += 1.0 / len(self.workers)
        self._go_back(rank)
        return rank

    def _go_back(self, rank: int) -> None:
        """Puts the model of `delay` versions ago into the worker's snapshot: the delay is exactly the one drawn."""
        assert isinstance(self.clock, DelayClock)
        delay = min(self.clock.delay(), len(self._history) - 1)
        self.workers[rank].view.snapshot.copy_(self._history[-1 - delay])
        self.versions.set_pulled(rank, self.versions.version - delay)

    def _remember(self) -> None:
        if isinstance(self.clock, DelayClock) and self.versions.version >= self._remembered:
            self._remembered += 1
            self._history.append(self.workers[0].view.x.clone())

    # ---- requests -------------------------------------------------------------------------------------------------

    def _serve(self, rank: int, request: Gradient | Barrier | Update) -> None:
        worker = self.workers[rank]
        if isinstance(request, Barrier):
            worker.at_barrier = True
            worker.ready = self._after_traffic(worker, self.now)
            self.rounds.arrive(rank)
            self._release()
            return
        if isinstance(request, Update):
            worker.at_update = True
            return
        worker.cancels, worker.request = request.cancel, 0
        worker.parameters = self.world.layout.views(request.at)
        self.tickets.complete(rank)
        worker.ticket = self.tickets.take(rank)
        if worker.ticket == NO_TICKET:
            self._after_traffic(worker, self.now)
            self.rounds.leave(rank)
            self._release()
            return
        self._begin(rank)

    def _begin(self, rank: int) -> None:
        """The worker sets to work on its ticket."""
        worker = self.workers[rank]
        if isinstance(self.clock, TimedClock):
            self._requests += 1
            worker.request = self._requests
            due = self._after_traffic(worker, max(self.now, worker.ready)) + self.clock.duration(rank)
            heapq.heappush(self._due, (due, self._requests, rank))
        if self._inplace:
            worker.answer = self._gradient(rank)

    def _follow_update(self) -> None:
        """Workers that waited for an update that is there go on; those with a cancelled gradient begin again."""
        for rank, worker in enumerate(self.workers):
            if worker.at_update and not self.versions.awaits_update(rank):
                worker.at_update = False
                self._serve(rank, worker.steps.send(None))
            elif worker.cancels and worker.request and self.versions.pulled_version(rank) < self.versions.version:
                worker.view.drop()
                worker.steps = self.job.algorithm.worker(worker.view)
                request = next(worker.steps)
                assert isinstance(request, Gradient), "an algorithm begins with a gradient"
                worker.parameters = self.world.layout.views(request.at)
                self._begin(rank)

    def _release(self) -> None:
        """Lets the workers at a barrier go on, in the order of their ranks, once all that are left have come."""
        waiting = [worker for worker in self.workers if worker.at_barrier]
        left = [worker for worker in self.workers if worker.ticket != NO_TICKET]
        if not waiting or len(waiting) < len(left):
            return
        opens = max(worker.ready for worker in waiting)
        for worker in waiting:
            worker.at_barrier, worker.ready = False, opens
        requests = []
        for worker in waiting:
            worker.view.generation = max(self.rounds.arrived(w.view.rank) for w in waiting)
            requests.append((worker.view.rank, worker.steps.send(None)))
        for rank, request in requests:
            self._serve(rank, request)

    def _after_traffic(self, worker: SimulatedWorker, since: float) -> float:
        """When the worker's messages since its last request are through: latency each, and bytes over bandwidth."""
        config, traffic = self.job.config, worker.view.traffic.take()
        self.messages += traffic.messages
        self.moved_bytes += traffic.moved_bytes
        return since + config.latency * traffic.messages + traffic.moved_bytes / (config.bandwidth or math.inf)

    def _gradient(self, rank: int) -> tuple[float, Gradients]:
        """Loss and gradients of the worker's batch at its parameters. Randomness belongs to the batch."""
        job, worker = self.job, self.workers[rank]
        for parameter, view in zip(self._parameters, worker.parameters, strict=True):
            parameter.data = view
        if self._has_buffers:
            self.world.recall(self.module, rank)
        index = job.order.begin(worker.ticket, rank, worker.completed)
        worker.samples = len(index)
        batch = job.data.train.batch(index, train=True)
        inputs, targets = to_device(batch, self.world.arena.device, self.world.layout.dtype)
        loss = job.data.loss(self.forward(inputs), targets)
        torch.autograd.backward(loss)
        gradients = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        return float(loss.detach()), gradients
