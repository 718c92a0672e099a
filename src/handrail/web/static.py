"""What pages load: one stylesheet, our few scripts, and what others wrote; each address holds its hash."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handrail.errors import NotFound

FOLDER = Path(__file__).parent / "static"
PREFIX = "/static/"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STYLE = "handrail.css"
SCRIPTS = ("vendor/htmx-4.0.1.js", "vendor/hx-sse-4.0.1.js", "live.js", "keys.js", "small.js", "diff.js")
"""what every page loads, in order"""
_KEPT = "public, max-age=31536000, immutable"


def routes() -> list[Route]:
    """The route of these files; they tell nothing of anybody, so that the door is open for them."""
    return [Route(PREFIX + "{name:path}", _served, methods=["GET"])]


@cache
def names() -> frozenset[str]:
    """Every file that is served."""
    return frozenset(
        str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file() and path.suffix in TYPES
    )


@cache
def address(name: str) -> str:
    """Where a page finds the file; it changes when the file does, so that a browser may keep it for ever."""
    return f"{PREFIX}{name}?v={hashlib.sha256(_bytes(name)).hexdigest()[:12]}"


@cache
def _bytes(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@cache
def _packed(name: str) -> bytes:
    return gzip.compress(_bytes(name), 9, mtime=0)


async def _served(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in names():
        raise NotFound(f"there is no file {name!r} for pages")
    headers = {"cache-control": _KEPT, "vary": "accept-encoding"}
    body = _bytes(name)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = _packed(name)
    return Response(body, media_type=TYPES[Path(name).suffix], headers=headers)
