"""Builds hogwild._C with ninja: C++ always, CUDA where nvcc is found. Needs no torch and no GPU.

HOGWILD_CUDA=auto|0|1   auto (default) builds the CUDA part if nvcc is under CUDA_HOME or on PATH; 1 insists on it.
HOGWILD_DEBUG=0|1|address|thread   1: -O1 -g and assertions; address, thread: that sanitizer as well (CONTRIBUTING.md).
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11
from ninja import ninja_syntax
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
DEBUG = os.environ.get("HOGWILD_DEBUG", "0")
WARN = "-Wall -Wextra -Wno-unknown-pragmas"
# -fno-math-errno and no contraction: square roots vectorise, and every instruction set gives the same bits.
# Loops over memory that others write must stay loops, hence no conversion to memcpy.
MATH = "-fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp-simd -fno-tree-loop-distribute-patterns"
OPTIMIZE = {
    "0": "-O3 -DNDEBUG",
    "1": "-O1 -g",
    "address": "-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer",
    "thread": "-O1 -g -fsanitize=thread",
}
X86 = {"avx2": "-mavx2", "avx512": "-mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512"}
CUDA_ARCHS = ["arch=compute_80,code=sm_80", "arch=compute_90a,code=sm_90a", "arch=compute_90,code=compute_90"]


def find_nvcc() -> str | None:
    wanted = os.environ.get("HOGWILD_CUDA", "auto")
    if wanted not in ("auto", "0", "1"):
        sys.exit(f"HOGWILD_CUDA={wanted}: expected auto, 0 or 1")
    home = os.environ.get("CUDA_HOME")
    nvcc = shutil.which("nvcc", path=f"{home}/bin") if home else shutil.which("nvcc")
    if wanted == "1" and nvcc is None:
        sys.exit("HOGWILD_CUDA=1, but there is no nvcc in CUDA_HOME/bin or on PATH: set CUDA_HOME, or HOGWILD_CUDA=0")
    return None if wanted == "0" else nvcc


def find_compiler() -> str:
    compiler = os.environ.get("CXX") or "c++"
    if shutil.which(shlex.split(compiler)[0]) is None:
        sys.exit(f"hogwild needs a C++17 compiler and found no '{compiler}': install g++ or clang++, or set CXX")
    return compiler


class NinjaBuild(build_ext):
    def build_extension(self, ext: Extension) -> None:
        if DEBUG not in OPTIMIZE:
            sys.exit(f"HOGWILD_DEBUG={DEBUG}: expected one of {', '.join(OPTIMIZE)}")
        folder = Path(self.build_temp).resolve() / f"debug-{DEBUG}"
        folder.mkdir(parents=True, exist_ok=True)
        module = Path(self.get_ext_fullpath(ext.name)).resolve()
        module.parent.mkdir(parents=True, exist_ok=True)
        with open(folder / "build.ninja", "w") as file:
            write_ninja(ninja_syntax.Writer(file), module, find_compiler(), find_nvcc(), self.include_dirs)
        if subprocess.call([sys.executable, "-m", "ninja", "-C", str(folder)]) != 0:
            sys.exit("building hogwild._C failed; the compiler's message is above")


def write_ninja(n: ninja_syntax.Writer, module: Path, compiler: str, nvcc: str | None, python: list[str]) -> None:
    csrc = ROOT / "csrc"
    include = " ".join(f"-isystem {shlex.quote(path)}" for path in [pybind11.get_include(), *python])
    n.variable(
        "flags",
        f"-std=c++17 -fPIC -fvisibility=hidden {OPTIMIZE[DEBUG]} {MATH} {WARN} {include}"
        f" -DHOGWILD_DEBUG={int(DEBUG != '0')}",
    )
    n.rule("cxx", f"{compiler} $flags $more -MD -MF $out.d -c $in -o $out", "c++ $out", depfile="$out.d", deps="gcc")
    n.rule("link", f"{compiler} -shared $flags $in -o $out $libs", "link $out")
    objects = []

    def compiled(source: Path, rule: str = "cxx", name: str = "", more: str = "") -> None:
        objects.append(f"{name or source.parent.name + '-' + source.stem}.o")
        n.build(objects[-1], rule, str(source), variables={"more": more})

    for source in sorted([*csrc.glob("*.cpp"), csrc / "cpu/isa.cpp", csrc / "cpu/push.cpp"]):
        compiled(source)
    variants = {"baseline": "", **(X86 if platform.machine() in ("x86_64", "AMD64") else {})}
    for isa, flags in variants.items():
        compiled(csrc / "cpu/kernels.cpp", name=f"kernels-{isa}", more=f"-DHW_ISA={isa} {flags}")
    libs = "-pthread"
    if nvcc is None:
        compiled(csrc / "cuda/absent.cpp")
    n.build(str(module), "link", objects, variables={"libs": libs})
    n.default(str(module))


setup(ext_modules=[Extension("hogwild._C", sources=[])], cmdclass={"build_ext": NinjaBuild})
