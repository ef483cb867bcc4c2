"""Pushes on streams of their own: nothing is used before it is there, and one Push is in flight once. Needs a GPU."""

from __future__ import annotations

import pytest
import torch

from hogwild.kernels import Push, build_info
from hogwild.rules import HeavyBall

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]
N = 4099


def ones() -> tuple[torch.Tensor, Push]:
    x = torch.zeros(N, device="cuda")
    return x, Push(x=x, segments=[(0, N)])


def test_a_push_may_be_used_at_once_on_a_stream_that_does_not_wait_for_the_default_one():
    grad = torch.ones(N, device="cuda")
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x, push = ones()
        push([grad], lr=1.0, lr_max=1.0, pushes=0)
    stream.synchronize()
    assert torch.equal(x, -grad)


def test_a_push_on_another_stream_waits_for_the_one_before_it():
    x, v = torch.zeros(N, device="cuda"), torch.zeros(N, device="cuda")
    push = Push(x=x, v=v, segments=[(0, N)], momentum=HeavyBall(0.5))
    grads = [torch.full((N,), value, device="cuda") for value in (1.0, 2.0, 4.0)]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(2)]
    for number, grad in enumerate(grads):
        with torch.cuda.stream(streams[number % 2]):
            push.enqueue([grad], lr=1.0, lr_max=1.0, pushes=number)
    assert push.stats().step_sq == N * 5.25**2, "those of the latest push"
    torch.cuda.synchronize()
    assert (v == 5.25).all(), "1, then 0.5 + 2, then 1.25 + 4"
    assert (x == -8.75).all()
