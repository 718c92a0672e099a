"""Hosts as text: one spelling for each, and everything that could be read in two ways refused.

https://url.spec.whatwg.org/#host-parsing is what clients do with odd spellings (`0x7f.1`, `2130706433`); here none of
them is worked out, since nobody who means well writes them.
"""

from __future__ import annotations

import ipaddress
import re

from handrail.egress import HostPort, Refused

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PRINTABLE = re.compile(r"[^A-Za-z0-9.:\[\]*_-]")
LONGEST = 253
"""characters of a name (RFC 1035)"""


def shown(text: str) -> str:
    """`text` with everything that a terminal, a log or a status line could trip over replaced."""
    return _PRINTABLE.sub("?", text[:LONGEST])


def host(text: str) -> str:
    """The one spelling of a name or address.

    Args:
        text: a name, an IPv4 address, or an IPv6 address in brackets.

    Raises:
        Refused: it is none of these, or an address in another spelling than the usual one.
    """
    if text.startswith("[") and text.endswith("]") and ":" in text:
        return _address(text[1:-1], text)
    lower = text.lower().removesuffix(".")
    labels = lower.split(".")
    if len(lower) > LONGEST or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(
            f"{shown(text)} is no host name: only letters, digits, dots and dashes are taken", 400, shown(text)
        )
    return _address(lower, text) if _NUMBER.fullmatch(labels[-1]) else lower


def authority(text: str, default: int | None = None) -> HostPort:
    """`host:port` as a request names it; `default` is the port where none is given.

    Raises:
        Refused: host or port cannot be taken, or there is anything beside them (a user, a path).
    """
    name, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, number = text, "" if default is None else str(default)
    where = host(name)
    if not _PORT.fullmatch(number) or int(number) > 65535:
        raise Refused(f"{shown(text)} names no port from 1 to 65535", 400, where)
    return HostPort(where, int(number))


def is_address(name: str) -> bool:
    """Whether a host that `host` returned is an address."""
    return ":" in name or name.rpartition(".")[2].isdigit()


def _address(text: str, given: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or str(address) != text.lower() or "%" in text:
        raise Refused(f"{shown(given)} is an address in an unusual spelling: give a host name", 403, shown(given))
    return str(address)
