"""Under our own MPS daemon: two clients with cooperative launches, then the trainer. The last part of all, because a
hang here, or the kill that ends it, may leave the daemon's clients unusable.

    python -m bench.gpu.mps DEVICE PUSHES SIZE     one client: says `ready`, waits for a line, pushes, says `done`
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from bench.gpu import tied
from bench.gpu.model import Model, scaled
from bench.gpu.scene import DRY_SIZE, Scene
from bench.gpu.trainer import WORKERS, train
from hogwild.rules import Gap, Guard, HeavyBall

DAEMON = "nvidia-cuda-mps-control"
N = 1 << 21  # small enough for a cooperative launch; each grid fills the device
CLIENTS, CLIENT_PUSHES, DRY_PUSHES = 2, 2000, 5
LIMIT_S, DRY_LIMIT_S = 20.0, 90.0


def run(scene: Scene) -> None:
    """Without a daemon, as in a dry run, the two clients run all the same; they then take turns on the device."""
    with daemon(scene) as environment:
        n, pushes, limit_s = (DRY_SIZE, DRY_PUSHES, DRY_LIMIT_S) if scene.is_dry else (N, CLIENT_PUSHES, LIMIT_S)
        words = [scene.device.type, str(pushes), str(n)]
        began = time.monotonic()
        reason = meet([sys.executable, "-m", "bench.gpu.mps", *words], CLIENTS, environment, limit_s)
        scene.record(
            "cooperative launches of two clients", "under MPS" if environment else "without MPS",
            verdict="FAIL" if reason else "PASS", s=time.monotonic() - began, reason=reason,
        )  # fmt: skip
        if reason:
            sys.exit(1)
        for workers in WORKERS if environment else ():
            train(scene, "trainer, MPS", f"{workers} workers", ["--workers", str(workers)], environment)


@contextlib.contextmanager
def daemon(scene: Scene) -> Iterator[dict[str, str]]:
    """The variables by which a process becomes a client of our daemon; none, with a row, where there can be none."""
    if scene.is_dry or not scene.on_gpu or shutil.which(DAEMON) is None:
        scene.record("trainer, MPS", "left out", reason="a dry run" if scene.is_dry else f"no {DAEMON} here")
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="mps") as folder:
        variables = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for path in variables.values():
            Path(path).mkdir()
        environment = {**os.environ, **variables}
        subprocess.run([DAEMON, "-d"], env=environment, check=True, timeout=20)
        try:
            yield variables
        finally:
            subprocess.run([DAEMON], input="quit\n", text=True, env=environment, timeout=20, check=False)


def meet(command: Sequence[str], clients: int, environment: Mapping[str, str], limit_s: float) -> str:
    """Start clients, let them begin together, and wait for all. Returns the reason of a failure, else nothing."""
    deadline = time.monotonic() + limit_s
    started = [
        subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, preexec_fn=tied.to_parent,
        )
        for _ in range(clients)
    ]  # fmt: skip
    try:
        for word in ("ready", "done"):
            for client in started:
                said = hear(client, word, deadline)
                if said != word:
                    return f"a client said {said!r} instead of {word!r}"
            if word == "ready":
                for client in started:
                    assert client.stdin is not None
                    client.stdin.write(b"go\n")
                    client.stdin.flush()
    finally:
        for client in started:
            client.kill()
            client.communicate()
    return ""


def hear(client: subprocess.Popen[bytes], word: str, deadline: float) -> str:
    """The first line of a client that is `word`; else the end of all that it has said by its end or the deadline."""
    assert client.stdout is not None
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(client.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(client.stdout.fileno(), 4096)
            said += part
            if word.encode() in said.split(b"\n"):
                return word
            if not part:
                break
    return said[-300:].decode(errors="replace").strip() or "nothing in time"


def client(device: torch.device, pushes: int, n: int) -> None:
    model = Model(scaled(n), device)
    push = model.make_push(Guard.ELEMENT, Gap(level="global"), HeavyBall(0.9))
    if device.type == "cuda":
        assert push.is_cooperative, "the push is not cooperative on this device"
    push(model.grads, lr=1e-6, pushes=1, lr_max=1e-6)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(pushes):
        push.enqueue(model.grads, lr=1e-6, pushes=2 + number, lr_max=1e-6)
    assert push.stats().applied
    print("done", flush=True)


def main(arguments: Sequence[str]) -> None:
    device, pushes, n = arguments
    torch.set_num_threads(1)
    client(torch.device("cuda:0" if device == "cuda" else device), int(pushes), int(n))


if __name__ == "__main__":
    main(sys.argv[1:])
