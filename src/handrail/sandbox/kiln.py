"""The kiln: a process that has imported a module, and forks it into walls that stand. Standard library only.

Starting Python with all that a program imports costs ten times as much as a fork. The kiln saves it, inside the same
walls: bwrap raises them as for any other process, round a shell that waits for a word (`HOLD`). Then the kiln forks a
process that joins the control groups, becomes the session's uid, enters all namespaces of the walls at once and forks
once more (only a child is in the pid namespace). The child takes upon itself what bwrap laid upon the shell: limits, no
capability, no new privileges, the system call filter. Only then does it run the module.

Whatever fails before that, the shell is told to execute the command itself: a cold start, in the walls that stand. A
kiln that is late with an answer is killed, and has failed.
What began to run and is lost ends with its walls. The kiln is handed a session's descriptors, but reads nothing: only
the forked process reads the order. The executable is opened through a read-only mount, for /proc/PID/exe leads there
from inside. docs/explanation/security.md tells what processes of one kiln have in common.

Messages to it: `{"inner": pid}` with descriptors [order, stdin, stdout, stderr, pidfd of the inner process, report].
Messages from it: `ready`, or why it cannot be. To `report`: `pid N`, `adopted` (what it forked is a child of the
launcher now), `ran` (the module's code begins), or why not.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING or __package__:
    from handrail.sandbox import linux
    from handrail.sandbox.orders import Order, Warm
else:  # it is run as a script, or imported by one
    sys.path.append(str(Path(__file__).parent))
    import linux

    sys.path.pop()

HOLD = 'read -r word <&{0} || exit; exec {0}<&-; exec "$@"'
"""the shell that keeps the walls up: for a line on descriptor {0} it becomes the command, at its end it ends"""
NAMESPACES = (
    linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET
    | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWCGROUP
)  # fmt: skip
PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP = 4, 15, 22, 23, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 38, 47, 4, 2
CAPABILITY_VERSION = 0x20080522
READY = b"ready"
FAILURES = 3
"""of a kiln, one after another: then it is left alone"""
REPORT = 3
"""the descriptor of `report` in the forked process, until the module runs"""


# --- the launcher's end -----------------------------------------------------------------------------------------------


class Kiln:
    """The kiln of one launcher: started for the second order that could use it, left alone after some failures.

    Args:
        seccomp: the system call filter.
    """

    def __init__(self, seccomp: bytes) -> None:
        self.control: socket.socket | None = None
        """can be read when there is something to `listen` to"""
        self.pid = 0
        self._seccomp = seccomp
        self._module = ""
        self._ready = False
        self._worth = False
        self._failures = 0
        self._seconds = 0.0
        self._late = math.inf
        """when it is late with being ready, or with its end"""
        self._asked: list[Fork] = []

    def prepare(self, warm: Warm | None, descriptors: list[int]) -> Fork | None:
        """The way of an order that is to be forked, or None for a cold start. May start the kiln for later ones."""
        if warm is None or self._failures >= FAILURES:
            return None
        try:
            if self._ready and self._module == warm["module"]:
                return Fork(descriptors, warm["seconds"])
            if self.control is None and self._worth:
                self._start(warm["module"], warm["seconds"])
        except OSError:  # no process or no descriptor is left
            self._failures += 1
        self._worth = True
        return None

    def _start(self, module: str, seconds: float) -> None:
        self._module, self._seconds = module, seconds
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _become(theirs.fileno(), self._seccomp, parent)
            except BaseException as error:  # noqa: BLE001  # a forked child may only exit
                with contextlib.suppress(OSError):
                    theirs.send(str(error).encode())
            finally:
                os._exit(126)
        theirs.close()
        control.setblocking(False)
        self.control = control
        self._late = time.monotonic() + self._seconds
        control.send(module.encode())  # no argument, for what looks for agents by their command

    def listen(self) -> bool:
        """Take a message; False when the kiln has ended and was waited for. What it forked goes on."""
        assert self.control is not None  # noqa: S101
        said = b""
        with contextlib.suppress(ConnectionResetError):
            said = self.control.recv(4096)
        self._late = math.inf
        if said == READY:
            self._ready = True
        elif said:
            sys.stderr.write(
                f"handrail: agents are started anew, for none can be forked: {said.decode(errors='replace')}\n"
            )
            self._failures = FAILURES
        else:
            self.control.close()
            os.kill(self.pid, signal.SIGKILL)  # it may stand still on its last steps
            os.waitpid(self.pid, 0)
            self.control, self.pid, self._ready, self._asked = None, 0, False, []
            self._failures += 1
        return bool(said)

    def ask(self, fork: Fork, inner: int, descriptors: list[int]) -> bool:
        """Ask for a process; False if it cannot be asked, else all else is told by the report."""
        try:
            if self.control is not None and self._ready:
                socket.send_fds(self.control, [json.dumps({"inner": inner}).encode()], descriptors)
                fork.late = time.monotonic() + fork.seconds
                self._asked.append(fork)
                return True
        except OSError:
            pass
        return False

    def judge(self, *, good: bool) -> None:
        """Count how orders fare with it: one that fails every time ends, once it has done what it was asked."""
        self._failures = 0 if good else self._failures + 1
        if self._failures >= FAILURES and self.control is not None:
            self._ready = False
            self._late = time.monotonic() + self._seconds
            with contextlib.suppress(OSError):
                self.control.shutdown(socket.SHUT_WR)

    def patience(self) -> float | None:
        """Seconds until it is late with something; None while nothing is awaited."""
        self._asked = [fork for fork in self._asked if fork.report >= 0 and not fork.adopted]
        late = min([self._late, *(fork.late for fork in self._asked)])
        return None if late == math.inf else max(0.0, late - time.monotonic())

    def hurry(self) -> None:
        """Kill it if it is late: `listen` tells of its end, and each report that nothing more will come."""
        if self.patience() == 0:
            self._late, self._asked = math.inf, []
            os.kill(self.pid, signal.SIGKILL)


class Fork:
    """One order's way through a kiln, as the launcher sees it.

    Args:
        descriptors: of the order and its stdin, stdout and stderr; copies of them are kept until the kiln has them.
        seconds: how long the kiln may take.
    """

    def __init__(self, descriptors: list[int], seconds: float) -> None:
        self.held, self.hold = os.pipe()
        """the end that the shell waits at, and ours; -1 once closed, as all descriptors here"""
        os.set_blocking(self.hold, False)  # what is inside could fill it
        self._given = [os.dup(descriptor) for descriptor in descriptors]
        self._said = b""
        self.report = -1
        self.seconds = seconds
        self.late = math.inf
        """when the kiln is late with it, once it was asked"""
        self.pid = 0
        self.pidfd = -1
        self.gone = False
        """whether what was forked has ended"""
        self.code: int | None = None

    @property
    def told(self) -> bool:
        """Whether all was reported, even if the kiln should stand still before it closes its end."""
        return self.adopted and (self.ran or self.gone)

    @property
    def over(self) -> bool:
        """Whether nothing is to be waited for, or nothing was ever asked."""
        return self.report < 0 and self.pidfd < 0

    @property
    def ran(self) -> bool:
        """Whether code of the module may have run."""
        return b"ran\n" in self._said

    @property
    def adopted(self) -> bool:
        """Whether what was forked, if anything was, is a child of the launcher."""
        return b"adopted\n" in self._said

    @property
    def silent(self) -> bool:
        """Whether nothing at all was heard: the kiln never saw the order."""
        return not self._said

    def ask(self, kiln: Kiln, inner: int, pidfd: int) -> bool:
        """Ask the kiln; False if it cannot be asked."""
        try:
            report, write = os.pipe()
        except OSError:
            return False
        asked = kiln.ask(self, inner, [*self._given, pidfd, write])
        os.close(write)
        if asked:
            self.report = report
        else:
            os.close(report)
        self._let_go()
        return asked

    def listen(self) -> bool:
        """Take what was reported without waiting; whether more may come."""
        data = b"more"
        while data and select.select([self.report], [], [], 0)[0]:
            data = os.read(self.report, 4096)
            self._said += data
        for line in self._said.splitlines():
            if line.startswith(b"pid ") and not self.pid:
                self.pid = int(line[4:])
        return bool(data)

    def known(self) -> set[int]:
        """What it forked, if that is somebody's care; it is told of before it becomes the launcher's."""
        if self.report >= 0:
            self.listen()
        return {self.pid} if self.report >= 0 or self.adopted else set()

    def start_cold(self) -> None:
        """Let the shell become the command."""
        if self.hold >= 0:
            with contextlib.suppress(OSError):  # it is gone, with its walls
                os.write(self.hold, b"\n")
            os.close(self.hold)
            self.hold = -1

    def close(self) -> None:
        """Let go of everything."""
        self._let_go()
        for descriptor in (self.hold, self.report, self.pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self.hold = self.report = self.pidfd = -1

    def _let_go(self) -> None:
        for descriptor in self._given:
            os.close(descriptor)
        self._given = []


def _become(control: int, seccomp: bytes, parent: int) -> NoReturn:
    linux.listen_to_signals()
    linux.die_with(parent)
    image = linux.read_only(os.path.realpath(sys.executable))
    program = linux.memory_file("seccomp", seccomp)
    # pipes like an agent's, so that Python makes the same of them; nobody writes to them and nobody reads
    (read, _), (_, write) = os.pipe(), os.pipe()
    for target, descriptor in enumerate((read, write, write)):
        os.dup2(descriptor, target, inheritable=True)
    for descriptor in (control, program, image):
        os.set_inheritable(descriptor, True)
    words = [sys.executable, "-I", str(Path(__file__)), str(control), str(program), str(image)]
    os.execve(image, words, dict(os.environ))  # noqa: S606


# --- the kiln itself --------------------------------------------------------------------------------------------------


def _imported(name: str) -> Callable[[], object]:
    """The `main` of a module or of a package's `__main__`, once it is imported and its `warm_up`, if any, has run."""
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        name = f"{name}.__main__"
    module = importlib.import_module(name)
    if warm_up := getattr(module, "warm_up", None):
        with contextlib.suppress(Exception):  # without it the same is done later, and takes longer
            warm_up()
    if os.listdir("/proc/self/task") != [str(os.getpid())]:  # noqa: PTH208
        raise linux.Failure(f"importing {name} starts a thread")
    run: Callable[[], object] = module.main
    return run


def main() -> None:
    """Serve the socket whose descriptor is the first argument, until its end; or, forked, run the module.

    The second argument is the descriptor of the system call filter, the third the executable's. The first message names
    the module.
    """
    control, program = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    os.close(int(sys.argv[3]))
    try:
        linux.check(linux.libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")
        with open(program, "rb") as file:
            seccomp = file.read()
        run = _imported(control.recv(4096).decode())
    except Exception as error:  # noqa: BLE001  # whatever a module raises when it is imported
        control.send(f"{type(error).__name__}: {error}".encode()[:4000])
        return
    gc.collect()
    gc.freeze()
    control.send(READY)
    if _serve(control, seccomp):
        sys.modules["__main__"] = sys.modules[run.__module__]
        run()


def _serve(control: socket.socket, seccomp: bytes) -> bool:
    """Fork what is asked for. False at the end; True in a forked process, where the module is to be run."""
    kiln = os.getpid()
    while True:
        body, descriptors = linux.receive(control)
        if not body:
            return False
        *given, report = descriptors
        if (between := os.fork()) == 0:
            try:
                control.close()  # its end is the kiln's own
                order: Order = json.loads(os.pread(given[0], os.fstat(given[0]).st_size, 0))
                _enter(order, json.loads(body)["inner"], given[4], report)
                if os.getpid() == kiln:  # pid namespaces apart: libraries would not see that it was forked
                    os._exit(126)
                _confine(order, given[1:4], report, seccomp)
                os.write(REPORT, b"ran\n")
                os.close(REPORT)
            except BaseException as error:  # noqa: BLE001  # a forked child may only exit
                with contextlib.suppress(OSError):
                    os.write(report, f"{error}\n".encode(errors="replace"))
                os._exit(126)
            return True
        for descriptor in given:
            os.close(descriptor)
        os.waitpid(between, 0)
        with contextlib.suppress(OSError):
            os.write(report, b"adopted\n")
        os.close(report)


def _enter(order: Order, inner: int, pidfd: int, report: int) -> None:
    """Go inside the walls. Returns in a child, which is in the pid namespace; its parent has ended, and told of it."""
    if _label("self") != _label(str(inner)):
        raise linux.Failure("bwrap has a security label of its own")
    linux.join(order["cgroups"])
    if order["uid"] is not None:
        linux.drop(order["uid"])
    linux.check(linux.libc.setns(pidfd, NAMESPACES), "entering the walls")
    if child := os.fork():
        os.write(report, f"pid {child}\n".encode())
        os._exit(0)


def _label(process: str) -> bytes:
    """What AppArmor or SELinux confines a process by."""
    try:
        return Path(f"/proc/{process}/attr/current").read_bytes()
    except OSError:
        return b""


class _Capabilities(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _confine(order: Order, stdio: list[int], report: int, seccomp: bytes) -> None:
    """Lay upon this process, which is inside, what bwrap and the launcher lay upon one that they start."""
    warm = order["warm"]
    assert warm is not None  # noqa: S101
    for target, descriptor in enumerate([*stdio, report]):
        os.dup2(descriptor, target, inheritable=target != REPORT)
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        if number > REPORT:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(number)
    os.setsid()
    os.umask(0o022)
    linux.limit({**order["rlimits"], "RLIMIT_NPROC": order["processes"]})
    os.chdir(warm["cwd"])
    os.environ.clear()
    os.environ.update(warm["env"])
    time.tzset()
    _look_like(warm)
    _give_up_capabilities()
    prctl = linux.libc.prctl
    linux.check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    linux.check(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE")
    if seccomp:
        rules = _Program(len(seccomp) // 8, seccomp)
        linux.check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(rules), 0, 0), "the system call filter")


def _give_up_capabilities() -> None:
    prctl = linux.libc.prctl
    number = 0
    while prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        linux.check(prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "PR_CAPBSET_DROP")
        number += 1
    linux.check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "PR_CAP_AMBIENT")
    header, none = _Header(CAPABILITY_VERSION, 0), (_Capabilities * 2)()
    linux.check(linux.libc.capset(ctypes.byref(header), ctypes.byref(none)), "giving up capabilities")


def _look_like(warm: Warm) -> None:
    """Show the command to the module, and in lists of processes, where it is no longer than the kiln's own words."""
    words = b"\0".join(map(os.fsencode, warm["argv"])) + b"\0"
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if len(words) <= end - start:
        ctypes.memmove(start, words.ljust(end - start, b"\0"), end - start)
    name = Path(warm["argv"][0]).name.encode()[:15]
    linux.check(linux.libc.prctl(PR_SET_NAME, name, 0, 0, 0), "PR_SET_NAME")
    sys.argv[:] = [str(sys.modules[warm["module"]].__file__)]
    sys.orig_argv[:] = warm["argv"]


if __name__ == "__main__":
    main()
