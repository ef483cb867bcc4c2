"""Commands of Python that start within milliseconds: they are forked from a process that has imported torch.

The import costs each command seconds of CPU, and once more its fork server; tests start hundreds. `Popen` and `run` are
those of subprocess, for the commands `[sys.executable, "-W", "error", "-m" MODULE | "-c" CODE | SCRIPT, *arguments]`;
with these the process is a child of the caller, with the environment, folder, streams and session that were asked for.
Tests of how a command starts (sys.path, limits, options of the interpreter) use subprocess itself.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import inspect
import json
import multiprocessing.process
import multiprocessing.util
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

SET_NAME, SET_CHILD_SUBREAPER = 15, 36  # of prctl
LARGEST = 1 << 20  # bytes of a request
PRELOADED = ("hogwild.cli.main", "hogwild.cli.run", "hogwild.drivers.processes.entry", "hogwild.library")
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


class Popen(subprocess.Popen[str]):
    """A command that is forked, with the interface of subprocess.Popen. SIGINT has Python's own handler in it."""

    def _execute_child(self, *given: Any) -> None:  # the place where subprocess forks
        wanted = inspect.signature(super()._execute_child).bind(*given).arguments
        assert wanted["preexec_fn"] is None, "subprocess itself runs functions before a command"
        assert wanted["args"][0] == sys.executable, "only this Python has been started"
        pipes = [wanted[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes)]  # -1: the caller's own
        try:
            self.pid = _fork(
                streams,
                argv=[os.fsdecode(part) for part in wanted["args"][1:]],
                folder=os.fspath(wanted["cwd"] or os.getcwd()),
                environment=dict(os.environ if wanted["env"] is None else wanted["env"]),
                session=bool(wanted["start_new_session"]),
                umask=int(wanted["umask"]),
            )
            self._child_created = True
        finally:
            self._close_pipe_fds(*(wanted[name] for name in PIPES))


def run(
    command: list[Any], *, timeout: float, check: bool = False, capture_output: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """subprocess.run with such a command."""
    if capture_output:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@functools.cache
def _server() -> socket.socket:
    """The connection to the process that forks; the first call starts it."""
    _prctl(SET_CHILD_SUBREAPER, 1)  # then the child of a process that has ended is ours
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, __file__, str(its.fileno())], pass_fds=[its.fileno()])
    its.close()
    atexit.register(process.wait)
    atexit.register(ours.close)  # first: the process ends when it notices this
    return ours


def _fork(streams: list[int], **request: Any) -> int:
    """The pid of a command that has these three streams; a child of this process."""
    socket.send_fds(_server(), [json.dumps(request).encode("utf-8", "surrogateescape")], streams)
    if not (answer := _server().recv(64)):
        raise RuntimeError("the process that commands are forked from has ended; its message is above")
    return int(answer)


def _prctl(option: int, value: Any) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def serve(server: socket.socket) -> dict[str, Any]:
    """Forks a process for each request and reports its pid. Returns the request in such a process, and never else."""
    while True:
        message, streams, _, _ = socket.recv_fds(server, LARGEST, 3)
        if not message:
            sys.exit()
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            if (pid := os.fork()) != 0:
                os.write(writer, str(pid).encode())
                os._exit(0)
            request: dict[str, Any] = json.loads(message.decode("utf-8", "surrogateescape"))
            if request["session"]:
                os.setsid()
            if request["umask"] >= 0:
                os.umask(request["umask"])
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.closerange(3, server.fileno() + 64)
            return request
        os.close(writer)
        os.waitpid(between, 0)
        server.send(os.read(reader, 64))
        os.close(reader)
        for stream in streams:
            os.close(stream)


def become(request: dict[str, Any]) -> None:
    """Makes this process what a fresh interpreter with this command would be, and runs the command."""
    os.chdir(request["folder"])
    multiprocessing.process.ORIGINAL_DIR = os.getcwd()  # where children look for a script with a relative path
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _open_streams()
    arguments = list(request["argv"])
    while arguments[0] == "-W":
        sys.warnoptions.append(arguments[1])
        warnings.simplefilter(arguments[1])  # type: ignore[arg-type]
        del arguments[:2]
    fork_servers = _FutureForkServer()
    multiprocessing.util.spawnv_passfds = fork_servers.spawn  # type: ignore[attr-defined]
    added = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
    if arguments[0] == "-m":
        sys.path[:1] = [os.getcwd(), *added]
        sys.argv = arguments[1:]
        sys.modules.pop(arguments[1], None)  # it is run, not imported
        runpy._run_module_as_main(arguments[1])  # type: ignore[attr-defined]
    elif arguments[0] == "-c":
        sys.path[:1] = ["", *added]
        sys.argv = ["-c", *arguments[2:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[1], "<string>", "exec"), main.__dict__)
    else:
        sys.path[:1] = [str(Path(arguments[0]).parent), *added]
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def _open_streams() -> None:
    through = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", closefd=False, errors="backslashreplace")  # type: ignore[misc]
    sys.stdout.reconfigure(write_through=through)  # type: ignore[union-attr]
    sys.stderr.reconfigure(line_buffering=True, write_through=through)  # type: ignore[union-attr]


class _FutureForkServer:
    """A child that waits, single-threaded, until multiprocessing starts its fork server, and then is that."""

    def __init__(self) -> None:
        self._exec = multiprocessing.util.spawnv_passfds  # type: ignore[attr-defined]
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid: int | None = os.fork()
        if self._pid == 0:
            self._socket.close()
            self._wait(its)
        its.close()

    def spawn(self, path: str, arguments: list[Any], descriptors: list[int]) -> int:
        """As multiprocessing.util.spawnv_passfds."""
        code = os.fsdecode(arguments[-1])
        if self._pid is None or "multiprocessing.forkserver" not in code:
            return int(self._exec(path, arguments, descriptors))
        blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        socket.send_fds(self._socket, [json.dumps([code, descriptors, blocked]).encode()], descriptors)
        pid, self._pid = self._pid, None
        return pid

    @staticmethod
    def _wait(its: socket.socket) -> NoReturn:
        message, received, _, _ = socket.recv_fds(its, LARGEST, 16)
        if not message:
            os._exit(0)
        code, wanted, blocked = json.loads(message)
        moved = [os.dup2(fd, 200 + number) for number, fd in enumerate(received)]
        os.closerange(3, 200)
        for source, target in zip(moved, wanted, strict=True):
            os.dup2(source, target)
            os.close(source)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        _prctl(SET_NAME, b"forkserver")
        exec(code, {"__name__": "__main__"})
        os._exit(0)


def end_after(run: Callable[[], None]) -> NoReturn:
    """Ends this process with the exit code of `run`, without taking all modules apart, which costs a second."""
    code = 1
    try:
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if not isinstance(end.code, (int, type(None))):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    for name in PRELOADED:
        __import__(name)
    gc.freeze()  # so that a collection in a command copies no page of this process
    server = socket.socket(fileno=int(sys.argv[1]))
    request = serve(server)
    server.detach()  # its descriptor is closed
    end_after(functools.partial(become, request))
