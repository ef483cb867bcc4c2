"""The signals that end a run: once or twice to the parent, and in its worker processes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from hogwild.drivers.interrupts import REPEAT_S, Interrupts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_sent_twice_at_once_is_one_request(number: signal.Signals):
    """As `timeout` sends it to its child and to the group; a person sends it again later."""
    now, heard = [5.0], []
    interrupts = Interrupts(heard.append, clock=lambda: now[0])
    interrupts._handle(number, None)
    now[0] += REPEAT_S * 0.9
    interrupts._handle(number, None)
    interrupts._handle(signal.SIGTERM, None)
    assert heard == [number.name]
    now[0] += REPEAT_S
    with pytest.raises(KeyboardInterrupt):
        interrupts._handle(number, None)


def test_a_second_ctrl_c_is_heard_at_once():
    heard: list[str] = []
    interrupts = Interrupts(heard.append, clock=lambda: 5.0)
    interrupts._handle(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        interrupts._handle(signal.SIGINT, None)
    assert heard == ["SIGTERM"]


WORKER = """
import os, signal, time
from hogwild.drivers.interrupts import SIGNALS, leave_to_parent
signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # as the fork server
leave_to_parent()
for number in SIGNALS:
    os.kill(os.getpid(), number)
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
for number in (signal.SIGTERM, signal.SIGHUP):
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(1)
    os.kill(child, number)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == number
print("alive")
"""

POOL = """
import multiprocessing, signal, time
from hogwild.drivers import fork_server
if __name__ == "__main__":
    fork_server.PRELOAD.remove("torch")  # and what imports it
    fork_server.PRELOAD.remove("hogwild.drivers.processes.entry")
    fork_server.start()
    process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(1000,))
    process.start()
    process.terminate()
    process.join(60)
    print("ended by", process.exitcode)
    process.kill()
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=90, check=True)
    return done.stdout.strip()


def test_a_worker_has_no_answer_but_its_children_end():
    assert run(WORKER) == "alive"


def test_other_processes_from_the_fork_server_can_be_terminated():
    """A pool of the caller's program ends its processes by SIGTERM, also after a run."""
    assert run(POOL) == "ended by -15"
