"""Invalid arguments are refused in one line that names them, before any address is used."""

from __future__ import annotations

import pytest
import torch

from hogwild.kernels import Push
from hogwild.rules import Access, Compensation, Dana, Gap, Guard, HeavyBall, OrMo, Smega2

N = 128
SEGMENTS = [(0, 40), (64, 64)]
CALL = {"lr": 0.1, "pushes": 0, "lr_max": 0.1}


def flat(n: int = N, **options: object) -> torch.Tensor:
    return torch.ones(n, **options)  # type: ignore[arg-type]


NORM_GAP = {"x": flat(), "snapshot": flat(), "penalty": Gap(level="layer")}
BUFFERS = [
    ({"x": flat(dtype=torch.float16)}, "x is torch.float16"),
    ({"x": flat(2 * N)[::2]}, "one contiguous dimension"),
    ({"x": flat(N).view(2, -1)}, r"shape \(2, 64\)"),
    ({"x": flat(N + 1)[1:]}, "no multiple of 64 bytes"),
    ({"x": flat(), "snapshot": flat(N + 32)}, "snapshot has 160 elements, x has 128"),
    ({"x": flat(), "snapshot": flat(dtype=torch.float64)}, "snapshot is torch.float64 on cpu, but x is torch.float32"),
    ({"x": flat(device="meta")}, "x is on meta"),
    ({"x": flat(), "s": flat()}, "no use for s"),
    ({"x": flat(), "v": flat()}, "no use for v"),
    ({"x": flat(), "momentum": HeavyBall(0.9)}, "v missing"),
    ({"x": flat(), "penalty": Gap()}, "s and snapshot missing"),
    ({"x": flat(), "snapshot": flat(), "s": flat(), "penalty": Gap(decay=1.0)}, "0 < decay < 1"),
    ({"x": flat(), "snapshot": flat(), "s": flat(), "penalty": Gap(eps=0.0)}, "eps > 0"),
    ({"x": flat(), "snapshot": flat(), "v": flat(), "momentum": Dana(0.9)}, "v_sum missing"),
    ({"x": flat(), "snapshot": flat(), "v": flat(), "momentum": Smega2(0.9, 2)}, "b missing"),
    ({"x": flat(), "v": flat(), "momentum": OrMo(0.9, 2)}, "snapshot missing"),
    ({"x": flat(), "momentum": OrMo(1.0, 2)}, "0 <= momentum < 1"),
    ({"x": flat(), "momentum": Smega2(0.9, 0)}, "Smega2 has 0 workers"),
    ({"x": flat(), "compensation": Compensation()}, "snapshot missing"),
    ({"x": flat(), "snapshot": flat(), "compensation": Compensation(adaptive=True)}, "ms missing"),
    ({"x": flat(), "compensation": Compensation(power=3)}, "Compensation.power is 3"),
    ({"x": flat(), "compensation": Compensation(eps=0.0)}, "eps > 0"),
    ({"x": flat(), "compensation": Compensation(), "penalty": Gap()}, "give one of the two"),
    ({"x": flat(), "momentum": OrMo(0.9, 2), "penalty": Gap()}, "OrMo goes with neither"),
    ({"x": flat(), "penalty": Gap(unit="w")}, "Gap.unit is 'w'"),
    ({"x": flat(), "penalty": Gap(reference="min")}, "Gap.reference is 'min'"),
    ({"x": flat(), "penalty": Gap(level="row")}, "Gap.level is 'row'"),
    ({"x": flat(), "penalty": Gap(lagged=True)}, "layer and global"),
    ({"x": flat(), "penalty": Gap(lagged=True, size="layer")}, "layer and global"),
    ({"x": flat(), "penalty": Gap(size="row")}, "Gap.size is 'row'"),
    ({"x": flat(), "penalty": Gap(level="layer", size="global")}, "there C is of that level"),
    ({"x": flat(), "snapshot": flat(), "penalty": Gap(size="layer")}, "gap_state"),
    ({"x": flat(), "snapshot": flat(), "penalty": Gap(level="layer")}, "gap_state"),
    ({"x": flat(), "gap_state": torch.zeros(2, 3, dtype=torch.float64)}, "gap_state belongs to"),
    ({**NORM_GAP, "gap_state": torch.zeros(2, 3)}, "contiguous float64"),
    ({**NORM_GAP, "gap_state": torch.zeros(1, 3, dtype=torch.float64)}, r"at least \[2, 3\]"),
    ({"x": flat(), "center": flat(N + 32)}, "center has 160 elements"),
    ({"x": flat(), "center": flat(), "snapshot": flat()}, "leave out the snapshot"),
    ({"x": flat(), "center": flat(), "snapshot": flat(), "penalty": Gap()}, "leave out Gap"),
    ({"x": flat(), "center": flat(), "compensation": Compensation()}, "leave out Compensation"),
    ({"x": flat(), "center": flat(), "momentum": OrMo(0.9, 2)}, "leave out OrMo"),
    ({"x": flat(), "access": Access.STRIPED}, "n_stripes >= 1"),
    ({"x": flat(), "segments": [(64, 64), (0, 40)]}, r"segment 1 covers \[0, 40\)"),
    ({"x": flat(), "segments": [(0, 40), (32, 8)]}, "without overlap"),
    ({"x": flat(), "segments": [(0, 129)]}, r"inside \[0, 128\)"),
    ({"x": flat(), "segments": [(0, 4), (8, 4)]}, "segment 1 begins at element 8"),
]


@pytest.mark.parametrize(("arguments", "message"), BUFFERS)
def test_buffers_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Push(**{"segments": SEGMENTS, **arguments})


def test_buffers_that_overlap():
    x = flat()
    with pytest.raises(ValueError, match="overlap in memory"):
        Push(x=x, snapshot=x, segments=SEGMENTS)
    with pytest.raises(ValueError, match="overlap in memory"):
        Push(x=x, center=x, segments=SEGMENTS)
    memory = flat(N + 64)
    with pytest.raises(ValueError, match="overlap"):
        Push(x=memory[:N], snapshot=memory[64:], segments=SEGMENTS)


GRADIENTS = [
    ([flat(40)], "1 gradients for 2 segments"),
    ([flat(40), flat(63)], "gradient 1 has 63 elements, its segment has 64"),
    ([flat(40), flat(64, dtype=torch.bfloat16)], "gradient 1 is torch.bfloat16, but those before it"),
    ([flat(40).half(), None], "gradient 0 is torch.float16"),
    ([flat(40).double(), None], "gradient 0 is torch.float64: a float32 master takes"),
    ([flat(40), flat(64).to_sparse()], r"gradient 1 is torch.sparse_coo: .*sparse=False"),
    ([flat(40), flat(64, device="meta")], "gradient 1 is on meta"),
    ([flat(40), [1.0] * 64], "gradient 1 is a list"),
    ([[1.0] * 40, None], "gradient 0 is a list"),
]


@pytest.mark.parametrize("k", range(len(GRADIENTS)))
def test_gradients_that_do_not_fit(k):
    grads, message = GRADIENTS[k]
    x = flat()
    push = Push(x=x, segments=SEGMENTS)
    with pytest.raises(ValueError, match=message):
        push(grads, **CALL)
    assert bool((x == 1).all())


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (0, 129), (5, 4)])
def test_ranges_outside_the_buffer(start, stop):
    push = Push(x=flat(), segments=SEGMENTS)
    with pytest.raises(ValueError, match="must lie inside"):
        push([None, None], **CALL, start=start, stop=stop)


CALLS = [
    ({"clip": -1.0}, {}, "clip is -1.0"),
    ({"alpha": 0.1}, {}, "alpha is 0.1, but this push has no center"),
    ({"clip": 1.0}, {"guard": Guard.ELEMENT}, "use Guard.PUSH"),
    ({"clip": 1.0, "start": 32}, {}, "leave out start and stop"),
    ({"stop": 32}, {**NORM_GAP, "gap_state": torch.zeros(2, 3, dtype=torch.float64)}, "leave out start and stop"),
]


@pytest.mark.parametrize(("call", "arguments", "message"), CALLS)
def test_calls_that_do_not_fit(call, arguments, message):
    push = Push(**{"x": flat(), "segments": SEGMENTS, **arguments})
    with pytest.raises(ValueError, match=message):
        push([None, None], **CALL, **call)


def test_empty_segments_are_fine():
    x = flat()
    stats = Push(x=x, segments=[(0, 0), (32, 4), (64, 0)])([flat(0), flat(4), flat(0)], **CALL)
    assert stats.applied
    assert torch.equal(x[32:36], torch.full((4,), 0.9))
    assert bool((x[:32] == 1).all())


def test_statistics_have_a_readable_form():
    stats = Push(x=flat(), segments=[(0, 1)])([flat(1)], **CALL)
    assert repr(stats).startswith("PushStats(applied=True, nonfinite=0, gap_sq=0.0, step_sq=")
