"""Boxes that torchrun starts, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Agents:
    """The agents of torchrun of one run in `folder`, one for each node. A context manager: no process is left."""

    def __init__(self, folder: Path, nodes: int = 1, boxes: int = 1) -> None:
        """`boxes`: on each node."""
        self.folder, self.nodes, self.boxes, self.port = folder, nodes, boxes, free_port()
        self.started: list[psutil.Process] = []
        self.agents: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Agents:
        return self

    def __exit__(self, *_: object) -> None:
        self.look()
        for process in self.started:
            if process.is_running():
                process.kill()
        for agent in self.agents.values():
            agent.wait()

    def start(self, node: int, *command: str) -> None:
        """`command`: a script, or -m and a module, and its arguments."""
        options = ["--nnodes", str(self.nodes), "--nproc-per-node", str(self.boxes), "--node-rank", str(node)]
        options += ["--master-addr", "127.0.0.1", "--master-port", str(self.port)]
        with self.output(node).open("ab") as out:
            self.agents[node] = subprocess.Popen(
                [sys.executable, "-m", "torch.distributed.run", *options, *command],
                env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"}, cwd=self.folder, stdout=out, stderr=out,
            )  # fmt: skip

    def output(self, node: int) -> Path:
        return self.folder / f"agent{node}.txt"

    def look(self) -> list[psutil.Process]:
        """All processes of agents that run now; they are remembered, and ended with the test."""
        for agent in self.agents.values():
            if agent.poll() is None:
                process = psutil.Process(agent.pid)
                self.started += [process, *process.children(recursive=True)]
        self.started = [process for process in dict.fromkeys(self.started) if process.is_running()]
        return self.started

    def kill(self, node: int) -> None:
        self.look()
        self.agents[node].send_signal(signal.SIGKILL)
        self.agents[node].wait()
