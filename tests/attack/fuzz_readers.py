"""`python fuzz_readers.py CASES SEED [READER ...]`: so many damaged inputs for each reader; the findings as JSON.

A finding is whatever is not a HogwildError of one line: another exception, a message with control characters, memory
that is asked for in vain, eight seconds of computing, a file written outside the current directory, code executed.
"""

from __future__ import annotations

import collections
import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import reader_cases
import torch

from hogwild.errors import HogwildError
from hogwild.text import MESSAGE_LIMIT, printable

CASE_S = 8.0
MEMORY_BYTES = 1 << 30  # beyond what the libraries have mapped
EXECUTES = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "socket.connect",
)
WRITES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.symlink", "os.link", "os.truncate", "os.chmod")


class Watch:
    """Notes what is written outside `folder`, and what is executed, from now on."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.written: list[str] = []
        self.executed: list[str] = []
        self.is_on = False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.is_on:
            return
        if event in EXECUTES:
            self.executed.append(f"{event} {arguments!r:.200}")
        opens = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if (opens or event in WRITES) and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not (path + "/").startswith(self.folder + "/") and path != os.devnull:
                self.written.append(f"{event} {path}")


class TooLong(BaseException):
    pass


def too_long(*_: object) -> None:
    raise TooLong


def attempt(name: str, seed: str) -> str | None:
    """What is wrong about the outcome of one case; None if nothing is."""
    signal.setitimer(signal.ITIMER_PROF, CASE_S)
    try:
        reader_cases.READERS[name](random.Random(seed))
    except HogwildError as error:
        text = str(error)
        if text != printable(text) or len(text) > MESSAGE_LIMIT:
            return f"message {text!r:.200}"
        return f"a bomb: {text[:200]}" if "more memory than there is" in text else None
    except TooLong:
        return "too long: " + traceback.format_exc()[-400:]
    except Exception:
        return traceback.format_exc()[-1500:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def main() -> None:
    cases, seed, *names = sys.argv[1:]
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    signal.signal(signal.SIGPROF, too_long)
    folder = Path(tempfile.mkdtemp(prefix="readers-")).resolve()
    os.chdir(folder)
    (folder / "planted.py").write_text("import os\nos.mkdir('executed')\n")
    os.environ.update(XDG_CACHE_HOME=str(folder / "cache"), XDG_STATE_HOME=str(folder / "state"), HOGWILD_OFFLINE="1")
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES,) * 2)
    watch, found, count = Watch(folder), collections.Counter[str](), 0
    faulthandler.enable()
    for name in names or reader_cases.READERS:
        print(name, file=sys.stderr, flush=True)  # a crash of the process is then that reader's
        for case in range(int(cases)):
            watch.is_on = True
            fault = attempt(name, f"{seed} {name} {case}")
            watch.is_on = False
            count += 1
            if fault is not None:
                found[f"{name} {case}: {fault}"] += 1
            if Path("executed").exists():
                watch.executed.append(f"{name} {case}")
                shutil.rmtree("executed")
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    os.chdir("/")
    shutil.rmtree(folder)
    facts = {"cases": count, "findings": list(found), "written": watch.written, "executed": watch.executed}
    print(json.dumps({**facts, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main()
