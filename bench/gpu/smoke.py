"""Ten checks of the GPU path, each in a process of its own: what fails here has to be mended before anything is timed.

    python -m bench.gpu.smoke racing cuda     one check alone, to run it under a memory checker

The first process only imports torch; every check is a fork of it with a CUDA context of its own, so that a fault of one
does not reach the next.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from bench.gpu import access, places, tied
from bench.gpu.scene import DRY_SIZE, Scene
from bench.processes import Flat
from bench.pushers import BUFFERS
from hogwild.kernels import Push
from hogwild.rules import Access, Gap, Guard, HeavyBall
from hogwild.shared.placement import Placement
from hogwild.shared.world import World

LIMIT_S, DRY_LIMIT_S = 10.0, 60.0  # of a check; a dry run shares few cores with others
SIZES = (100_003, 1, 17, 4099)
MANY = (33,) * 600
PLACED = (1 << 21) + 3  # large enough to be split into shards of whole pages
ADDED = 50  # pushes of the IPC child
CALL = {"lr": 0.05, "lr_max": 0.1, "weight_decay": 0.01}
NAMES = ("x", "snapshot", "v", "s")
TOLERANCE = 1e-5  # where norms are summed in another order


class Side:
    """The same random buffers and gradients on any device, and a push of them."""

    def __init__(self, device: torch.device, sizes: Sequence[int], gradient: torch.dtype, **rule: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        places = [-(-size // 32) * 32 for size in sizes]
        self.segments = [(sum(places[:k]), size) for k, size in enumerate(sizes)]
        self.buffers = {name: torch.randn(sum(places), generator=generator) for name in NAMES}
        self.buffers["s"].square_()
        gap = rule.setdefault("penalty", Gap())
        if gap.rows:
            del self.buffers["s"]
            self.buffers["gap_state"] = torch.tensor([[1.0, 0.5, 1.0]], dtype=torch.float64)
        self.buffers = {name: buffer.to(device) for name, buffer in self.buffers.items()}
        self.grads: list[Tensor] = [torch.randn(n, generator=generator).to(gradient).to(device) for n in sizes]
        self.push = Push(**self.buffers, segments=self.segments, momentum=HeavyBall(0.9, dampening=0.1), **rule)


def same(
    device: torch.device, sizes: Sequence[int] = SIZES, gradient: torch.dtype = torch.float32, **rule: Any
) -> Side:
    """Two pushes leave the bits of the CPU. Returns the side on the device."""
    ours, wanted = (Side(where, sizes, gradient, **rule) for where in (device, torch.device("cpu")))
    for pushes in (3, 4):
        stats = [side.push(side.grads, pushes=pushes, **CALL) for side in (ours, wanted)]
        assert stats[0].applied, "the push was refused"
        assert abs(stats[0].step_sq - stats[1].step_sq) <= TOLERANCE * stats[1].step_sq, f"statistics differ: {stats}"
    equal(ours, wanted)
    return ours


def equal(ours: Side, wanted: Side, tolerance: float = 0.0) -> None:
    for name, buffer in wanted.buffers.items():
        found = ours.buffers[name].cpu()
        if not torch.equal(found, buffer):
            error = ((found - buffer).abs() / (1 + buffer.abs())).max().item()
            wrong = int((found != buffer).sum())
            assert error <= tolerance, f"{name}: {wrong} of {buffer.numel()} elements differ, by up to {error:.1e}"


def racing(device: torch.device) -> None:
    same(device, guard=Guard.ELEMENT)


def atomic(device: torch.device) -> None:
    same(device, guard=Guard.ELEMENT, access=Access.ATOMIC)


def guarded(device: torch.device) -> None:
    """A push with one NaN changes nothing; the next one is as if it had not been."""
    ours = same(device)
    before = {name: buffer.clone() for name, buffer in ours.buffers.items()}
    good = ours.grads[0].clone()
    ours.grads[0][-1] = float("nan")
    stats = ours.push(ours.grads, pushes=5, **CALL)
    assert not stats.applied, "a NaN was not refused"
    assert stats.nonfinite == 1, f"{stats.nonfinite} non-finite elements were counted, and there is 1"
    assert all(torch.equal(ours.buffers[name], buffer) for name, buffer in before.items()), "a refused push wrote"
    ours.grads[0].copy_(good)
    assert ours.push(ours.grads, pushes=5, **CALL).applied, "the push after a refused one was refused"


def captured(device: torch.device) -> None:
    """Two replays of a graph, with other scalars each, leave the bits of two pushes on the CPU."""
    need_gpu(device)
    ours, wanted = (Side(where, SIZES, torch.float32) for where in (device, torch.device("cpu")))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ours.push.capture(ours.grads)
    for pushes, scale in ((3, 1.0), (4, -0.5)):
        ours.push.replay(graph, pushes=pushes, scale=scale, **CALL)
        wanted.push(wanted.grads, pushes=pushes, scale=scale, **CALL)
    assert ours.push.stats().applied, "the replay was refused"
    equal(ours, wanted)


def cooperative(device: torch.device) -> None:
    need_gpu(device)
    sides = [Side(where, SIZES, torch.float32, penalty=Gap(level="global")) for where in (device, torch.device("cpu"))]
    assert sides[0].push.is_cooperative, "the push is not cooperative on this device"
    for pushes in (3, 4):
        for side in sides:
            side.push(side.grads, pushes=pushes, **CALL)
    equal(*sides, tolerance=TOLERANCE)


def many_tensors(device: torch.device) -> None:
    same(device, MANY)


def ipc_child(device: torch.device) -> None:
    """Another process adds ones to this one's memory, racing and then in memory; every one arrives."""
    with access.workers(DRY_SIZE, 1, device) as (world, lines):
        for policy in (Access.RACING, Access.ATOMIC):
            _, lost = access.turn(world, lines, policy, ADDED)
            assert lost == 0, f"{lost:.1%} of a child's additions are missing under {policy.value}"


def mapped_shards(device: torch.device) -> None:
    need_gpu(device)
    gpu = (device.index,)
    _placed("shards", Placement(gpu, gpu * places.SHARDS), device)


def pinned_host(device: torch.device) -> None:
    need_gpu(device)
    _placed("the host", Placement((device.index,), ()), device)


def bfloat16(device: torch.device) -> None:
    same(device, gradient=torch.bfloat16)


Check = Callable[[torch.device], None]
CHECKS: dict[str, Check] = {
    "racing": racing,
    "atomic": atomic,
    "guarded": guarded,
    "captured": captured,
    "cooperative": cooperative,
    "600 tensors": many_tensors,
    "IPC child": ipc_child,
    "mapped shards": mapped_shards,
    "pinned host": pinned_host,
    "bfloat16": bfloat16,
}


class NeedsGpuError(Exception):
    """The check has no form for the CPU."""


def need_gpu(device: torch.device) -> None:
    if device.type != "cuda":
        raise NeedsGpuError("needs a GPU")


def run(scene: Scene) -> None:
    """All checks; a row for each. Exits with 1 if one has failed."""
    limit_s = DRY_LIMIT_S if scene.is_dry else LIMIT_S
    verdicts = []
    for name in CHECKS:
        began = time.monotonic()
        verdict, reason = attempt(name, scene.device, limit_s)
        scene.record("smoke", name, verdict=verdict, s=time.monotonic() - began, reason=reason)
        print(f"smoke: {name:14} {verdict} {reason}", flush=True)
        verdicts.append(verdict)
    if "FAIL" in verdicts:
        sys.exit(1)


def attempt(name: str, device: torch.device, limit_s: float) -> tuple[str, str]:
    """(PASS, FAIL or left out; the reason) of one check, in a fork of this process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_body, args=(name, device, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(limit_s):
            return "FAIL", f"no answer within {limit_s:.0f} s"
        answer: tuple[str, str] = ours.recv()
        return answer
    except EOFError:
        process.join(limit_s)
        return "FAIL", f"the process ended with exit code {process.exitcode}"
    finally:
        kill_session(process.pid)
        process.join()


def kill_session(leader: int | None) -> None:
    """A check leads a session of its own, in which it may have started others."""
    try:
        if leader is not None:
            os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _body(name: str, device: torch.device, line: Connection) -> None:
    os.setsid()
    tied.to_parent()
    try:
        CHECKS[name](device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        answer = "PASS", ""
    except NeedsGpuError as error:
        answer = "left out", str(error)
    except BaseException as error:
        traceback.print_exc()
        answer = "FAIL", f"{type(error).__name__}: {str(error)[:300]}"
    line.send(answer)
    line.close()


def _placed(name: str, placement: Placement, device: torch.device) -> None:
    """A pull and pushes of a master in that place; places.on checks their results."""
    contestants = places.on(name, World.create(Flat(PLACED), BUFFERS, 1, device=placement), device)
    for contestant in contestants.values():
        contestant.call()
    torch.cuda.synchronize(device)


def main(arguments: Sequence[str]) -> None:
    name, device = arguments
    torch.set_num_threads(1)
    CHECKS[name](torch.device("cuda:0" if device == "cuda" else device))
    print(f"{name}: PASS")


if __name__ == "__main__":
    main(sys.argv[1:])
