"""The machine code of the CUDA kernels: what their loops over packs load, store, exchange and spill.

Needs nvcc, cuobjdump and nvdisasm (sass.py says where they are from), and no GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import sass

NEEDED = sass.missing()
pytestmark = [
    pytest.mark.slow,  # nvcc takes half a minute
    pytest.mark.skipif(NEEDED is not None, reason=f"{NEEDED}: install the CUDA toolkit, or the packages in sass.py"),
]


@dataclass(frozen=True)
class Wanted:
    """A kernel's stages, and what its first loop over packs does; `packs` are in one iteration."""

    stages: str
    access: str
    loads: int  # 16-byte loads, all packs together
    in_flight: int  # of them before the first is used, at least
    stores: int
    added: int = 0  # additions in memory, of 16 bytes each
    exchanged: int = 0  # compare-and-exchanges: one per element
    packs: int = 1
    stack_bytes: int = 0  # of spills, at most
    most: int = 0  # instructions of one pack, at most


PUSH = "Push<FiniteOnly, NoCompensation, {}, {}, {}, NoExchange>"
PUSHES = {
    "plain": Wanted(PUSH.format("NoPenalty", "NoMomentum", "NoSnapshot"), "Racing", 4, 4, 2, packs=2, most=60),
    "plain with snapshot": Wanted(
        PUSH.format("NoPenalty", "NoMomentum", "FreshSnapshot"), "Racing", 6, 6, 4, packs=2, most=75
    ),
    "heavy ball": Wanted(
        PUSH.format("NoPenalty", "HeavyBallMomentum", "NoSnapshot"), "Racing", 6, 6, 4, packs=2, most=85
    ),
    "heavy ball with snapshot": Wanted(
        PUSH.format("NoPenalty", "HeavyBallMomentum", "FreshSnapshot"), "Racing", 8, 4, 6, packs=2, most=95
    ),
    "gap over one C": Wanted(
        PUSH.format("SizedGapPenalty", "HeavyBallMomentum", "FreshSnapshot"), "Racing", 4, 4, 3, most=190
    ),
    "gap": Wanted(
        PUSH.format("GapPenalty", "HeavyBallMomentum", "FreshSnapshot"), "Racing", 5, 5, 4, stack_bytes=16, most=260
    ),
    "gap, atomic": Wanted(
        PUSH.format("GapPenalty", "HeavyBallMomentum", "FreshSnapshot"), "Atomic", 5, 5, 2, 1, 4, most=340
    ),
    "heavy ball with snapshot, atomic": Wanted(
        PUSH.format("NoPenalty", "HeavyBallMomentum", "FreshSnapshot"), "Atomic", 4, 4, 1, 1, 4, most=160
    ),
    "heavy ball with snapshot, atomic, own v": Wanted(
        PUSH.format("NoPenalty", "WithOwnV<HeavyBallMomentum>", "FreshSnapshot"), "Atomic", 4, 4, 2, 1, 0, most=110
    ),
    "AdamW": Wanted(
        PUSH.format("NoPenalty", "AdamMomentum<false>", "FreshSnapshot"), "Racing", 5, 5, 4, stack_bytes=8, most=250
    ),
}
KERNEL = """template __global__ void hogwild::cuda::push_kernel<{stages}, {access}, false, float, float>(
    const __grid_constant__ hogwild::cuda::Work<float>, const __grid_constant__ hogwild::cuda::Gradients);"""
SCAN = """template __global__ void hogwild::cuda::scan_kernel<float, float>(
    const __grid_constant__ hogwild::cuda::Work<float>, const __grid_constant__ hogwild::cuda::Gradients);"""


def source() -> str:
    """A file with the kernels above and no others."""
    pushes = [KERNEL.format(stages=wanted.stages, access=wanted.access) for wanted in PUSHES.values()]
    include = f'#include "{sass.ROOT / "csrc/cuda/passes.cuh"}"'
    return "\n".join([include, "using namespace hogwild;", *pushes, SCAN, ""])


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, sass.Kernel]:
    """The kernels of PUSHES by their names there, and `scan`."""
    folder = tmp_path_factory.mktemp("sass")
    (folder / "kernels.cu").write_text(source())
    found = list(sass.kernels(sass.compiled(folder / "kernels.cu", folder / "kernels.cubin")))
    by_name = {"scan": next(kernel for kernel in found if "scan_kernel" in kernel.name)}
    for name, wanted in PUSHES.items():
        stages = wanted.stages.replace("false>>", "false> >")
        (by_name[name],) = [k for k in found if f"push_kernel<{stages}, {wanted.access}," in k.name]
    return by_name


@pytest.fixture(scope="module")
def mixes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, sass.Kernel]:
    target = tmp_path_factory.mktemp("sass") / "mix.cubin"
    return {kernel.name: kernel for kernel in sass.kernels(sass.compiled(sass.ROOT / "csrc/cuda/mix.cu", target))}


@pytest.mark.parametrize("name", PUSHES)
def test_a_push(pushes: dict[str, sass.Kernel], name: str) -> None:
    kernel, wanted = pushes[name], PUSHES[name]
    assert kernel.registers <= 64, "four blocks of 256 threads share the registers of a multiprocessor"
    assert kernel.stack_bytes <= wanted.stack_bytes
    assert sum(map(sass.is_wide_load, kernel.loop)) == wanted.loads
    assert sass.wide_stores(kernel) == wanted.stores
    assert kernel.count("LDG") == wanted.loads, "an access is narrower than 16 bytes"
    assert kernel.count("STG") == wanted.stores, "an access is narrower than 16 bytes"
    assert kernel.loads_in_flight >= wanted.in_flight
    assert kernel.count("RED") == wanted.added
    assert kernel.count("ATOMG.E.CAS") == wanted.exchanged
    assert len(kernel.loop) <= wanted.packs * wanted.most
    gradients = [line for line in kernel.loop if ".EF." in line.name]
    assert len(gradients) == wanted.packs, "gradients are marked to be evicted first, and nothing else is"


def test_the_scan_of_a_guard(pushes: dict[str, sass.Kernel]) -> None:
    assert pushes["scan"].registers <= 64
    assert pushes["scan"].stack_bytes == 0
    assert sum(map(sass.is_wide_load, pushes["scan"].loop)) == 4
    assert pushes["scan"].loads_in_flight >= 3


def test_an_average_loads_its_inputs_first_and_stores_16_bytes_at_once(mixes: dict[str, sass.Kernel]) -> None:
    (kernel,) = [kernel for name, kernel in mixes.items() if "sum_kernel<float>" in name]
    assert kernel.stack_bytes == 0
    assert kernel.registers <= 64
    assert kernel.loads_in_flight == 4
    stores = {line.name for line in kernel.code if line.name.startswith(("STG", "ST.E"))}
    assert stores == {"STG.E", "STG.E.128"}, "the ends of a range go one by one, all else 16 bytes at a time"


LISTING = """
        /*0010*/                   LDG.E.128 R4, desc[UR4][R2.64] ;    /* the descriptor of a tile */
        /*0020*/              @!P0 BRA 0x00f0 ;
        /*0030*/                   LDG.E.EF.128 R8, desc[UR4][R6.64] ;
        /*0040*/                   LDG.E.128 R12, desc[UR4][R6.64+0x10] ;
        /*0050*/                   FADD R16, R8, R1 ;
        /*0060*/                   LDG.E.128 R20, desc[UR4][R6.64+0x20] ;
        /*0070*/                   STL [R1], R16 ;
        /*0080*/                   STG.E.128 desc[UR4][R6.64], R12 ;
        /*0090*/               @P0 BRA 0x30 ;
        /*00a0*/               @P1 BRA 0x10 ;
"""


def test_what_is_read_of_a_listing() -> None:
    code = [sass.Instruction(int(at, 16), word, rest) for at, word, rest in sass.LINE.findall(LISTING)]
    kernel = sass.Kernel("k", code=code)
    assert [line.address for line in kernel.loop] == list(range(0x30, 0xA0, 0x10))
    assert kernel.loads_in_flight == 2
    assert (sum(map(sass.is_wide_load, kernel.loop)), sass.wide_stores(kernel)) == (3, 1)
    assert kernel.count("LDL", "STL") == 1
