"""Runs of several boxes on loopback under torchrun itself: an agent per box, the first of which serves the store."""

from __future__ import annotations

import contextlib
import signal

import psutil
from box_runs import Boxes, until
from torchrun import free_port


class TorchrunBoxes(Boxes):
    """As Boxes; a process is the agent of a box, and the box its child. The agent starts a box again that dies."""

    def serve(self) -> int:
        return free_port()

    def command(self, box: int) -> tuple[list[str], dict[str, str]]:
        options = {
            "nnodes": self.boxes, "nproc-per-node": 1, "node-rank": box, "master-addr": "127.0.0.1",
            "master-port": self.port, "max-restarts": 3, "monitor-interval": 0.1,
        }  # fmt: skip
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return ["-m", "torch.distributed.run", *flags], {"PYTHONWARNINGS": ""}

    def box(self, box: int) -> psutil.Process:
        """The process of the box."""
        until(lambda: self.alive(box), f"the agent of box {box} starts it")
        return self.alive(box)[0]

    def alive(self, box: int) -> list[psutil.Process]:
        """The process of the box, if its agent has one. The agent has other children too."""
        found = []
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.processes[box].pid).children():
                if "hogwild.train" in child.cmdline():
                    found.append(child)
        return found

    def ended(self, *boxes: int) -> list[int]:
        """As of Boxes. The others' agents are not waited for: an agent waits 300 s for one that was killed."""
        until(lambda: not any(map(self.alive, boxes)), "the boxes end", self.wait_s)
        if any(process.poll() == -signal.SIGKILL for process in self.processes):
            for b in boxes:
                if self.processes[b].poll() is None:
                    self.processes[b].kill()
            return [0 if self.summary(b).get("exit_reason") == "done" else 1 for b in boxes]
        return super().ended(*boxes)

    def listens(self) -> bool:
        """Whether anybody still has the store's port."""
        return any(c.status == "LISTEN" and c.laddr.port == self.port for c in psutil.net_connections("tcp"))
