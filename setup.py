"""Builds hogwild._C with ninja: C++ always, CUDA where nvcc is found. Needs no torch and no GPU.

HOGWILD_CUDA=auto|0|1|check   auto (default): with a CUDA part if nvcc is under CUDA_HOME or on PATH; 1 insists on it.
    check only shows that it compiles, in half the time: PTX that is not optimised, far too slow to be used.
HOGWILD_CUDA_ARCHS="80 90a 90+ptx"   architectures of the CUDA part (this is the default); N+ptx: PTX only.
HOGWILD_ISAS=all|baseline   baseline leaves out the loops for AVX2 and AVX-512, which take most of the compiler's time.
HOGWILD_BUILD=FOLDER    keeps what is compiled there for the next build; pip throws its own folder away.
HOGWILD_DEBUG=0|1|address|thread   1: -O1 -g and assertions; address, thread: that sanitizer as well (CONTRIBUTING.md).
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11
from ninja import ninja_syntax
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CSRC = Path(__file__).parent.resolve() / "csrc"
# The files that bind Python are compiled as one: each by itself would compile pybind11's templates again, for 12 s.
PYTHON = [source for source in sorted(CSRC.glob("*.cpp")) if "py::" in source.read_text()]
# Without contraction into FMA and with IEEE square roots, every instruction set and CUDA give the same bits. Without
# errno and traps, square roots and selections vectorise. Loops over memory that others write must not become memcpy.
MATH = "-fno-math-errno -fno-trapping-math -ffp-contract=off -fopenmp-simd -fno-tree-loop-distribute-patterns"
OPTIMIZE = {
    "0": "-O3 -DNDEBUG",
    "1": "-O1 -g",
    "address": "-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer",
    "thread": "-O1 -g -fsanitize=thread",
}
X86 = {"avx2": "-mavx2 -mfma", "avx512": "-mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512"}
CUDA_ARCHS = "80 90a 90+ptx"
CXX17 = """#include <charconv>
#include <optional>
#include <string_view>
template <class T> constexpr bool both(T a) { if constexpr (sizeof(T) > 1) { return a > T(0); } else { return false; } }
int main() { auto [a, b] = std::pair(1, 2); return both(a) && std::optional<std::string_view>("x") ? b : 0; }
"""


def choice(name: str, default: str, allowed: list[str]) -> str:
    value = os.environ.get(name) or default
    if value not in allowed:
        sys.exit(f"{name}={value}: expected one of {', '.join(allowed)}")
    return value


def find_nvcc() -> str | None:
    wanted = choice("HOGWILD_CUDA", "auto", ["auto", "0", "1", "check"])
    home = os.environ.get("CUDA_HOME")
    nvcc = shutil.which("nvcc", path=f"{home}/bin" if home else None)
    if wanted in ("1", "check") and nvcc is None:
        remedy = "set CUDA_HOME, or HOGWILD_CUDA=0"
        sys.exit(f"HOGWILD_CUDA={wanted}, but there is no nvcc in CUDA_HOME/bin or on PATH: {remedy}")
    return None if wanted == "0" else nvcc


def is_check() -> bool:
    return os.environ.get("HOGWILD_CUDA") == "check"


def find_compiler() -> str:
    """The command of a compiler that knows the C++17 which csrc/ is written in."""
    compiler = os.environ.get("CXX") or "c++"
    command = shlex.split(compiler)
    if shutil.which(command[0]) is None:
        sys.exit(f"hogwild needs a C++17 compiler and found no '{compiler}': install g++ or clang++, or set CXX")
    probe = [*command, "-std=c++17", "-x", "c++", "-fsyntax-only", "-"]
    tried = subprocess.run(probe, input=CXX17, text=True, capture_output=True)
    if tried.returncode != 0:
        version = subprocess.run([*command, "--version"], text=True, capture_output=True).stdout.partition("\n")[0]
        sys.exit(f"hogwild needs a C++17 compiler, and {compiler} ({version}) is none: set CXX to g++ 9 or clang++ 10")
    return compiler


def python_headers() -> str:
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").is_file():
        sys.exit(f"hogwild needs the headers of this Python, and {include}/Python.h is missing: install python3-dev")
    return include


def cuda_archs() -> dict[str, str]:
    """Virtual architecture -> code made for it."""
    found = {}
    archs = "90+ptx" if is_check() else os.environ.get("HOGWILD_CUDA_ARCHS") or CUDA_ARCHS
    for name in archs.split():
        match = re.fullmatch(r"(\d{2,3}[af]?)(\+ptx)?", name)
        if match is None:
            sys.exit(f"HOGWILD_CUDA_ARCHS: {name!r} is none of 80, 90a, 90+ptx, ...")
        found[f"compute_{match[1]}"] = f"compute_{match[1]}" if match[2] else f"sm_{match[1]}"
    return found


def require_linux() -> None:
    if sys.platform != "linux":
        sys.exit(
            f"hogwild runs on Linux only (memfd, robust mutexes, futexes), and this is {sys.platform}: "
            "use a Linux machine, a container or WSL 2"
        )


class NinjaBuild(build_ext):
    def build_extension(self, ext: Extension) -> None:
        debug = choice("HOGWILD_DEBUG", "0", list(OPTIMIZE))
        compiler, nvcc = find_compiler(), find_nvcc()
        folder = Path(os.environ.get("HOGWILD_BUILD") or self.build_temp).resolve() / f"debug-{debug}"
        module = Path(self.get_ext_fullpath(ext.name)).resolve()
        include = [pybind11.get_include(), python_headers(), *self.include_dirs]
        try:
            for path in (folder, module.parent):
                path.mkdir(parents=True, exist_ok=True)
            write_if_new(folder / "python.cpp", "".join(f'#include "{source}"\n' for source in PYTHON))
            with open(folder / "build.ninja", "w") as file:
                write_ninja(ninja_syntax.Writer(file), module, compiler, nvcc, debug, include)
        except OSError as error:
            sys.exit(
                f"hogwild cannot be built here ({error}): build in a folder that you may write, on a disk with room"
            )
        if subprocess.call([sys.executable, "-m", "ninja", "-C", str(folder)]) != 0:
            sys.exit("building hogwild._C failed; the compiler's message is above")


def write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:  # what is written anew is compiled anew
        path.write_text(text)


def write_ninja(
    n: ninja_syntax.Writer, module: Path, compiler: str, nvcc: str | None, debug: str, include: list[str]
) -> None:
    flags = f"-std=c++17 -fPIC -fvisibility=hidden {OPTIMIZE[debug]} -DHOGWILD_DEBUG={int(debug != '0')}"
    n.rule(
        "cxx", f"{compiler} {flags} {MATH} -Wall -Wextra $more -MD -MF $out.d -c $in -o $out", deps="gcc",
        depfile="$out.d",
    )  # fmt: skip
    sanitize = " ".join(flag for flag in OPTIMIZE[debug].split() if "sanitize" in flag)
    n.rule("link", f"{compiler} -shared {sanitize} $in -o $out -pthread -ldl")
    objects = []

    def compiled(source: Path, rule: str = "cxx", name: str = "", more: str = "") -> None:
        objects.append(f"{name or source.parent.name + '-' + source.stem}.o")
        n.build(objects[-1], rule, str(source), variables={"more": more})

    if nvcc is not None:
        archs = [f"-gencode arch={virtual},code={real}" for virtual, real in cuda_archs().items()]
        names = " ".join(cuda_archs().values())
        host = f"-ccbin {shlex.quote(compiler)} -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra"
        n.rule(
            "nvcc", f"{nvcc} -std=c++17 -O3 {'-Xcicc -O0 ' * is_check()}-fmad=false {host} {' '.join(archs)} "
            f"-DHOGWILD_CUDA_ARCHS='\"{names}\"' -MD -MF $out.d -c $in -o $out", deps="gcc", depfile="$out.d",
        )  # fmt: skip
        link = f"-Xcompiler {','.join(sanitize.split())}" if sanitize else ""
        n.rule("link-cuda", f"{nvcc} -shared -cudart static {link} $in -o $out -lpthread -ldl")
    for source in sorted((CSRC / "cuda").glob("*.cu")) if nvcc else [CSRC / "cuda/absent.cpp"]:
        compiled(source, "nvcc" if nvcc else "cxx")
    compiled(Path("python.cpp"), name="python", more=" ".join(f"-isystem {shlex.quote(path)}" for path in include))
    wide = platform.machine() in ("x86_64", "AMD64") and choice("HOGWILD_ISAS", "all", ["all", "baseline"]) == "all"
    for isa, more in {"baseline": "", **(X86 if wide else {})}.items():
        for source in (CSRC / f"cpu/{name}.cpp" for name in ("kernels", "norm", "row_loops")):
            compiled(source, name=f"{source.stem}-{isa}", more=f"-DHW_ISA={isa} {more}")
    compiled(CSRC / "cpu/isa.cpp", more=f"-DHW_WIDE={int(wide)}")
    plain = [CSRC / f"cpu/{name}.cpp" for name in ("exchange", "pair", "push", "row_groups", "rows")]
    for source in [*sorted(set(CSRC.glob("*.cpp")) - set(PYTHON)), *plain]:
        compiled(source)
    n.build(str(module), "link-cuda" if nvcc else "link", objects)


require_linux()
setup(ext_modules=[Extension("hogwild._C", sources=[])], cmdclass={"build_ext": NinjaBuild})
