"""`hogwild doctor`: the build of hogwild, the resources of this machine, and the options that suit it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from hogwild import system
from hogwild.cli import measuring, shell
from hogwild.runs.environment import PACKAGES, extension, package_version
from hogwild.runs.files import to_json


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_doctor, argv)


def parser() -> shell.Parser:
    parser = shell.Parser(
        "hogwild doctor", "Show the build of hogwild, the resources of this machine, and options that suit it."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="leave out the two seconds of measurement")
    return parser


def _doctor(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    facts = {**examine(), **({} if options.quick else measured())}
    print(to_json(facts, indent=2) if options.json else _report(facts))
    return 0


def examine() -> dict[str, Any]:
    """All facts, plain."""
    cores, shm = system.cores(), system.shared_memory()
    return {
        "hogwild": package_version("hogwild"),
        "packages": {name: package_version(name) for name in PACKAGES},
        "extension": extension(),
        "compilers": {name: _first_line(name, "--version") for name in ("c++", "nvcc", "ninja")},
        "cores": {**dataclasses.asdict(cores), "usable": cores.usable, "limited_by": cores.limited_by},
        "numa_nodes": system.numa_nodes(),
        "memory": dataclasses.asdict(system.memory()),
        "shared_memory": None if shm is None else dataclasses.asdict(shm),
        "threads": _threads(),
        "gpus": _gpus(),
        "advice": _advice(cores),
    }


def measured() -> dict[str, Any]:
    """The measurement and what it recommends; both are empty where the extension cannot be used."""
    if "error" in extension():
        return {"measured": None, "recommended": []}
    found = measuring.measure(system.cores().usable)
    return {"measured": dataclasses.asdict(found), "recommended": measuring.recommended(found)}


def _threads() -> dict[str, Any]:
    import torch

    return {"variables": system.thread_variables(), "torch": torch.get_num_threads(), "each_worker": 1}


def _gpus() -> dict[str, Any]:
    """Names and memory of the GPUs, and the pairs of GPUs with access to each other's memory."""
    from torch import cuda, version

    gpus = range(cuda.device_count() if version.cuda else 0)
    return {
        "torch_cuda": version.cuda,
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "devices": [_gpu_facts(cuda.get_device_properties(gpu)) for gpu in gpus],
        "peer_access": [[one == two or cuda.can_device_access_peer(one, two) for two in gpus] for one in gpus],
        "driver": _driver_facts(),
        "mps_running": system.mps_running(),
    }


def _driver_facts() -> list[dict[str, Any]] | None:
    """For each GPU: the GPUs with memory that it can access, and with native atomics. None without a driver."""
    try:
        from hogwild.kernels import gpus

        return [dataclasses.asdict(gpu) for gpu in gpus()]
    except (ImportError, RuntimeError):
        return None


def _gpu_facts(device: Any) -> dict[str, Any]:
    return {"name": device.name, "bytes": device.total_memory, "capability": f"{device.major}.{device.minor}"}


def _first_line(*command: str) -> str | None:
    """The version that `command` prints: the line with a digit in it. None if there is no such command."""
    if shutil.which(command[0]) is None:
        return None
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line.strip() for line in text.splitlines() if any(c.isdigit() for c in line)]
    return next((line for line in lines if "release" in line), lines[0] if lines else None)


def _advice(cores: system.Cores) -> list[str]:
    advice = []
    if (error := extension().get("error")) is not None:
        advice.append(f"the extension cannot be used ({error}): pip install -v . shows why")
    if cores.usable < 2:
        advice.append("one usable core: workers take turns, and delay then measures the scheduler")
    return advice


def _report(facts: dict[str, Any]) -> str:
    gpus, threads = facts["gpus"], facts["threads"]
    rows = [
        ("hogwild", f"{facts['hogwild'] or 'not installed'}, {_pairs(facts['packages'])}"),
        ("extension", _pairs(facts["extension"])),
        ("compilers", _pairs(facts["compilers"])),
        ("cores", f"{facts['cores']['usable']} usable ({facts['cores']['limited_by']})"),
        ("NUMA", _pairs({f"node {n}: cores": cores for n, cores in facts["numa_nodes"].items()}) or "not known"),
        ("memory", _memory(**facts["memory"])),
        ("/dev/shm", f"{_space(facts['shared_memory'])} (not used: the shared memory of a run has no file)"),
        ("threads", f"1 per worker, {threads['torch']} in torch here; {_pairs(threads['variables'])}"),
        ("CUDA", f"torch {gpus['torch_cuda'] or 'without CUDA'}, MPS running: {_words(gpus['mps_running'])}"),
        *((f"GPU {n}", _gpu(n, gpus)) for n in range(len(gpus["devices"]))),
        *(("advice", line) for line in facts["advice"]),
        *(("suits", line) for line in facts.get("recommended", ())),
    ]
    return "\n".join(f"{name:10} {text}".rstrip(" ;") for name, text in rows)


def _memory(total_bytes: int, available_bytes: int, cgroup_limit_bytes: int | None) -> str:
    limit = "" if cgroup_limit_bytes is None else f" (cgroup limit {_gb(cgroup_limit_bytes)})"
    return f"{_gb(available_bytes)} of {_gb(total_bytes)} available{limit}"


def _space(space: dict[str, int] | None) -> str:
    return "missing" if space is None else f"{_gb(space['free_bytes'])} of {_gb(space['total_bytes'])} free"


def _gpu(n: int, gpus: dict[str, Any]) -> str:
    def peers(those: Sequence[bool]) -> str:
        return " ".join(str(peer) for peer, is_one in enumerate(those) if is_one)

    device, driver = gpus["devices"][n], gpus["driver"]
    text = f"{device['name']}, {_gb(device['bytes'])}, capability {device['capability']}"
    text += f", reaches {peers(gpus['peer_access'][n])}"
    if driver is None:
        return text
    host = " and the host" if driver[n]["host_atomics"] else ""
    places = "places" if driver[n]["placing"] else "cannot place"
    return f"{text}, native atomics in {peers(driver[n]['atomics'])}{host}, {places} memory for several processes"


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_words(value)}" for name, value in values.items())


def _words(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "missing" if value is None else str(value) or "none"


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
