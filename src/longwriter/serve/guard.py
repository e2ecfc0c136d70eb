"""Access control: checks a request's Host, Origin and token before anything else sees it."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 2**20
"""Maximum size of a request's body, in bytes."""

MOST_DISCARDED = 2**26
"""Maximum number of bytes read from the body of a refused request."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PUBLIC = {"/", "/health"}
"""Paths that need no token, as they hold no secret and cost nothing; the page asks for it."""


def refusal(status: int, message: str) -> JSONResponse:
    """Returns an error response in the format of OpenAI's API."""
    error = {"message": message, "type": "invalid_request_error", "code": status}
    return JSONResponse({"error": error}, status)


async def discard(receive: Receive) -> None:
    """Reads and drops the rest of a request's body.

    If the server closed the connection earlier, the client's sending would fail and it would never
    read the answer.
    """
    left = MOST_DISCARDED
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


class Guard:
    """Lets only those requests through that were meant for this server.

    Without a token, only this machine can reach the server. But any web page that the user visits
    can send requests to it, under a name that it made resolve to 127.0.0.1 (DNS rebinding) or
    across origins. The Host and Origin headers reveal such requests.
    Source: https://fetch.spec.whatwg.org/#origin-header.
    """

    def __init__(self, app: App, token: str = "") -> None:
        """Wraps `app`.

        Args:
            token: required as `Authorization: Bearer TOKEN`, except for _PUBLIC; empty: none.
        """
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            refused = self._refusal(scope["path"], Headers(scope=scope))
            if refused:
                await discard(receive)
            await (refused or self.app)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, path: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        origin = headers.get("origin")
        if not self.token and _name(host) not in _LOOPBACK:
            return refusal(
                421, f"Host {host!r}: this server answers to localhost and 127.0.0.1 only"
            )
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return refusal(403, f"Origin {origin!r}: requests of other pages are refused")
        if self.token and path not in _PUBLIC:
            given = headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return refusal(401, "this server needs its token: Authorization: Bearer TOKEN")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return refusal(413, f"a request may have {MOST_BYTES:,} bytes, this one has {length}")
        return None


def _name(host: str) -> str | None:
    """Returns the host name in a Host header, without the port; None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
