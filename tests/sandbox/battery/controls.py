"""What must be possible inside: walls that let nothing be done would pass every attempt."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.sandbox.battery import Targets, control, network, proxy


@control
def write_the_workspace(t: Targets) -> object:
    return Path(t["workspace"], "made").write_text("made")


@control
def write_the_home(t: Targets) -> object:
    return Path(t["home"], "made").write_text("made")


@control
def write_scratch(_: Targets) -> object:
    return Path("/tmp", "made").write_text("made") + Path("/dev/shm", "made").write_text("made")


@control
def commit(t: Targets) -> object:
    for arguments in (("add", "made"), ("-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "made")):
        subprocess.run(["git", *arguments], cwd=t["workspace"], check=True, capture_output=True)
    return True


@control
def start_processes(_: Targets) -> object:
    return subprocess.run(["/bin/sh", "-c", "echo $((6 * 7)) | cat"], check=True, capture_output=True).stdout


@control
def talk_to_oneself(_: Targets) -> object:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        return client.send(b"x")


@control
def open_a_terminal(_: Targets) -> object:
    return os.isatty(os.openpty()[1])


@control
def call_the_model(t: Targets) -> object:
    return b"reached" in network.ask(t, network.message("/v1/messages", t["token"]))


@control
def reach_what_is_allowed(t: Targets) -> object:
    return b"reached" in proxy.get(t, f"http://{proxy.place(t)}/")


@control
def tunnel_to_what_is_allowed(t: Targets) -> object:
    return proxy.connect(t, proxy.place(t), proxy.hello(proxy.ALLOWED))


@control
def use_a_broker(t: Targets) -> object:
    return b"reached" in proxy.get(t, "http://api.broker.internal/v1/x")
