"""Pushes replayed by a CUDA graph equal pushes that are called, to the bit. Needs a GPU and a build with CUDA."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import SIZES, Case, same_statistics

from hogwild.kernels import build_info
from hogwild.rules import Access, AdamWDana, AdamWSlim, Compensation, Dana, Gap, Guard, HeavyBall, Nesterov, OrMo

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]

CALLS = [  # scalars of every kind change from one replay to the next
    {"lr": 0.05, "weight_decay": 0.01, "pushes": 0, "lr_max": 0.1, "first_step": True},
    {"lr": 0.1, "weight_decay": 0.02, "pushes": 3, "lr_max": 0.1, "scale": -0.5, "delay": 2},
    {"lr": 0.025, "pushes": 4, "lr_max": 0.2, "scale": 2.0, "delay": 1},
]
RULES = [
    {"momentum": HeavyBall(0.9, dampening=0.1)},
    {"momentum": Nesterov(0.9), "penalty": Gap()},
    {"momentum": HeavyBall(0.9), "penalty": Gap(unit="step", reference="lr")},
    {"momentum": Dana(0.9), "compensation": Compensation(adaptive=True)},
    {"momentum": OrMo(0.9, 2)},
    {"momentum": HeavyBall(0.9), "has_center": True},
    {"momentum": AdamWSlim(), "penalty": Gap(unit="step")},
    {"momentum": AdamWDana(), "groups": ((0.3, 1.0), (1.0, 0.0), (1.0, 1.0), (2.0, 0.5), (1.0, 1.0), (0.7, 3.0))},
]
FORMS = [  # a gap of whole segments: field of the level, options of Gap and of Case
    pytest.param("level", {}, {}, id="cooperative"),
    pytest.param("level", {}, {"cooperative": False}, id="two-pass"),
    pytest.param("level", {"lagged": True}, {}, id="lagged"),
    pytest.param("size", {}, {}, id="one C"),
]


def twins(**options: object) -> tuple[Case, Case]:
    graphed, called = (Case(dtype=torch.float32, device="cuda", **options) for _ in range(2))
    return graphed, called


def captured(case: Case) -> torch.cuda.CUDAGraph:
    """A graph that pushes the gradients of `case`; nothing has been pushed yet."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        case.push.capture(case.grads)
    return graph


def renew(graphed: Case, called: Case) -> None:
    """New gradients, in the same memory for the graph."""
    called.new_gradients()
    for place, g in zip(graphed.grads, called.grads, strict=True):
        place.copy_(g)


def same_buffers(one: Case, other: Case) -> None:
    for name, buffer in one.buffers.items():
        assert torch.equal(buffer, other.buffers[name]), name


@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rule", RULES)
def test_a_replay_takes_the_scalars_of_its_time(rule, gradient, access):
    graphed, called = twins(sizes=(*SIZES, 100_003), gradient=gradient, access=access, **rule)
    graph = captured(graphed)
    alpha = {"alpha": 0.3} if rule.get("has_center") else {}
    for call in CALLS:
        renew(graphed, called)
        graphed.push.replay(graph, **call, **alpha)
        same_statistics(graphed.push.stats(), called.push(called.grads, **call, **alpha), 1e-4)
        same_buffers(graphed, called)


@pytest.mark.parametrize("guard", list(Guard))
@pytest.mark.parametrize("level", ["layer", "global"])
@pytest.mark.parametrize(("of", "options", "form"), FORMS)
def test_gaps_of_whole_segments_in_a_graph(of, options, form, level, guard):
    """Their norms are summed in any order, so the last bits differ."""
    penalty = Gap(0.9, **{of: level}, **options)
    graphed, called = twins(sizes=(*SIZES, 100_003), penalty=penalty, momentum=HeavyBall(0.9), guard=guard, **form)
    graph = captured(graphed)
    for call in CALLS:
        for case in (graphed, called):
            case.buffers["x"].mul_(1.01)  # others continue, else there is no gap
        renew(graphed, called)
        graphed.push.replay(graph, **call)
        same_statistics(graphed.push.stats(), called.push(called.grads, **call), 1e-4)
    for name, buffer in called.buffers.items():
        torch.testing.assert_close(graphed.buffers[name], buffer, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(graphed.gap_state, called.gap_state, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("guard", list(Guard))
def test_nonfinite_gradients_are_refused_under_replay(guard):
    graphed, called = twins(penalty=Gap(), momentum=HeavyBall(0.9), guard=guard)
    graph = captured(graphed)
    for bad in (float("nan"), 1.0, float("inf"), -1.0):
        renew(graphed, called)
        for case in (graphed, called):
            case.grads[-1][4098] = bad
        call = {"lr": 0.1, "pushes": 3, "lr_max": 0.1}
        graphed.push.replay(graph, **call)
        same_statistics(graphed.push.stats(), called.push(called.grads, **call), 1e-4)
        same_buffers(graphed, called)


def test_clipping_under_replay():
    graphed, called = twins(momentum=HeavyBall(0.9))
    graph = captured(graphed)
    for clip in (0.5, 0.0, 2.0):
        renew(graphed, called)
        call = {"lr": 0.1, "pushes": 3, "lr_max": 0.1, "clip": clip}
        graphed.push.replay(graph, **call)
        assert graphed.push.stats().grad_norm == pytest.approx(called.push(called.grads, **call).grad_norm, rel=1e-6)
        for name, buffer in called.buffers.items():
            torch.testing.assert_close(graphed.buffers[name], buffer, rtol=1e-5, atol=1e-6)


def test_more_segments_than_arguments_hold_and_calls_in_between():
    graphed, called = twins(sizes=(33,) * 1000, momentum=HeavyBall(0.9))
    others = [[torch.randn_like(g) for g in graphed.grads] for _ in range(2)]
    call = {"lr": 0.1, "pushes": 3, "lr_max": 0.1}
    graphed.push.enqueue(others[0], **call)
    called.push.enqueue(others[0], **call)
    graph = captured(graphed)
    for grads in (None, others[1], None, others[1], others[0], None):
        if grads is None:
            renew(graphed, called)
            graphed.push.replay(graph, **call)
            called.push.enqueue(called.grads, **call)
        else:
            graphed.push.enqueue(grads, **call)
            called.push.enqueue(grads, **call)
    same_statistics(graphed.push.stats(), called.push.stats(), 1e-4)
    same_buffers(graphed, called)


def test_replays_wait_for_nothing_and_each_has_its_scalars():
    graphed, called = twins(sizes=(4099,), momentum=HeavyBall(0.9))
    graph = captured(graphed)
    rates = [0.1 / (turn + 1) for turn in range(20)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.cuda._sleep(1_000_000_000)  # about half a second, in which all of them are enqueued
        for turn, lr in enumerate(rates):
            graphed.push.replay(graph, lr=lr, pushes=turn, lr_max=lr)
        ended = torch.cuda.Event()
        ended.record()
        was_ahead = not ended.query()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert was_ahead
    for turn, lr in enumerate(rates):
        called.push.enqueue(called.grads, lr=lr, pushes=turn, lr_max=lr)
    same_statistics(graphed.push.stats(), called.push.stats(), 1e-4)
    same_buffers(graphed, called)


def test_a_graph_of_backward_and_push():
    """As in a user's own loop: the gradients are in the graph's memory."""
    weight = torch.randn(33, 17, device="cuda", requires_grad=True)
    case, called = twins(sizes=(33 * 17,), momentum=HeavyBall(0.9), has_snapshot=False)
    inputs = torch.randn(8, 17, device="cuda")

    def gradient() -> list[torch.Tensor]:
        return [g.flatten() for g in torch.autograd.grad((inputs @ weight.t()).square().mean(), weight)]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        gradient()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        case.push.capture(gradient())
    for turn in range(3):
        inputs.normal_()
        call = {"lr": 0.1 / (turn + 1), "pushes": turn, "lr_max": 0.1}
        case.push.replay(graph, **call)
        called.push.enqueue(gradient(), **call)
    torch.testing.assert_close(case.buffers["x"], called.buffers["x"])


def test_capture_is_refused_outside_a_graph_and_a_call_inside_one():
    case, _ = twins(momentum=HeavyBall(0.9))
    call = {"lr": 0.1, "pushes": 3, "lr_max": 0.1}
    with pytest.raises(RuntimeError, match="no graph is being captured on this stream"):
        case.push.capture(case.grads)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        case.grads[0].mul_(2)  # a graph without nodes is warned of
        with pytest.raises(RuntimeError, match="a graph would freeze the scalars of this push"):
            case.push.enqueue(case.grads, **call)
    assert case.push(case.grads, **call).applied


@pytest.mark.parametrize("guard", list(Guard))
@pytest.mark.parametrize("level", ["layer", "global"])
def test_one_cooperative_launch_does_what_the_passes_do(level, guard):
    options = {"sizes": (*SIZES, 100_003), "penalty": Gap(0.9, level=level), "momentum": Nesterov(0.9), "guard": guard}
    one = Case(dtype=torch.float32, device="cuda", **options)
    several = Case(dtype=torch.float32, device="cuda", cooperative=False, **options)
    assert (one.push.is_cooperative, several.push.is_cooperative) == (True, False)
    for turn, bad in enumerate((1.0, float("nan"), -1.0, float("inf"), 1.0)):
        for case in (one, several):
            case.buffers["x"].mul_(1.01)  # others continue, else there is no gap
            case.new_gradients()
            case.grads[2] = None
            case.grads[-1][50_000] = bad
        call = {"lr": 0.05, "weight_decay": 0.01, "pushes": turn, "lr_max": 0.1}
        same_statistics(one.push(one.grads, **call), several.push(several.grads, **call), 1e-4)
        torch.testing.assert_close(one.gap_state, several.gap_state, rtol=1e-6, atol=1e-9)
    for name, buffer in several.buffers.items():
        torch.testing.assert_close(one.buffers[name], buffer, rtol=1e-5, atol=1e-6)


def test_a_large_model_and_a_lagged_gap_are_not_cooperative():
    lines = torch.cuda.get_device_properties(0).L2_cache_size // 8 // 32
    large = Case(sizes=(32 * lines,), dtype=torch.float32, device="cuda", penalty=Gap(level="global"))
    lagged = Case(dtype=torch.float32, device="cuda", penalty=Gap(level="global", lagged=True))
    assert not large.push.is_cooperative
    assert not lagged.push.is_cooperative
    assert large.push(large.grads, lr=0.1, pushes=3, lr_max=0.1).penalty > 1
