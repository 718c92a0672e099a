"""From a name to one checked address, and the connection to exactly that address.

The name is resolved once. If any of its addresses is one that must not be reached (this machine, its neighbours, a
cloud's metadata), the name is refused as a whole: who answers so tries something. What was checked is what is dialled.
https://www.iana.org/assignments/iana-ipv4-special-registry and …-ipv6-special-registry
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from handrail.egress import HostPort, Refused, Resolver, Verdict, names

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Documentation networks (192.0.2.0/24 and its like) are not listed: nothing lives there, and closed build networks
# answer for public registries from them.
_SPECIAL: Mapping[str, tuple[str, ...]] = {
    "this machine": ("0.0.0.0/8", "127.0.0.0/8"),
    "a private network": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "a carrier's inner network": ("100.64.0.0/10",),
    "link-local, where clouds keep their metadata": ("169.254.0.0/16", "fe80::/10"),
    "a cloud's own service": ("168.63.129.16/32", "192.0.0.0/24"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "reserved": ("192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4", "2001::/23", "2002::/16"),
}
_LISTABLE = frozenset({"a private network", "a carrier's inner network"})
"""what may be reached where the rules name the very address"""
_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(text), kind) for kind, texts in _SPECIAL.items() for text in texts
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_RESOLVING = 8
"""threads for names; a slow name server then holds up nothing but this"""


class Guard:
    """Tells which addresses may be dialled.

    Args:
        inside: networks that are reachable though they are private: those of a company's own registry.
    """

    def __init__(self, inside: Sequence[Network] = ()) -> None:
        self._inside = tuple(inside)

    def refusal(self, address: Address, *, listed: bool = False) -> str | None:
        """What the address is, if it must not be dialled; None if it may be.

        Args:
            address: where a connection would go.
            listed: the rules name this very address.
        """
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                return self.refusal(address.ipv4_mapped, listed=listed)
            if address in _NAT64:
                return self.refusal(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF), listed=listed)
        if any(address in network for network in self._inside):
            return None
        kind = next((kind for network, kind in _REFUSED if address in network), None)
        if kind is None and isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
            kind = "this machine" if address.is_loopback or address.is_unspecified else "reserved"
        if kind is None or (listed and kind in _LISTABLE):
            kind = "this machine" if is_own(address) else None
        return kind


def is_own(address: Address) -> bool:
    """Whether this machine has the address now: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


class Dialler:
    """Resolves, checks and connects.

    Args:
        guard: which addresses may be dialled.
        resolver: asked for names; the system's own where None.
    """

    def __init__(self, guard: Guard, resolver: Resolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or self._resolve
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Let the threads go."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def dial(self, place: HostPort, seconds: float) -> socket.socket:
        """A connected socket to `place`, which the rules allow.

        Raises:
            Refused: it resolves to what must not be reached, or cannot be reached.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._connect(place, await self._addresses(place))
        except TimeoutError:
            raise _unreachable(place, f"did not answer within {seconds:.0f} s", 504) from None

    async def _addresses(self, place: HostPort) -> list[Address]:
        listed = names.is_address(place.host)
        try:
            found = [place.host] if listed else await self._resolver(place.host, place.port)
            addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        except (OSError, UnicodeError, ValueError):
            addresses = []
        if not addresses:
            raise _unreachable(place, "has no address: the name is not known")
        for address in addresses:
            if kind := self._guard.refusal(address, listed=listed):
                raise Refused(
                    f"{place} leads to {address}, which is {kind}: that is never reached from inside",
                    403,
                    place.host,
                    place.port,
                )
        return list(dict.fromkeys(addresses))

    async def _connect(self, place: HostPort, addresses: list[Address]) -> socket.socket:
        loop = asyncio.get_running_loop()
        last = "nothing answers"
        for address in addresses:
            sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, (str(address), place.port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                last = (error.strerror or str(error)).lower()
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise _unreachable(place, f"cannot be reached: {last}")

    async def _resolve(self, host: str, port: int) -> list[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_RESOLVING, "resolve")
        # The dot makes the name whole: no search domain of this machine is tried after it.
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, f"{host}.", port)
        return [str(entry[4][0]) for entry in found]


def _look_up(host: str, port: int) -> list[tuple[object, object, int, str, tuple[object, ...]]]:
    return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)]


def _unreachable(place: HostPort, what: str, status: int = 502) -> Refused:
    return Refused(f"{place} is allowed, but {what}", status, place.host, place.port, Verdict.FAILED)
