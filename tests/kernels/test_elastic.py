"""The elastic exchange of a push: against the oracle, against Algorithms 1 and 2 as printed, and its conserved sum."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import SIZES, Case, same_statistics

from hogwild.kernels import Push, build_info, use_isa
from hogwild.kernels.control import Control
from hogwild.rules import Access, AdamW, Guard, HeavyBall, Lion, Nesterov, RMSprop

MOMENTA = [
    None, HeavyBall(0.9, dampening=0.3), Nesterov(0.9), Nesterov(0.9, dampening=0.1), AdamW(), RMSprop(), Lion(),
]  # fmt: skip
CALL = {"lr": 0.05, "weight_decay": 0.01, "lr_max": 0.05, "alpha": 0.3}


@pytest.fixture
def locks():
    memory = torch.zeros(Control.bytes(1, 2) + 128, dtype=torch.uint8)
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, 2, True)
    yield control.stripe_locks, 2
    del memory


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.sampled_from((*SIZES, 33)), min_size=1, max_size=4).map(tuple),
    momentum=st.none() | st.builds(HeavyBall, st.floats(0.0, 0.95)) | st.builds(Nesterov, st.floats(0.0, 0.95)),
    access=st.sampled_from([Access.RACING, Access.ATOMIC]),
    guard=st.sampled_from(list(Guard)),
    lr=st.floats(1e-4, 0.5),
    alpha=st.floats(-0.5, 1.0),
    weight_decay=st.floats(0.0, 0.1),
    seed=st.integers(0, 2**31),
)
def test_float64_equals_the_oracle(sizes, momentum, access, guard, lr, alpha, weight_decay, seed):
    case = Case(sizes=sizes, has_center=True, momentum=momentum, access=access, guard=guard, seed=seed)
    for pushes, alpha_now in enumerate([alpha, 0.0, alpha / 2]):
        case.new_gradients()
        call = {"lr": lr, "weight_decay": weight_decay, "pushes": pushes, "lr_max": lr, "scale": 0.7}
        got, want = case.run(**call, alpha=alpha_now, first_step=pushes == 0)
        same_statistics(got, want, 1e-10)
    case.check(1e-11)


@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize("momentum", MOMENTA)
def test_float32_is_near_the_oracle(gradient, access, momentum):
    case = Case(dtype=torch.float32, gradient=gradient, has_center=True, momentum=momentum, access=access)
    for pushes in range(3):
        case.new_gradients()
        got, want = case.run(**CALL, pushes=pushes, first_step=pushes == 0, clip=20.0 * (pushes == 1))
        same_statistics(got, want, 1e-4)
    case.check(2e-6)


@pytest.mark.parametrize(("dtype", "gradient"), [(torch.float32, torch.bfloat16), (torch.float64, torch.float64)])
@pytest.mark.parametrize("guard", list(Guard))
@pytest.mark.parametrize("momentum", MOMENTA)
def test_instruction_sets_and_policies_give_the_same_bits(dtype, gradient, guard, momentum, locks):
    before, results = str(build_info()["isa_in_use"]), []
    try:
        for isa in build_info()["isa"]:
            use_isa(isa)
            for access in Access:
                case = Case(
                    sizes=(*SIZES, 33_000),
                    dtype=dtype,
                    gradient=gradient,
                    guard=guard,
                    momentum=momentum,
                    has_center=True,
                    access=access,
                    stripes=locks if access is Access.STRIPED else (0, 0),
                )
                case.grads[1] = None
                if guard is Guard.ELEMENT:
                    case.grads[-1][::7] = float("nan")
                for pushes in range(3):
                    case.push(case.grads, **CALL, pushes=pushes)
                results.append(case.buffers)
    finally:
        use_isa(before)
    for other in results[1:]:
        for name, buffer in results[0].items():
            assert torch.equal(buffer, other[name]), name


@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize("momentum", MOMENTA)
def test_missing_gradients_are_exchanged_and_held_back_elements_are_not(momentum, access):
    case = Case(sizes=(17, 16, 4099), has_center=True, momentum=momentum, access=access, guard=Guard.ELEMENT)
    case.grads[1] = None
    case.grads[2][::50] = float("inf")
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    got, want = case.run(**CALL, pushes=0)
    same_statistics(got, want, 1e-11)
    case.check(1e-12)
    begin, numel = case.segments[2]
    held, idle = slice(begin, begin + numel, 50), slice(case.segments[1][0], case.segments[1][0] + 16)
    for name, buffer in case.buffers.items():
        assert torch.equal(buffer[held], before[name][held]), name
        assert torch.equal(buffer[idle], before[name][idle]) == (name in ("v", "q")), name


def test_a_refused_push_does_not_exchange():
    case = Case(has_center=True, momentum=Nesterov(0.9))
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    case.grads[-1][7] = float("nan")
    assert not case.push(case.grads, **CALL, pushes=1).applied
    assert all(torch.equal(buffer, before[name]) for name, buffer in case.buffers.items())


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (20, 21), (33, 4200), (64, None)])
def test_only_the_range_is_touched(start, stop):
    case = Case(sizes=(17, 4099, 9000), has_center=True, momentum=Nesterov(0.9))
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    got, want = case.run(**CALL, pushes=0, start=start, stop=stop)
    same_statistics(got, want, 1e-11)
    case.check(1e-12)
    for name, buffer in case.buffers.items():
        assert torch.equal(buffer[:start], before[name][:start])
        if stop is not None:
            assert torch.equal(buffer[stop:], before[name][stop:])


@pytest.mark.parametrize("momentum", [None, Nesterov(0.0)])
def test_one_exchange_keeps_the_sum_and_shrinks_the_distance(momentum):
    """x' - c' = (1 - 2 alpha) (x - c) - lr g, and gap_sq is the squared distance before."""
    case = Case(sizes=(4099,), has_center=True, momentum=momentum)
    x, c = (case.buffers[name][:4099].clone() for name in ("x", "center"))
    stats = case.push(case.grads, lr=0.1, pushes=0, lr_max=0.1, alpha=0.3)
    after, center = case.buffers["x"][:4099], case.buffers["center"][:4099]
    torch.testing.assert_close(after + center, x + c - 0.1 * case.grads[0], rtol=0, atol=1e-14)
    torch.testing.assert_close(after - center, 0.4 * (x - c) - 0.1 * case.grads[0], rtol=0, atol=1e-14)
    assert stats.gap_sq == pytest.approx(float((x - c).square().sum()), rel=1e-12)
    assert stats.step_sq == pytest.approx(float((0.1 * case.grads[0]).square().sum()), rel=1e-12)


def algorithm_2(x, v, c, g, lr, momentum, alpha, exchanges):
    """One loop body of Algorithm 2 as printed; without momentum, of Algorithm 1. `g` is the gradient at x + m v."""
    if exchanges:
        drawn = alpha * (x - c)
        x, c = x - drawn, c + drawn
    v = momentum * v - lr * g
    return x + v, v, c


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_push_is_a_loop_body_of_algorithm_2(exchanges):
    """From any state: the buffers hold y = x + m v and -v / lr."""
    rng, n, lr, m, alpha = np.random.default_rng(3), 4099, 0.1, 0.9, 0.3
    x, v, c, g = rng.standard_normal((4, n))
    y, u, center = (torch.from_numpy(a).clone() for a in (x + m * v, -v / lr, c))
    push = Push(x=y, v=u, center=center, segments=[(0, n)], momentum=Nesterov(m))
    push([torch.from_numpy(g)], lr=lr, pushes=0, lr_max=lr, alpha=alpha if exchanges else 0.0)
    x, v, c = algorithm_2(x, v, c, g, lr, m, alpha, exchanges)
    for got, want in ((y, x + m * v), (-lr * u, v), (center, c)):
        assert np.max(np.abs(got.numpy() - want) / (1 + np.abs(want))) < 1e-15


TRACES = {  # problem T of the elastic family: x of the three workers, center
    (0.0, 1, 12): [0.355158430000, 0.565781801000, 1.026454890700, 0.5110586883],
    (0.0, 1, 60): [1.542318300074, 1.725778940922, 2.221116157032, 1.848477521043],
    (0.0, 2, 12): [0.292600000000, 0.600590000000, 1.211953000000, 0.33573],
    (0.0, 2, 60): [1.330630404715, 1.663187473157, 2.491827502972, 1.834186257948],
    (0.9, 2, 12): [0.632241100000, 1.286433200000, 2.588232100000, 0.478857],
    (0.9, 2, 60): [1.244544070973, 1.975548745442, 3.568182325838, 2.702408773668],
}


@pytest.mark.parametrize(("momentum", "period", "ticks"), TRACES)
def test_the_traces_of_three_workers_in_turn(momentum, period, ticks):
    """F_i(x) = (x - b_i)^2 / 2 with b = (1, 2, 4), all at 0, lr 0.1, alpha 0.3; digits of independent recursions."""
    lr, wanted = 0.1, TRACES[momentum, period, ticks]
    targets = [1.0, 2.0, 4.0]
    center = torch.zeros(16, dtype=torch.float64)
    rule = Nesterov(momentum) if momentum else None
    states, pushes = [], []
    for _ in targets:
        y, v = torch.zeros(16, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)
        states.append((y, v))
        buffers = {"x": y, "segments": [(0, 16)], "momentum": rule, **({"v": v} if rule else {})}
        pushes.append((Push(**buffers), Push(**buffers, center=center)))
    for tick in range(ticks):
        worker, clock = tick % 3, tick // 3
        exchanges = clock % period == 0
        call = {"lr": lr, "pushes": tick, "lr_max": lr, **({"alpha": 0.3} if exchanges else {})}
        pushes[worker][exchanges]([states[worker][0] - targets[worker]], **call)
    got = [float(y[3] + lr * momentum * v[3]) for y, v in states]
    np.testing.assert_allclose([*got, float(center[3])], wanted, rtol=0, atol=6e-13)


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
@pytest.mark.parametrize("momentum", [None, Nesterov(0.5)])
def test_concurrent_exchanges_keep_the_sum(access, momentum, locks):
    """The sum of replicas and center changes by the steps only: a lost exchange would change it by alpha gap."""
    n, workers, times = 100_003, 4, 30
    generator = torch.Generator().manual_seed(1)
    center = torch.zeros(n, dtype=torch.float64)
    replicas = [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(workers)]
    velocities = [torch.zeros(n, dtype=torch.float64) for _ in range(workers)]
    grads = [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(workers)]
    total = center + sum(replicas)
    stripes, n_stripes = locks if access is Access.STRIPED else (0, 0)
    barrier, failures = threading.Barrier(workers), []

    def work(rank: int) -> None:
        own = {"v": velocities[rank]} if momentum else {}
        push = Push(
            x=replicas[rank], **own, center=center, segments=[(0, n)], momentum=momentum, access=access,
            stripes=stripes, n_stripes=n_stripes,
        )  # fmt: skip
        try:
            barrier.wait(30)
            for _ in range(times):
                push([grads[rank]], lr=0.01, pushes=0, lr_max=0.01, alpha=0.15)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    moved = 0.0
    for g in grads:
        v = torch.zeros_like(g)
        for _ in range(times):
            m = momentum.momentum if momentum else 0.0
            v = m * v + g
            moved = moved + 0.01 * (g + m * v)
    assert float(center.abs().max()) > 0.1
    torch.testing.assert_close(center + sum(replicas), total - moved, rtol=0, atol=1e-11)
