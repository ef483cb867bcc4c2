"""A v without other writers is written plainly where x is exchanged element by element, with the same results."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from kernel_cases import Case

from hogwild import _C
from hogwild.kernels import Push
from hogwild.rules import Access, AdamW, Gap, Guard, HeavyBall, Lion, Nesterov

RULES = [
    (HeavyBall(0.9, dampening=0.1), {}),
    (HeavyBall(0.9), {"penalty": Gap()}),
    (Nesterov(0.9), {"has_snapshot": False}),
    (HeavyBall(0.9), {"has_center": True}),
    (Nesterov(0.9), {"has_center": True}),
    (AdamW(), {}),
    (Lion(), {}),
]
EXCHANGES = {  # of an element in a push under Access.ATOMIC: with a shared v, with an own one
    "HeavyBallMomentum, FreshSnapshot, NoExchange": (2, 1),
    "NesterovMomentum, NoSnapshot, NoExchange": (2, 1),
    "HeavyBallMomentum, NoSnapshot, ElasticExchange": (2, 1),  # v and the center; x beside one is the worker's own
    "NesterovMomentum, NoSnapshot, ElasticExchangeBehind": (2, 1),
    "LionMomentum, FreshSnapshot, NoExchange": (2, 1),
    "AdamMomentum<false>, FreshSnapshot, NoExchange": (3, 2),  # q is shared
    "NoMomentum, NoSnapshot, ElasticExchange": (1, 0),
}
PREFIX = "hogwild::cpu::baseline::(anonymous namespace)::push_range<hogwild::Push<hogwild::FiniteOnly, "


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("momentum", "options"), RULES)
def test_one_worker_alone_gets_the_same_bits_in_every_form(momentum, options, dtype):
    """Racing, atomic, and atomic with a v of its own; a gradient that is refused changes no v in any of them."""
    results = []
    for form in ({}, {"access": Access.ATOMIC}, {"access": Access.ATOMIC, "own_v": True}):
        case = Case(sizes=(17, 33_000), dtype=dtype, momentum=momentum, guard=Guard.ELEMENT, **options, **form)
        case.grads[1][4099] = float("nan")
        alpha = {"alpha": 0.3} if case.has_center else {}
        for pushes in (3, 4):
            case.push(case.grads, lr=0.1, pushes=pushes, lr_max=0.1, **alpha)
        results.append(case.buffers)
    for other in results[1:]:
        for name, buffer in results[0].items():
            assert torch.equal(buffer, other[name]), name


def test_an_x_that_others_write_loses_nothing():
    """m = 1 and g = 1: each worker's v counts its own pushes, and x is the sum of all steps."""
    n, workers, times = 200_003, 4, 20
    x = torch.zeros(n, dtype=torch.float64)
    velocities = [torch.zeros(n, dtype=torch.float64) for _ in range(workers)]
    ones, barrier = [torch.ones(n, dtype=torch.float64)], threading.Barrier(workers)

    def work(v: torch.Tensor) -> None:
        push = Push(x=x, v=v, segments=[(0, n)], momentum=HeavyBall(1.0), access=Access.ATOMIC, own_v=True)
        barrier.wait(30)
        for _ in range(times):
            push(ones, lr=1.0, pushes=1, lr_max=1.0)

    threads = [threading.Thread(target=work, args=(v,)) for v in velocities]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(bool((v == times).all()) for v in velocities)
    assert bool((x == -workers * times * (times + 1) / 2).all())


@pytest.fixture(scope="module")
def exchanges() -> Counter[str]:
    """Compare-and-exchange instructions in the CPU's loop of every push, by the names of its stages."""
    if platform.machine() not in ("x86_64", "AMD64") or shutil.which("objdump") is None or shutil.which("nm") is None:
        pytest.skip("reads the machine code of an x86-64 with objdump and nm")
    module = Path(_C.__file__)
    lines = subprocess.run(["nm", "-C", module], capture_output=True, text=True, check=True).stdout.splitlines()
    places = sorted((int(line.split()[0], 16), line.split(" ", 2)[2]) for line in lines if PREFIX in line)
    if not places:
        pytest.skip("the compiled module has been stripped of its symbols")
    ends = [f"--start-address={places[0][0]}", f"--stop-address={places[-1][0] + (1 << 16)}"]
    code = subprocess.run(["objdump", "-d", "-C", *ends, module], capture_output=True, text=True, check=True).stdout
    found: Counter[str] = Counter()
    name = ""
    for line in code.splitlines():
        if title := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            name = title[1].replace("void ", "").removeprefix(PREFIX).split("(hogwild")[0].replace("hogwild::", "")
            name = name.partition("(Buffers")[0]
            found[name] += 0
        found[name] += "cmpxchg" in line
    return found


@pytest.mark.parametrize("stages", EXCHANGES)
def test_what_is_exchanged_element_by_element(exchanges, stages):
    momentum, rest = stages.split(", ", 1)
    own = f"WithOwnV<{momentum}{' ' if momentum.endswith('>') else ''}>"
    shared = exchanges[f"NoCompensation, NoPenalty, {momentum}, {rest}>, Atomic, float, float>"]
    private = exchanges[f"NoCompensation, NoPenalty, {own}, {rest}>, Atomic, float, float>"]
    assert (shared, private) == EXCHANGES[stages]
