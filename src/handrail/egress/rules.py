"""From the words of a person to rules, and from rules to a verdict on one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from handrail.egress import BROKERS, Broker, HostPort, Limits, Refused, Rules, names
from handrail.errors import InvalidInput
from handrail.registries import REGISTRIES

MOST = 200
"""words of one session's network rules"""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_UNHEADED = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"}
)
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_METHOD = re.compile(r"\*|[A-Z]{1,20}")


def parse(words: Sequence[str], brokers: Sequence[Broker] = (), limits: Limits | None = None) -> Rules:
    """The rules that `words` say: names of registries (`pypi`), `host`, `host:port`, `*.host:port`.

    Args:
        words: what may be reached; a host without a port means port 443.
        brokers: upstreams with a secret.
        limits: caps; the usual ones where None.

    Raises:
        InvalidInput: a word or broker cannot be used.
    """
    if len(words) > MOST:
        raise InvalidInput("network", f"{len(words)} rules", f"give at most {MOST}")
    hosts = frozenset(place for word in words for place in places(word))
    for broker in brokers:
        _check(broker)
    if len({broker.name for broker in brokers}) < len(brokers):
        raise InvalidInput("broker", [broker.name for broker in brokers], "give each broker a name of its own")
    return Rules(hosts, tuple(brokers), limits or Limits())


def places(word: str) -> tuple[HostPort, ...]:
    """What one word allows.

    Raises:
        InvalidInput: it is neither a registry nor a host.
    """
    if word in REGISTRIES:
        return tuple(names.authority(place) for place in REGISTRIES[word])
    wild = word.startswith("*.")
    try:
        place = names.authority(word[2:] if wild else word, 443)
    except Refused:
        mend = f"give host or host:port, or a registry: {', '.join(REGISTRIES)}"
        raise InvalidInput("network", word, mend) from None
    if f".{place.host}".endswith(BROKERS):
        raise InvalidInput("network", word, "names under broker.internal are the proxy's own: give another name")
    if names.is_address(place.host):
        if wild:
            raise InvalidInput("network", word, "a wildcard stands before a name, not before an address")
        return (place,)
    if "." not in place.host:
        raise InvalidInput("network", word, f"give a full name with a dot, or a registry: {', '.join(REGISTRIES)}")
    if not wild:
        return (place,)
    return (HostPort(f"*.{place.host}", place.port),)


def admit(rules: Rules, place: HostPort) -> None:
    """Return if the rules allow `place`.

    Raises:
        Refused: they do not; says what to do instead.
    """
    if place in rules.hosts:
        return
    if not names.is_address(place.host):
        labels = place.host.split(".")
        if any(HostPort("*." + ".".join(labels[at:]), place.port) in rules.hosts for at in range(1, len(labels))):
            return
    raise Refused(
        f"{place} is not allowed by this session's policy (network). Ask for it instead of trying another way",
        403,
        place.host,
        place.port,
    )


async def admitted(rules: Rules, place: HostPort) -> None:
    """Return if the rules allow `place`, or their judge does.

    Raises:
        Refused: they do not.
    """
    try:
        admit(rules, place)
    except Refused:
        if rules.judge is None:
            raise
        why = await rules.judge(place)
        if why is not None:
            raise Refused(why, 403, place.host, place.port) from None


def broker_of(rules: Rules, host: str) -> Broker | None:
    """The broker that `host` names; None where it is an ordinary name.

    Raises:
        Refused: it is a broker's name and there is no such broker.
    """
    if not host.endswith(BROKERS):
        return None
    for broker in rules.brokers:
        if host == broker.name + BROKERS:
            return broker
    known = ", ".join(broker.name + BROKERS for broker in rules.brokers) or "there is none in this session"
    raise Refused(f"{host} is no broker: {known}", 403, host, 80)


def _check(broker: Broker) -> None:
    if not _NAME.fullmatch(broker.name):
        raise InvalidInput("broker.name", broker.name, "give lower-case letters, digits and dashes")
    url = urlsplit(broker.upstream)
    try:
        port = url.port
    except ValueError:
        port = 0
    plain = url.scheme in ("http", "https") and url.hostname and not (url.username or url.query or url.fragment)
    if not plain or port == 0 or (url.path and not _PATH.fullmatch(url.path)) or ".." in url.path:
        raise InvalidInput("broker.upstream", broker.upstream, "give a base URL such as https://api.example.com/v1")
    if not _HEADER.fullmatch(broker.header) or broker.header.lower() in _UNHEADED:
        raise InvalidInput("broker.header", broker.header, "give the name of the header that carries the secret")
    if len(broker.secret) < 8 or not _VALUE.fullmatch(broker.value):
        raise InvalidInput("broker.secret", "…", "give at least 8 printable characters")
    for permit in broker.permits:
        if not _METHOD.fullmatch(permit.method) or not _PATH.fullmatch(permit.path) or ".." in permit.path:
            raise InvalidInput("broker.permits", f"{permit.method} {permit.path}", "give a method or *, and a path")
