"""Launches, copies and waits of a step, and its host time, at 161 tensors, with and without a graph."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile, supported_activities

from bench.field import MOMENTUM
from bench.gpu import gaps
from bench.gpu.model import Model, scaled
from bench.gpu.scene import Scene
from hogwild.buffers import SHARED, SNAPSHOT, WORKER
from hogwild.drivers.processes.graph import GraphedGradient
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Gap, Guard, HeavyBall
from hogwild.shared.world import World
from hogwild.tasks import Data, TensorSplit, build_model

N = 1 << 20
BATCH = 128
STEPS, ROUNDS, DRY_STEPS = 20, 9, 2
BUFFERS = {"x": SHARED, "s": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cuStreamSynchronize")
LAUNCHES = (
    "cudaLaunchKernel",
    "cudaLaunchKernelExC",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cudaLaunchCooperativeKernel",
    "cudaGraphLaunch",
)


def run(scene: Scene) -> None:
    model = Model(scaled(N if not scene.is_dry else 4099), scene.device)
    gap, momentum = Gap(), HeavyBall(MOMENTUM)
    pushes = {name: push for name, (_, push) in gaps.forms(model).items() if name.startswith("global")}
    steps: dict[str, Callable[[], object]] = {
        "push, gap, guard element": model.push(Guard.ELEMENT, gap, momentum),
        "push, gap, guard push": model.push(Guard.PUSH, gap, momentum),
        **{f"push, gap {name}": gaps.enqueued(model, push) for name, push in pushes.items()},
        "a worker's push, finished at the next": worker_push(model, defers=True),
        "a worker's push, finished at once": worker_push(model, defers=False),
        "torch SGD, fused": model.sgd(fused=True),
        "torch SGD, foreach": model.sgd(foreach=True),
        "foreach chain": model.foreach_gap(),
    }
    if scene.on_gpu:
        for words, rule in {"gap": gap, "gap global": Gap(level="global")}.items():
            steps[f"push, {words}, guard push, replayed"] = model.replayed_push(Guard.PUSH, rule, momentum)
    measure(scene, steps, n=model.n, tensors=len(model.sizes))
    measure(scene, gradients(scene))


def measure(scene: Scene, steps: Mapping[str, Callable[[], object]], **facts: int) -> None:
    for name, step in steps.items():
        step()
        step()
        scene.record("calls", name, **facts, host_s=host_seconds(scene, step))
    for name, step in steps.items():
        scene.record("launches", name, **facts, **count(scene, step))


class Net(nn.Module):
    """A model with parameters of given sizes that computes nothing."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(n)) for n in sizes)


def worker_push(model: Model, defers: bool) -> Callable[[], object]:
    """All of a worker's work on a gradient: counters in the control block, push, snapshot."""
    net = Net(model.sizes)
    world = World.create(net, BUFFERS, 1, device=model.x.device)
    view = WorkerView(world, 0, BUFFERS, guard=Guard.PUSH)
    view.lr, view.updates.defers = 1e-4, defers
    view.pull()
    return lambda: view.push(model.grads, penalty=Gap(), momentum=HeavyBall(MOMENTUM))


def gradients(scene: Scene) -> dict[str, Callable[[], object]]:
    """Forward and backward pass of resnet20, eager and, on a GPU, out of a graph."""
    size, pixels = (4, 8) if scene.is_dry else (BATCH, 32)
    inputs = torch.randn(size, 3, pixels, pixels, device=scene.device)
    targets = torch.randint(10, (size,), device=scene.device)
    split = TensorSplit(inputs, targets)
    module = build_model("resnet20", Data("images", split, split, (3, pixels, pixels), 10, "image")).to(scene.device)
    parameters = list(module.parameters())

    def evaluate(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        loss = functional.cross_entropy(module(inputs), targets)
        return loss.detach(), torch.autograd.grad(loss, parameters)

    steps: dict[str, Callable[[], object]] = {"gradient of resnet20, eager": lambda: evaluate(inputs, targets)}
    if scene.on_gpu:
        graph = GraphedGradient(evaluate, module, lambda: 0)
        graph.prepare(inputs, targets)
        steps["gradient of resnet20, replayed"] = lambda: graph(inputs, targets)
    return steps


def host_seconds(scene: Scene, step: Callable[[], object]) -> list[float]:
    """Host time of one step, from a series of steps without waiting for the device."""
    steps = DRY_STEPS if scene.is_dry else STEPS
    times = []
    for _ in range(2 if scene.is_dry else ROUNDS):
        scene.synchronize()
        began = time.perf_counter()
        for _ in range(steps):
            step()
        times.append((time.perf_counter() - began) / steps)
    scene.synchronize()
    return times


def count(scene: Scene, step: Callable[[], object]) -> dict[str, float]:
    """Per step: kernels, copies and fills on the device; launches and waits of all kinds on the host."""
    steps = DRY_STEPS if scene.is_dry else STEPS
    activities = {ProfilerActivity.CPU, ProfilerActivity.CUDA} & supported_activities()
    scene.synchronize()
    with profile(activities=activities, acc_events=True) as profiler:
        for _ in range(steps):
            step()
        scene.synchronize()  # one wait that does not belong to the steps
    names: Counter[str] = Counter()
    device: Counter[str] = Counter()
    device_us = []
    for event in profiler.events() or []:
        if "CUDA" in str(event.device_type):
            kind = "copies" if "Memcpy" in event.name else "fills" if "Memset" in event.name else "kernels"
            device[kind] += 1
            device_us.append(event.time_range.elapsed_us())
        else:
            names[event.name] += 1
    return {
        "kernels": device["kernels"] / steps,
        "copies": device["copies"] / steps,
        "fills": device["fills"] / steps,
        "launch_calls": sum(names[name] for name in LAUNCHES) / steps,
        "waits": max(0, sum(names[name] for name in WAITS) - 1) / steps,
        "device_s": sum(device_us) / 1e6 / steps,
        "longest_kernel_s": max(device_us, default=0.0) / 1e6,
        "median_event_s": statistics.median(device_us) / 1e6 if device_us else 0.0,
    }
