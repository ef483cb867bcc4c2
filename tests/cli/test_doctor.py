from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from hogwild import system
from hogwild.cli import doctor
from hogwild.cli import main as cli
from hogwild.kernels.placed import Gpu


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"cuda": True, "cuda_archs": "80 90a", "isa": ["avx2", "baseline"], "isa_in_use": "avx2"}
    module = ModuleType("hogwild.kernels")
    module.build_info = lambda: info  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hogwild.kernels", module)


@pytest.mark.usefixtures("built")
def test_facts(capsys):
    assert cli.main(["doctor", "--quick", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["extension"]["isa_in_use"] == "avx2"
    assert facts["packages"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert facts["cores"]["usable"] == system.cores().usable
    assert facts["memory"]["total_bytes"] > facts["memory"]["available_bytes"] > 0
    assert facts["shared_memory"]["free_bytes"] > 0
    assert facts["threads"]["variables"]["OMP_NUM_THREADS"] == "1"
    assert len(facts["gpus"]["devices"]) == len(facts["gpus"]["peer_access"])
    assert isinstance(facts["gpus"]["mps_running"], bool)
    assert {"c++", "nvcc", "ninja"} <= facts["compilers"].keys()


@pytest.mark.usefixtures("built")
def test_report(capsys):
    assert cli.main(["doctor", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "extension  cuda yes, cuda_archs 80 90a, isa avx2 baseline, isa_in_use avx2\n" in out
    for row in ("hogwild", "compilers", "cores", "NUMA", "memory", "/dev/shm", "threads", "CUDA"):
        assert f"\n{row} " in "\n" + out
    assert f"{system.cores().usable} usable" in out


@pytest.mark.usefixtures("built")
def test_gpus_and_which_reach_each_other(monkeypatch, capsys):
    device = SimpleNamespace(name="GPU X", total_memory=80 * 10**9, major=9, minor=0)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", lambda one, two: {one, two} == {0, 1})
    assert doctor.examine()["gpus"]["peer_access"] == [[True, True, False], [True, True, False], [False, False, True]]
    assert cli.main(["doctor", "--quick"]) == 0
    assert "GPU 0      GPU X, 80.0 GB, capability 9.0, reaches 0 1\n" in capsys.readouterr().out
    some = Gpu((True, True, False), (True, False, False), host_atomics=False, host_pointer=True, placing=True)
    all_of_them = Gpu((True,) * 3, (True,) * 3, host_atomics=True, host_pointer=True, placing=False)
    sys.modules["hogwild.kernels"].gpus = lambda: [some, all_of_them, some]
    assert cli.main(["doctor", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "reaches 0 1, native atomics in 0, places memory for several processes\n" in out
    assert "reaches 0 1, native atomics in 0 1 2 and the host, cannot place memory for several processes\n" in out
    assert doctor.examine()["gpus"]["driver"][0]["atomics"] == (True, False, False)


def test_mps(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not system.mps_running()
    Path(tmp_path, "control").touch()
    assert system.mps_running()


def test_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "hogwild.kernels", None)
    advice = doctor._advice(system.Cores(64, 1, None))
    assert "the extension cannot be used" in advice[0]
    assert "one usable core" in advice[1]
    assert len(doctor._advice(system.Cores(4, 4, None))) == 1


def test_compiler_versions():
    assert doctor._first_line("no-such-compiler", "--version") is None
    assert doctor._first_line("false", "--version") is None
    assert "3." in (doctor._first_line(sys.executable, "--version") or "")
