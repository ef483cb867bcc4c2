"""The CUDA kernels against the CPU's, to the bit: same functor, no contraction. Needs a GPU and a build with CUDA."""

from __future__ import annotations

import itertools

import pytest
import torch
from kernel_cases import ADAPTIVE, ALONE, MOMENTA, OF_STEPS, SIZES, Case, same_statistics

from hogwild.kernels import Push, build_info, copy, count_nonfinite, pair_average, weighted_sum
from hogwild.kernels.control import LOCK_BYTES, Control
from hogwild.kernels.pair import Lags
from hogwild.rules import Access, AdamW, Compensation, Gap, Guard, HeavyBall, Lion, Nesterov, RMSprop

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]

RULES = list(
    itertools.product(
        [None, Gap(), Gap(penalize_weight_decay=False)], [None, HeavyBall(0.9, dampening=0.1), Nesterov(0.9)]
    )
)


NEW_RULES = [
    *itertools.product([Gap(unit="g"), Gap(unit="step", reference="lr")], [None], MOMENTA),
    *itertools.product([None], [Compensation(), Compensation(power=1), Compensation(adaptive=True)], MOMENTA),
    *((None, None, momentum) for momentum in (*MOMENTA, *ALONE)),
    *itertools.product(OF_STEPS, [None], ADAPTIVE),
]
NORM_GAPS = [
    Gap(0.9, level=level, unit=unit, lagged=lagged)
    for level in ("layer", "global")
    for unit in ("v", "g", "step")
    for lagged in (False, True)
] + [Gap(0.9, size=level, unit=unit) for level in ("layer", "global") for unit in ("v", "g", "step")]


def pair(**options: object) -> tuple[Case, Case]:
    return Case(dtype=torch.float32, device="cuda", **options), Case(dtype=torch.float32, **options)


def same_buffers(gpu: Case, cpu: Case) -> None:
    for name, buffer in cpu.buffers.items():
        assert torch.equal(gpu.buffers[name].cpu(), buffer), name


@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_snapshot", [True, False])
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize(("penalty", "momentum"), RULES)
def test_equals_the_cpu(penalty, momentum, access, has_snapshot, gradient):
    gpu, cpu = pair(
        sizes=(*SIZES, 100_003),
        penalty=penalty,
        momentum=momentum,
        access=access,
        has_snapshot=has_snapshot,
        gradient=gradient,
    )
    for pushes in range(3):
        gpu.new_gradients()
        cpu.new_gradients()
        call = {"lr": 0.05, "weight_decay": 0.01, "pushes": pushes, "lr_max": 0.1, "first_step": pushes == 0}
        got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
        same_statistics(got, want, 1e-4)
    same_buffers(gpu, cpu)


@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize(("penalty", "compensation", "momentum"), NEW_RULES)
def test_new_stages_equal_the_cpu(penalty, compensation, momentum, access, gradient):
    gpu, cpu = pair(
        sizes=(*SIZES, 100_003),
        penalty=penalty,
        compensation=compensation,
        momentum=momentum,
        access=access,
        gradient=gradient,
    )
    for pushes in range(3):
        gpu.new_gradients()
        cpu.new_gradients()
        gpu.grads[2] = cpu.grads[2] = None
        call = {"lr": 0.05, "weight_decay": 0.01, "pushes": pushes, "lr_max": 0.1, "delay": pushes, "scale": 0.5}
        got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
        same_statistics(got, want, 1e-4)
    same_buffers(gpu, cpu)


@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize("momentum", [None, HeavyBall(0.9), Nesterov(0.9), AdamW(), RMSprop(), Lion()])
def test_elastic_pushes_equal_the_cpu(momentum, access, gradient):
    gpu, cpu = pair(sizes=(*SIZES, 100_003), has_center=True, momentum=momentum, access=access, gradient=gradient)
    for pushes in range(3):
        gpu.new_gradients()
        cpu.new_gradients()
        gpu.grads[2] = cpu.grads[2] = None
        call = {"lr": 0.05, "weight_decay": 0.01, "pushes": pushes, "lr_max": 0.1, "alpha": 0.3}
        got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
        same_statistics(got, want, 1e-4)
    same_buffers(gpu, cpu)


@pytest.mark.parametrize(("start", "stop"), [(None, None), (3, 17), (31, 70_000)])
def test_pair_averages_equal_the_cpu(start, stop):
    memory = torch.zeros(Control.bytes(1, 2) + 128, dtype=torch.uint8)
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, 2, True)
    locks = {"locks_a": control.stripe_locks, "locks_b": control.stripe_locks + LOCK_BYTES, "n_locks": 1}
    cpu = [torch.randn(70_001) for _ in range(2)]
    gpu = [t.cuda() for t in cpu]
    pair_average(*cpu, **locks, weight=0.3, start=start, stop=stop)
    assert pair_average(*gpu, weight=0.3, start=start, stop=stop).skipped == 0
    for got, want in zip(gpu, cpu, strict=True):
        assert torch.equal(got.cpu(), want)


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("penalty", NORM_GAPS)
def test_gaps_of_whole_segments_are_near_the_cpu(penalty, momentum):
    """Their norms are summed in another order, so the last bits differ."""
    gpu, cpu = pair(sizes=(*SIZES, 100_003), penalty=penalty, momentum=momentum)
    for pushes in range(3):
        gpu.new_gradients()
        cpu.new_gradients()
        call = {"lr": 0.05, "weight_decay": 0.01, "pushes": pushes, "lr_max": 0.1}
        got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
        same_statistics(got, want, 1e-4)
    for name, buffer in cpu.buffers.items():
        torch.testing.assert_close(gpu.buffers[name].cpu(), buffer, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gpu.gap_state.cpu(), cpu.gap_state, rtol=1e-4, atol=1e-8)


def test_clipping_on_the_device():
    gpu, cpu = pair(momentum=HeavyBall(0.9))
    for case in (gpu, cpu):
        stats = case.push(case.grads, lr=0.1, pushes=3, lr_max=0.1, scale=-2.0, clip=0.5)
        assert stats.grad_norm > 0.5
    for name, buffer in cpu.buffers.items():
        torch.testing.assert_close(gpu.buffers[name].cpu(), buffer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("guard", list(Guard))
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
def test_non_finite_gradients(guard, access):
    gpu, cpu = pair(penalty=Gap(), momentum=HeavyBall(0.9), access=access, guard=guard)
    for case in (gpu, cpu):
        case.grads[0][0] = float("nan")
        case.grads[-1][4098] = float("inf")
    call = {"lr": 0.1, "pushes": 3, "lr_max": 0.1}
    got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
    same_statistics(got, want, 1e-4)
    same_buffers(gpu, cpu)
    for case in (gpu, cpu):
        case.new_gradients()
    got, want = gpu.push(gpu.grads, **call), cpu.push(cpu.grads, **call)
    same_statistics(got, want, 1e-4)  # no trace of the refused push remains
    same_buffers(gpu, cpu)


@pytest.mark.parametrize(("start", "stop"), [(0, 40), (33, 4001), (4099, 60_000)])
def test_only_the_range_is_touched(start, stop):
    gpu, cpu = pair(sizes=(17, 4099, 90_000), penalty=Gap(), momentum=Nesterov(0.9))
    for case in (gpu, cpu):
        case.push(case.grads, lr=0.1, pushes=3, lr_max=0.1, start=start, stop=stop)
    same_buffers(gpu, cpu)


def test_missing_misaligned_and_strided_gradients():
    gpu, cpu = pair(sizes=(4099, 17, 4099), momentum=HeavyBall(0.9))
    for case in (gpu, cpu):
        long = torch.arange(2 * 4099, dtype=torch.float32, device=case.device) / 4099
        case.grads = [long[1:4100], None, long[::2]]
        case.push(case.grads, lr=0.1, pushes=3, lr_max=0.1)
    same_buffers(gpu, cpu)


@pytest.mark.parametrize("guard", list(Guard))
def test_more_segments_than_the_arguments_of_a_kernel_hold(guard):
    gpu, cpu = pair(sizes=(33,) * 1000, momentum=HeavyBall(0.9), guard=guard)
    kept = []
    for turn in range(4):  # new addresses three times, while the copy of the previous table may still be pending
        for case in (gpu, cpu):
            if turn != 2:
                kept.append(case.grads)
                case.new_gradients()
            case.push.enqueue(case.grads, lr=0.1, pushes=3, lr_max=0.1)
    same_statistics(gpu.push.stats(), cpu.push.stats(), 1e-4)
    same_buffers(gpu, cpu)


@pytest.mark.parametrize("penalty", [None, Gap(level="layer"), Gap(level="global", lagged=True)])
def test_the_counts_are_those_of_the_latest_push(penalty):
    gpu, cpu = pair(sizes=(*SIZES, 100_003), penalty=penalty, momentum=HeavyBall(0.9))
    for pushes in range(5):
        for case in (gpu, cpu):
            case.new_gradients()
            case.push.enqueue(case.grads, lr=0.1, pushes=pushes, lr_max=0.1)
    same_statistics(gpu.push.stats(), cpu.push.stats(), 1e-4)
    empty = {"lr": 0.1, "pushes": 5, "lr_max": 0.1, "start": 0, "stop": 0}
    if penalty is None:
        assert gpu.push(gpu.grads, **empty).step_sq == 0


def test_counts_are_there_before_what_was_enqueued_later():
    gpu, cpu = pair(sizes=(4099,), momentum=HeavyBall(0.9))
    later = torch.cuda.Event()
    gpu.push.enqueue(gpu.grads, lr=0.1, pushes=0, lr_max=0.1)
    torch.cuda._sleep(2_000_000_000)  # about a second
    later.record()
    got = gpu.push.stats()
    assert not later.query()
    same_statistics(got, cpu.push(cpu.grads, lr=0.1, pushes=0, lr_max=0.1), 1e-4)


def test_atomic_pushes_of_two_streams_lose_nothing():
    n, times = 100_003, 200
    x, v = torch.zeros(n, device="cuda"), torch.zeros(n, device="cuda")
    ones = [torch.ones(n, device="cuda")]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(2)]
    pushes = [
        Push(x=x, v=v, segments=[(0, n)], momentum=HeavyBall(1.0), access=Access.ATOMIC, guard=Guard.ELEMENT)
        for _ in streams
    ]
    for _ in range(times):
        for stream, push in zip(streams, pushes, strict=True):
            with torch.cuda.stream(stream):
                push.enqueue(ones, lr=1.0, pushes=1, lr_max=1.0)
    torch.cuda.synchronize()
    total = len(streams) * times
    assert bool((v == total).all())
    assert bool((x == -total * (total + 1) / 2).all())


def test_mix_copy_and_count():
    inputs = [torch.randn(70_001) for _ in range(3)]
    on_gpu = [t.cuda() for t in inputs]
    for start, stop in [(None, None), (3, 17), (31, 4000)]:
        want, got = torch.zeros(70_001), torch.zeros(70_001, device="cuda")
        weighted_sum(want, inputs, [0.2, 0.3, 0.5], start, stop)
        weighted_sum(got, on_gpu, [0.2, 0.3, 0.5], start, stop)
        assert torch.equal(got.cpu(), want)
        copy(want, inputs[0], start, stop)
        copy(got, on_gpu[0], start, stop)
        assert torch.equal(got.cpu(), want)
    on_gpu[0][::3] = float("nan")
    assert count_nonfinite(on_gpu) == len(range(0, 70_001, 3))


def test_unsupported_arguments_on_a_gpu_are_refused():
    x = torch.zeros(32, device="cuda")
    with pytest.raises(ValueError, match="needs a master on the CPU"):
        Push(x=x, segments=[(0, 32)], access=Access.STRIPED, stripes=128, n_stripes=1)
    with pytest.raises(ValueError, match="float64 master is for the CPU"):
        Push(x=x.double(), segments=[(0, 32)])
    with pytest.raises(ValueError, match="takes no locks"):
        pair_average(x, x.clone(), locks_a=128, locks_b=256, n_locks=1)
    with pytest.raises(ValueError, match="replicas there are float32"):
        pair_average(x.double(), x.double())
    with pytest.raises(ValueError, match="gradient 0 is on cpu"):
        Push(x=x, segments=[(0, 32)])([torch.ones(32)], lr=0.1, pushes=0, lr_max=0.1)


@pytest.mark.parametrize("n", [*SIZES, 100_003])
def test_a_pair_average_with_lags_equals_the_cpu(n):
    generator = torch.Generator().manual_seed(n)
    cpu = [torch.randn(n, generator=generator) for _ in range(4)]
    gpu = [buffer.to("cuda") for buffer in cpu]
    memory = torch.zeros(Control.bytes(1, 2) + 128, dtype=torch.uint8)
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, 2, True)
    locks = {"locks_a": control.stripe_locks, "locks_b": control.stripe_locks + LOCK_BYTES, "n_locks": 1}
    pair_average(cpu[0], cpu[1], **locks, lags=Lags(cpu[2], cpu[3], 0.3, 0.1, 0.7))
    pair_average(gpu[0], gpu[1], lags=Lags(gpu[2], gpu[3], 0.3, 0.1, 0.7))
    for found, wanted in zip(gpu, cpu, strict=True):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-6, atol=1e-6)
