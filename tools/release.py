"""Builds what is published, and tries it where there is no compiler: `python tools/release.py [FOLDER]`, default dist.

An sdist, and a wheel for this Python that names the oldest C library it runs with (manylinux). The wheel is then
installed in a fresh environment, with nothing else on PATH, and does the README's main job in an empty folder. In an
environment with the release extra.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1].resolve()
COMPILERS = ("c++", "g++", "cc", "gcc", "clang", "nvcc", "ninja")
JOB = ("-m", "hogwild.train", "--epochs", "1")


def run(command: Sequence[object], **options: object) -> str:
    """The output of a command. Ends this program with it if the command fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}release: {' '.join(map(str, command))}: exit code {done.returncode}")
    return str(done.stdout)


def build(folder: Path) -> list[Path]:
    """The sdist and the manylinux wheel, in `folder`."""
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary)
        run([sys.executable, "-m", "build", "-q", "--sdist", "--wheel", "-o", built, ROOT])
        (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
        run([sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", built / "repaired", wheel])
        (repaired,) = (built / "repaired").glob("*.whl")
        return [Path(shutil.copy(path, folder)) for path in (sdist, repaired)]


def try_out(wheel: Path) -> str:
    """Installs the wheel as a user without a compiler would. Returns the line with the results of the main job."""
    with tempfile.TemporaryDirectory() as temporary:
        environment, empty = Path(temporary, "environment"), Path(temporary, "an empty folder")
        venv.create(environment, with_pip=True)
        empty.mkdir()
        settings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CC", "CXX")}
        settings["PATH"] = str(environment / "bin")
        python = environment / "bin" / "python"
        assert not any(shutil.which(name, path=settings["PATH"]) for name in COMPILERS)
        pip = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:", "-c", ROOT / "constraints.txt"]
        run([*pip, wheel], env=settings)
        said = run([python, *JOB], env=settings, cwd=empty).splitlines()
        return next(line for line in said if line.startswith("done"))


def main(arguments: Sequence[str]) -> int:
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(*arguments or ("dist",))
    folder.mkdir(parents=True, exist_ok=True)
    for path in (made := build(folder)):
        print(f"{path}: {path.stat().st_size / (1 << 20):.1f} MiB")
    print(f"without a compiler: {try_out(made[-1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
