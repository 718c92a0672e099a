"""The certificates that servers of the world are checked against."""

from __future__ import annotations

import os
import ssl

_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)
"""where distributions keep certificates, for a Python that was built to look elsewhere"""


def context() -> ssl.SSLContext:
    """What a connection to a server of the world is made with, in HTTP/1.1. Reading the certificates takes 20 ms."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_alpn_protocols(["http/1.1"])
    made.load_default_certs()
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath) and (found := next(filter(os.path.isfile, _AUTHORITIES), None)):
        made.load_verify_locations(found)
    return made
