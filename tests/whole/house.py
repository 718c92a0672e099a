"""A whole Handrail as a user has it: the real command line, keeper, server, walls and agent; only the model is played.

Nothing here reaches into a process: what is known is known by the command line, the HTTP API, `/proc` and files. A
command that is run to its end is a fork of a process that has imported the command line (`tests.forked`); one that is
left running, the keeper and the server are started as always.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2

from tests import forked
from tests.fake_provider import FakeProvider, prompt

Obj = dict[str, Any]
Steps = Iterable[dict[str, object]]
MODEL = ("--model", "claude-sonnet-4-5")
PATIENCE = 30.0
"""seconds for anything to happen"""


def until(what: Callable[[], Any], seconds: float = PATIENCE, why: str = "it did not happen") -> Any:
    """Wait until `what` is true; returns its value."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"{why} within {seconds} s"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs, a zombie not counted."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return False


def processes_of(data: Path) -> dict[int, str]:
    """Every process that has to do with a data directory: by its words, environment, folder or mounts."""
    mark, found = os.fsencode(data), {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        if pid == os.getpid():
            continue
        told = b""
        for name in ("cmdline", "environ", "mountinfo"):
            with suppress(OSError):
                told += (entry / name).read_bytes()
        with suppress(OSError):
            told += os.fsencode((entry / "cwd").readlink())
        if mark in told and alive(pid):
            with suppress(OSError):
                found[pid] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:200]
    return found


class Model:
    """The scripted model provider, in a thread of its own.

    Args:
        key: if given, calls with another key are refused.
    """

    def __init__(self, key: str | None = None) -> None:
        self.fake = FakeProvider(key=key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.fake.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.fake.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def heard(self) -> str:
        """The body of the last model call."""
        return self.fake.model_calls[-1].raw.decode("utf-8", "replace")


@dataclass
class House:
    """One data directory, one repository, and a command line for both."""

    data: Path
    repository: Path
    model: Model
    env: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """what stands before the command, such as `setpriv`"""
    python: str = sys.executable

    @property
    def environment(self) -> dict[str, str]:
        """As a user's shell has it; the provider is known by its variables."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        given = {"HANDRAIL_DATA": str(self.data), "HANDRAIL_PORT": "0"}
        return kept | given | {"ANTHROPIC_API_KEY": "good", "ANTHROPIC_BASE_URL": self.model.fake.url} | self.env

    def start(self, *words: str, stdin: int = subprocess.DEVNULL, **env: str) -> subprocess.Popen[bytes]:
        """Start one command and leave it running."""
        return subprocess.Popen(
            [*self.prefix, self.python, "-m", "handrail.cli", *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.repository,
            env=self.environment | env,
        )

    def run(
        self, *words: str, stdin: bytes = b"", code: int | None = 0, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, which must have this exit status."""
        where, env = cwd or self.repository, self.environment | env
        if self.prefix or self.python != sys.executable:
            command = [*self.prefix, self.python, "-m", "handrail.cli", *words]
            raw = subprocess.run(command, input=stdin, capture_output=True, timeout=55, check=False, cwd=where, env=env)
        else:
            raw = forked.run(words, stdin=stdin, cwd=where, env=env, seconds=55)
        done = subprocess.CompletedProcess(
            words, raw.returncode, raw.stdout.decode("utf-8", "replace"), raw.stderr.decode("utf-8", "replace")
        )
        assert code is None or done.returncode == code, (words, done.returncode, done.stdout[-2000:], done.stderr)
        assert "Traceback" not in done.stderr + done.stdout, done.stderr + done.stdout
        return done

    def refused(self, *words: str, code: int = 2, **more: Any) -> str:
        """Run a command that must fail with one sentence on stderr; returns it."""
        done = self.run(*words, code=code, **more)
        assert done.stderr.startswith("handrail: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.strip()

    def json(self, *words: str) -> Obj:
        """What a reading command prints as JSON."""
        told: Obj = json.loads(self.run(*words, "--json").stdout)
        return told

    def call(self, method: str, path: str, body: Obj | None = None) -> Obj:
        """What the API answers: for what is asked again and again, since a process for each question costs a core."""
        told = self.address()
        headers = {"Authorization": f"Bearer {told['token']}"}
        answer = httpx2.request(
            method, f"{told['url']}/api/v1{path}", json=body, headers=headers, timeout=30, trust_env=False, verify=False
        )
        assert answer.is_success, f"{answer.text}\n{(self.data / 'logs' / 'server.log').read_text()[-6000:]}"
        found: Obj = answer.json()
        return found

    def get(self, path: str) -> Obj:
        """What the API tells."""
        return self.call("GET", path)

    # --- sessions -----------------------------------------------------------------------------------------------------

    def hand_off(self, steps: Steps, *options: str, text: str = "Reach it.") -> str:
        """Hand a scripted goal off; the id of its session."""
        words = ("do", prompt(list(steps), text), *options, *MODEL, "--detach", "--json")
        return str(json.loads(self.run(*words).stdout)["id"])

    def events(self, session: str = "last", *kinds: str) -> list[Obj]:
        """The log of a session."""
        rows = self.run("log", session, "--json", *(word for kind in kinds for word in ("--kind", kind))).stdout
        return [json.loads(row) for row in rows.splitlines()]

    def wait(self, session: str, kind: str, count: int = 1, seconds: float = PATIENCE) -> Obj:
        """The `count`-th event of this kind, as soon as it is in the log."""
        face, end = Face(self, session), time.monotonic() + seconds
        face.follow(lambda: len(face.of(kind)) >= count or time.monotonic() > end)
        assert len(face.of(kind)) >= count, f"not {count} {kind} of {session} within {seconds} s"
        return face.of(kind)[count - 1]

    def show(self, session: str = "last") -> Obj:
        """What a session is."""
        return self.json("show", session)

    def at_rest(self, session: str = "last", state: str = "idle") -> Obj:
        """The session, once it is in this state."""
        return dict(until(lambda: told if (told := self.show(session))["state"] == state else None, why=state))

    # --- processes ----------------------------------------------------------------------------------------------------

    def address(self) -> Obj:
        """What `server.json` tells; empty without one."""
        try:
            told: Obj = json.loads((self.data / "server.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return told

    def server(self) -> int | None:
        """The process of the living server, ready or not: the one that its lock names."""
        return self._holder("server.lock")

    def keeper(self) -> int | None:
        """The process of the living keeper."""
        return self._holder("keeper.lock")

    def _holder(self, name: str) -> int | None:
        try:
            with (self.data / name).open("rb") as lock:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
                text = lock.read().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return int(text) if text.isdigit() else None

    def ready(self, but: int | None = None) -> int:
        """Wait for a server, other than `but`, that answers; its process."""

        def answers() -> int | None:
            told = self.address()
            if not told or told["pid"] == but or not alive(int(told["pid"])):
                return None
            with suppress(httpx2.TransportError):
                if (
                    httpx2.get(f"{told['url']}/health", timeout=5, trust_env=False, verify=False).status_code
                    == httpx2.codes.OK
                ):
                    return int(told["pid"])
            return None

        return int(until(answers, why="a server came back"))

    def kill(self, *pids: int | None) -> None:
        """kill -9."""
        for pid in pids:
            assert pid is not None
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def empty(self, seconds: float = 10) -> None:
        """Wait until no process has to do with this house."""
        until(lambda: not processes_of(self.data), seconds, f"left over: {processes_of(self.data)}; gone")

    def close(self) -> None:
        """End what a failed test left running: keeper first, which would start the server again."""
        for pid in (self.keeper(), self.server()):
            if pid is not None:
                self.kill(pid)
        time.sleep(0.1)
        for pid in processes_of(self.data):
            self.kill(pid)


class Face:
    """A page or terminal that follows a session by its stream, and comes back with the last number it saw.

    Args:
        house: where.
        session: which.
    """

    def __init__(self, house: House, session: str) -> None:
        self._house = house
        self._session = session
        self.seen: list[Obj] = []
        self.connections = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.follow, args=(self._stop.is_set,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def of(self, kind: str) -> list[Obj]:
        """What it was shown of one kind."""
        return [event for event in self.seen if event["kind"] == kind]

    def follow(self, enough: Callable[[], bool]) -> None:
        """Read until it is enough, which is asked at each event and each second."""
        while not enough():
            address = self._house.address()
            if address:
                with suppress(httpx2.TransportError, httpx2.StreamError, ValueError):
                    self._read(address, enough)
            self._stop.wait(0.02)

    def _read(self, address: Obj, enough: Callable[[], bool]) -> None:
        last = self.seen[-1]["seq"] if self.seen else 0
        headers = {"Authorization": f"Bearer {address['token']}", "Last-Event-ID": str(last)}
        url = f"{address['url']}/api/v1/sessions/{self._session}/stream"
        timeout = httpx2.Timeout(5.0, read=1.0)
        with httpx2.stream("GET", url, headers=headers, timeout=timeout, trust_env=False, verify=False) as answer:
            if answer.status_code != httpx2.codes.OK:
                return
            self.connections += 1
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.seen.append(json.loads(line[6:]))
                if enough():
                    return
