"""The compiled module itself: its instruction-set variants agree to the bit, and a missing module gives a helpful
error.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
import torch
from kernel_cases import ADAPTIVE, ALONE, MOMENTA, OF_STEPS, Case, same_statistics

from hogwild.kernels import build_info, copy, count_nonfinite, use_isa, weighted_sum
from hogwild.rules import Access, Compensation, Gap, Guard

ISAS = build_info()["isa"]
DTYPES = [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float64, torch.float64)]


@pytest.fixture(autouse=True)
def restore_isa():
    before = str(build_info()["isa_in_use"])
    yield
    use_isa(before)


@pytest.mark.parametrize(("dtype", "gradient"), DTYPES)
@pytest.mark.parametrize("guard", list(Guard))
@pytest.mark.parametrize(
    ("penalty", "compensation", "momenta"),
    [
        *((penalty, None, MOMENTA) for penalty in (None, Gap(), Gap(unit="g"), Gap(unit="step"))),
        *((None, compensation, MOMENTA) for compensation in (Compensation(power=1), Compensation(adaptive=True))),
        (None, None, ALONE),
        *((penalty, None, ADAPTIVE) for penalty in OF_STEPS),
    ],
)
def test_every_instruction_set_gives_the_same_bits(dtype, gradient, guard, penalty, compensation, momenta):
    for momentum, access in itertools.product(momenta, [Access.RACING, Access.ATOMIC]):
        results = []
        for isa in ISAS:
            use_isa(isa)
            assert build_info()["isa_in_use"] == isa
            case = Case(
                dtype=dtype,
                gradient=gradient,
                guard=guard,
                penalty=penalty,
                compensation=compensation,
                momentum=momentum,
                access=access,
            )
            if guard is Guard.ELEMENT:
                case.grads[-1][::7] = float("nan")
            stats = [
                case.push(case.grads, lr=0.1, weight_decay=0.01, pushes=pushes, lr_max=0.1, scale=0.7)
                for pushes in (0, 1, 2)
            ]
            results.append((case.buffers, stats[-1]))
        first, first_stats = results[0]
        for other, other_stats in results[1:]:
            for name, buffer in first.items():
                assert torch.equal(buffer, other[name])
            same_statistics(other_stats, first_stats, 1e-5)


def test_every_instruction_set_mixes_alike():
    a, b = torch.randn(4099), torch.randn(4099)
    b[3] = float("nan")
    results = []
    for isa in ISAS:
        use_isa(isa)
        mixed, copied = torch.zeros(4099), torch.zeros(4099)
        weighted_sum(mixed, [a, b], [0.3, 0.7])
        copy(copied, b)
        results.append((mixed.numpy().tobytes(), copied.numpy().tobytes(), count_nonfinite([a, b])))
    assert all(result == results[0] for result in results)


def test_an_unknown_instruction_set_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'sse9'.*baseline"):
        use_isa("sse9")


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.slow
def test_the_environment_chooses_the_instruction_set():
    show = "from hogwild.kernels import build_info; print(build_info()['isa_in_use'])"
    assert run_python(show, HOGWILD_ISA="baseline").stdout.strip() == "baseline"
    wrong = run_python("import hogwild._C", HOGWILD_ISA="sse9")
    assert wrong.returncode != 0
    assert "'sse9' (HOGWILD_ISA): this processor and build have" in wrong.stderr


def test_a_missing_module_says_how_to_build_it():
    code = (
        "import sys; sys.modules['hogwild._C'] = None\n"
        "from hogwild.errors import UsageError\n"
        "try:\n    import hogwild.kernels\n"
        "except ImportError as error:\n    assert isinstance(error, UsageError); print(error)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "pip install" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1


def test_the_build_describes_itself():
    info = build_info()
    assert set(info) == {"cuda", "cuda_archs", "debug", "compiler", "isa", "isa_in_use"}
    assert bool(info["cuda"]) == bool(info["cuda_archs"])
    assert "baseline" in info["isa"]
