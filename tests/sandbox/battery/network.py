"""Attempts to reach anything but the door."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

from tests.sandbox.battery import PATIENCE, Targets, attempt, c, libc


@attempt
def host_loopback(t: Targets) -> object:
    return socket.create_connection(("127.0.0.1", t["port"]), PATIENCE).recv(10)


@attempt
def host_any_address(t: Targets) -> object:
    return socket.create_connection(("0.0.0.0", t["port"]), PATIENCE).recv(10)  # noqa: S104


@attempt
def host_datagram(t: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(PATIENCE)
        endpoint.sendto(b"x", ("127.0.0.1", t["datagram"]))
        return endpoint.recv(10)


@attempt
def abstract_socket(t: Targets) -> object:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.connect("\0" + t["abstract"])
        return True


@attempt
def path_socket(t: Targets) -> object:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.connect(t["socket"])
        return True


@attempt
def route_to_metadata(_: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect(("169.254.169.254", 53))
        return endpoint.getsockname()


@attempt
def other_interfaces(_: Targets) -> object:
    return [name for _, name in socket.if_nameindex() if name != "lo"]


@attempt
def raw_packets(_: Targets) -> object:
    socket.socket(17, socket.SOCK_RAW, 3).close()
    return True


@attempt
def raw_ping(_: Targets) -> object:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()
    return True


@attempt
def hypervisor_socket(_: Targets) -> object:
    socket.socket(40, socket.SOCK_STREAM).close()
    return True


@attempt
def resolver(_: Targets) -> object:
    return Path("/etc/resolv.conf").read_bytes()


@attempt
def host_loopback_v6(t: Targets) -> object:
    return socket.create_connection(("::1", t["port6"]), PATIENCE).recv(10)


@attempt
def own_address_of_the_host(t: Targets) -> object:
    return socket.create_connection((t["address"], t["port"]), PATIENCE).recv(10)


@attempt
def port_of_the_server(t: Targets) -> object:
    return socket.create_connection(("localhost", t["port"]), PATIENCE).recv(10)


@attempt
def route_to_the_world(_: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.connect(("192.0.2.1", 53))
        return endpoint.getsockname()


@attempt
def listen_for_the_host(t: Targets) -> object:
    with socket.create_server(("0.0.0.0", t["listen"])) as server:  # noqa: S104
        server.settimeout(PATIENCE)
        server.accept()[0].sendall(b"inside")
    return None  # the host tells whether it got in


@attempt
def talk_to_the_netfilter(_: Targets) -> object:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as endpoint:
        # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWTABLE in a batch that is never committed: it is the right that is asked for
        endpoint.send(struct.pack("<IHHIIBBH", 20, 0x10, 1, 1, 0, 0, 0, 10 << 8))
        endpoint.settimeout(0.3)
        try:
            return struct.unpack("<i", endpoint.recv(64)[16:20])[0] == 0
        except TimeoutError:
            return True


@attempt
def add_a_device(_: Targets) -> object:
    """A dummy interface; the answer of a system without that module is not EPERM."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as endpoint:
        kind = struct.pack("<HH", 10, 1) + b"dummy\0\0\0"
        info = struct.pack("<HH", 4 + len(kind), 18) + kind
        body = struct.pack("<BxHiII", 0, 0, 0, 0, 0) + info
        endpoint.send(struct.pack("<IHHII", 16 + len(body), 16, 5 | 0x200, 1, 0) + body)
        return -struct.unpack("<i", endpoint.recv(128)[16:20])[0] not in {1, 13}


@attempt
def tunnel_device(_: Targets) -> object:
    return os.open("/dev/net/tun", os.O_RDWR)


@attempt
def socket_handed_in(_: Targets) -> object:
    """A socket among the descriptors that were inherited; stdin may be one, of this process's own server."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if "socket" in target:
            found.append(target)
    return found


@attempt
def network_of_another(t: Targets) -> object:
    return c(libc.setns(os.open(f"/proc/{t['process']}/ns/net", os.O_RDONLY), 0)) == 0


@attempt
def multicast(_: Targets) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        return endpoint.sendto(b"x", ("224.0.0.251", 5353))


@attempt
def other_programs_at_the_door(t: Targets) -> object:
    """Ports beside the door that the server or its gateway listen on."""
    return [port for port in t["ports"] if _open(port)]


def _open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            return True
    except OSError:
        return False


def ask(t: Targets, request: bytes, seconds: float = PATIENCE) -> bytes:
    """What the door answers, up to 64 KB."""
    answer = b""
    with socket.create_connection(("127.0.0.1", t["door"]), seconds) as door:
        door.settimeout(seconds)
        door.sendall(request)
        until = time.monotonic() + seconds
        while len(answer) < 65536 and time.monotonic() < until:
            try:
                piece = door.recv(65536)
            except OSError:
                break
            if not piece:
                break
            answer += piece
            if b"reached" in answer:
                break
    return answer


@attempt
def gateway_without_a_token(t: Targets) -> object:
    return b"reached" in ask(t, message("/v1/messages", ""))


@attempt
def gateway_with_another_token(t: Targets) -> object:
    return b"reached" in ask(t, message("/v1/messages", "handrail-" + "A" * 32))


@attempt
def gateway_with_a_dead_token(t: Targets) -> object:
    return b"reached" in ask(t, message("/v1/messages", t["dead"]))


@attempt
def gateway_to_another_path(t: Targets) -> object:
    paths = ("/v1/organizations/api_keys", "/v1/files", "/v1/../admin", "//evil.example/v1/messages")
    return [path for path in paths if b"reached" in ask(t, message(path, t["token"]), 1.0)]


def message(path: str, token: str) -> bytes:
    body = b'{"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}'
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {token}\r\nConnection: close\r\n"
    return head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
