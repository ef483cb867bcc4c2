"""Reads the machine code of CUDA kernels: registers, spills, and what their loop over packs loads, stores and adds.

    python tests/kernels/sass.py FILE.cubin ...     a table of all kernels in it

Needs nvcc, to compile, and cuobjdump with nvdisasm, which are in the toolkit or in two packages without dependencies:
nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?(\S+)\s*(.*?)\s*;")
REGISTER = re.compile(r"\bR(\d+)\b")
USAGE = re.compile(r"Function (\S+):\s*\n\s*REG:(\d+) STACK:(\d+)")
WIDTHS = {"64": 2, "128": 4}  # registers of an access


@dataclass(frozen=True)
class Instruction:
    address: int
    name: str  # with its modifiers: LDG.E.EF.128
    operands: str

    @property
    def is_load(self) -> bool:
        return self.name.startswith(("LDG", "LD.E"))

    def registers(self) -> list[int]:
        """All registers named in the operands."""
        return [int(number) for number in REGISTER.findall(self.operands)]

    def loaded(self) -> set[int]:
        """The registers that a load fills."""
        width = next((count for bits, count in WIDTHS.items() if bits in self.name.split(".")), 1)
        first = int(REGISTER.findall(self.operands)[0])
        return set(range(first, first + width))


@dataclass
class Kernel:
    """The code of one kernel, and its loop over packs: the first one that loads 16 bytes at a time."""

    name: str
    registers: int = 0
    stack_bytes: int = 0  # of spills; the kernels have no arrays of their own
    code: list[Instruction] = field(default_factory=list)

    @cached_property
    def loop(self) -> list[Instruction]:
        """From the target of a backward branch to the branch; the loop over tiles, around it, does not count."""
        first, last = min(self._loops_with_loads(), key=innermost, default=(1, 0))
        return [instruction for instruction in self.code if first <= instruction.address <= last]

    def _loops_with_loads(self) -> Iterator[tuple[int, int]]:
        """The innermost loop, as a range of addresses, around every 16-byte load; around those of a gradient alone, if
        there are any: they are marked to be evicted first.
        """
        targets = ((branch_target(line), line.address) for line in self.code)
        loops = [(target, address) for target, address in targets if target is not None and target <= address]
        loads = [line for line in self.code if is_wide_load(line)]
        for line in [line for line in loads if ".EF." in line.name] or loads:
            around = [loop for loop in loops if loop[0] <= line.address <= loop[1]]
            if around:
                yield min(around, key=lambda loop: loop[1] - loop[0])

    @property
    def loads_in_flight(self) -> int:
        """16-byte loads of the loop before the first use of what one of them has loaded."""
        waiting: set[int] = set()
        loads = 0
        for instruction in self.loop:
            if waiting.intersection(instruction.registers()):
                break
            if is_wide_load(instruction):
                waiting |= instruction.loaded()
                loads += 1
        return loads

    def count(self, *names: str) -> int:
        """Instructions of the loop whose name begins with one of these."""
        return sum(instruction.name.startswith(names) for instruction in self.loop)


def innermost(loop: tuple[int, int]) -> tuple[int, int]:
    """A key for loops: their end, then their length, so that an inner loop comes before the one around it."""
    return loop[1], loop[1] - loop[0]


def is_wide_load(instruction: Instruction) -> bool:
    return instruction.is_load and "128" in instruction.name.split(".")


def branch_target(instruction: Instruction) -> int | None:
    found = re.search(r"0x([0-9a-f]+)$", instruction.operands) if instruction.name.startswith("BRA") else None
    return int(found[1], 16) if found else None


def tool(name: str) -> str | None:
    """A program of the toolkit: on PATH, under CUDA_HOME, or in a Python package."""
    folders = [Path(os.environ.get("CUDA_HOME") or "/usr/local/cuda") / "bin"]
    folders += [folder for path in sys.path for folder in sorted(Path(path or ".").glob("nvidia/cu*/bin"))]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, folders)))


def missing() -> str | None:
    """The reason for which no machine code can be read here."""
    absent = [name for name in ("nvcc", "cuobjdump", "nvdisasm") if tool(name) is None]
    return f"there is no {', '.join(absent)}" if absent else None


def compiled(source: Path, target: Path, architecture: str = "90a") -> Path:
    """A file of machine code from a .cu file, with the flags of setup.py."""
    nvcc = tool("nvcc")
    assert nvcc is not None
    code = f"arch=compute_{architecture},code=sm_{architecture}"
    flags = ["-std=c++17", "-O3", "-fmad=false", "-gencode", code, f'-DHOGWILD_CUDA_ARCHS="{architecture}"']
    subprocess.run([nvcc, *flags, "-cubin", "-o", target, source], check=True, timeout=280)
    return target


def kernels(file: Path) -> Iterator[Kernel]:
    """The kernels in a file of machine code, under their C++ names."""
    used = {name: (int(registers), int(stack)) for name, registers, stack in USAGE.findall(dump(file, "-res-usage"))}
    found: dict[str, Kernel] = {}
    for part in dump(file, "-sass").split("Function : ")[1:]:
        name = part.split(maxsplit=1)[0]
        code = [Instruction(int(at, 16), word, rest) for at, word, rest in LINE.findall(part)]
        found[name] = Kernel(name, *used[name], code)
    readable = demangled(list(found))
    for kernel, name in zip(found.values(), readable, strict=True):
        kernel.name = name
        yield kernel


def dump(file: Path, what: str) -> str:
    cuobjdump, nvdisasm = tool("cuobjdump"), tool("nvdisasm")
    assert cuobjdump is not None
    assert nvdisasm is not None
    path = os.pathsep.join([str(Path(nvdisasm).parent), os.environ["PATH"]])  # cuobjdump calls the other one
    return subprocess.run(
        [cuobjdump, what, file], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    ).stdout


def demangled(names: Sequence[str]) -> list[str]:
    """Names as in C++, without namespaces; as they are where there is no c++filt."""
    if shutil.which("c++filt") is None:
        return list(names)
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    short = re.sub(r"hogwild::|cuda::|\(anonymous namespace\)::|^void ", "", text, flags=re.MULTILINE)
    return [re.sub(r">\(.*", ">", line) for line in short.splitlines()]


def table(files: Sequence[Path]) -> Iterator[str]:
    yield "| kernel | registers | stack B | loop | loads in flight | LDG.128 | STG.128 | RED | CAS | spills |"
    yield "| --- |" + " ---: |" * 9
    for file in files:
        for kernel in kernels(file):
            counts = (
                kernel.registers, kernel.stack_bytes, len(kernel.loop), kernel.loads_in_flight,
                sum(map(is_wide_load, kernel.loop)), wide_stores(kernel), kernel.count("RED"),
                kernel.count("ATOMG.E.CAS"), kernel.count("LDL", "STL"),
            )  # fmt: skip
            yield f"| {kernel.name} | {' | '.join(map(str, counts))} |"


def wide_stores(kernel: Kernel) -> int:
    return sum(line.name.startswith("STG") and "128" in line.name.split(".") for line in kernel.loop)


if __name__ == "__main__":
    print("\n".join(table([Path(name) for name in sys.argv[1:]])))
