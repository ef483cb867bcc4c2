"""python -m bench.gpu --prepare: everything that can be done before there is a GPU.

It builds the compiled module for one architecture and one Python, in place, and copies the data set. It prints what has
to be carried, which has a limit of size, and plays both plans on the emulated GPU, within their limits of time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.gpu.plan import PLANS
from bench.gpu.runner import ROOT

CARRIED = ROOT / "build/carried"
DATA = "fashion_mnist"
ARCHITECTURE = "90a"
SMALL = {"NVCC_APPEND_FLAGS": "--compress-mode=size"}  # less than half the bytes
MOST_BYTES = 60 << 20
SUFFIX = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"


def prepare(python: str) -> int:
    """`python`: the interpreter to build for. Returns an exit code: 0, or 1 if something is missing or too much."""
    try:
        carried = [build(python), *data()]
        weigh(carried)
        play(python)
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"bench.gpu: {error}", file=sys.stderr)
        return 1
    folder = "" if len(carried) < 2 else f"HOGWILD_DATA={CARRIED.relative_to(ROOT)} "
    print(f"carry: {' '.join(str(path.relative_to(ROOT)) for path in carried)}")
    for name in PLANS:
        print(f"run:   {folder}HOGWILD_OFFLINE=1 python3 -m bench.gpu --plan {name} --out RESULTS")
    return 0


def build(python: str) -> Path:
    """hogwild._C for that Python and ARCHITECTURE, beside the modules for others."""
    suffix = subprocess.run([python, "-c", SUFFIX], capture_output=True, text=True, check=True).stdout.strip()
    module = ROOT / f"hogwild/_C{suffix}"
    settings = {**os.environ, **SMALL, "HOGWILD_CUDA": "1", "HOGWILD_CUDA_ARCHS": ARCHITECTURE}
    command = [python, "setup.py", "-q", "build_ext", "--inplace", "--build-temp", str(CARRIED / "temp")]
    print(f"building {module.relative_to(ROOT)} for sm_{ARCHITECTURE}", flush=True)
    subprocess.run(command, cwd=ROOT, env=settings, check=True, stdout=subprocess.DEVNULL)
    return module


def data() -> list[Path]:
    """Fashion-MNIST, copied from HOGWILD_DATA; nothing if it is not there, and the trainer then takes the digits."""
    source = Path(os.environ.get("HOGWILD_DATA") or ".") / DATA
    if not source.is_dir():
        print(f"no {DATA} under HOGWILD_DATA: the trainer will take the digits")
        return []
    target = CARRIED / DATA
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    return [target]


def weigh(carried: Sequence[Path]) -> None:
    """Raises: ValueError if the paths together are larger than MOST_BYTES."""
    sizes = {path: sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()) for path in carried}
    for path, size in sizes.items():
        print(f"{path.relative_to(ROOT)}: {size / (1 << 20):.1f} MiB")
    if sum(sizes.values()) > MOST_BYTES:
        total = sum(sizes.values()) / (1 << 20)
        raise ValueError(f"{total:.1f} MiB are to be carried, and {MOST_BYTES >> 20} MiB are the limit")


def play(python: str) -> None:
    """Both plans as dry runs on the emulated GPU, one after the other, with one folder of results.

    Raises: ValueError if one fails or takes longer than it may.
    """
    out = CARRIED / "dry"
    shutil.rmtree(out, ignore_errors=True)
    emulated = [python, str(ROOT / "tools/cuda_emulator")]
    subprocess.run([*emulated, "-c", ""], cwd=ROOT, check=True)  # builds it, which is no part of a plan
    for name, plan in PLANS.items():
        began = time.monotonic()
        done = subprocess.run([*emulated, "-m", "bench.gpu", "--dry-run", "--plan", name, "--out", str(out)], cwd=ROOT)
        seconds = time.monotonic() - began
        print(f"plan {name}: {seconds:.0f} s of {plan.seconds:.0f} s as a dry run", flush=True)
        if done.returncode != 0:
            raise ValueError(f"the dry run of plan {name} failed: see {out.relative_to(ROOT)}/log.txt")
        if seconds > plan.seconds:
            raise ValueError(f"the dry run of plan {name} took {seconds:.0f} s, and {plan.seconds:.0f} s are the limit")
