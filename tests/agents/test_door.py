from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from handrail.agents.door import Door, DoorError, events
from tests.egress.lab import certificate, server_tls


class Server(ThreadingHTTPServer):
    """What it has seen, from which ports, and how many connections it has ended."""

    daemon_threads = True

    def __init__(self, both: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.place = f"127.0.0.1:{self.server_port}"
        self.tls, self.seen, self.ports, self.ended = server_tls(both), list[str](), set[int](), threading.Semaphore(0)

    def close_request(self, request: Any) -> None:
        super().close_request(request)
        self.ended.release()


class Answers(BaseHTTPRequestHandler):
    """Answers each post with events that hold its body. As a proxy it is every server."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        told = f": a comment\r\ndata: {body}\r\ndata: on two lines\r\n\r\nevent: x\ndata:last\n\ndata: torn".encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)
        self.server.seen.append(f"{self.path} {body}")
        self.server.ports.add(self.client_address[1])
        self.close_connection = self.path == "/ends"  # and does not say so

    def do_CONNECT(self) -> None:
        self.server.seen.append(f"{self.path} {self.headers['proxy-authorization']}")
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.close_connection = False
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    cert, both = certificate(tmp_path / "tls", "model.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with Server(both) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def said(door: Door, body: str) -> list[str]:
    with door.post(body.encode()) as answer:
        return [*events(answer)]


def test_a_connection_is_kept_and_made_again_where_it_has_ended(server: Server) -> None:
    places = (f"http://{server.place}/{path}" for path in ("stays", "ends"))
    with closing(Door(next(places), {}, 5)) as stays, closing(Door(next(places), {}, 5)) as ends:
        for number in "123":
            assert said(stays, number) == said(ends, number) == [f"{number}\non two lines", "last"]
            assert server.ended.acquire(timeout=5)
    assert server.seen == [f"/{path} {number}" for number in "123" for path in ("stays", "ends")]
    assert len(server.ports) == 4


def test_into_the_world_it_goes_by_the_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{server.place}")
    with closing(Door("https://model.example/v1?alt=sse", {}, 5)) as door:
        assert said(door, "1") == said(door, "1")
    assert server.seen == ["model.example:443 Basic bWU6cEBzcw==", "/v1?alt=sse 1", "/v1?alt=sse 1"]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DoorError, match="SSL"):
        said(Door(f"https://{server.place}/", {}, 5), "2")
    assert len(server.seen) == 3
