"""HTTP to an OpenAI-compatible server, through `openai`'s client.

A request returns its answer or raises a typed error. Importing `openai` takes half a second, so
`llm.client` imports this module only when a client is created.
"""

import ipaddress
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
import openai
from openai._constants import RAW_RESPONSE_HEADER

from longwriter.core.errors import (
    LongwriterError,
    RateLimited,
    ServerError,
    ServerFault,
    TimedOut,
    Unreachable,
)
from longwriter.llm.answers import body_of, chunks_in, piece_in
from longwriter.llm.faults import blotted, error_in, fault, pause_in
from longwriter.llm.request import Extras
from longwriter.llm.settings import Address, ServerSettings

CONNECTIONS = 8
"""Approximate number of connections per pool. For each request httpx goes through all connections
of its pool, which with a thousand of them takes longer than the request."""

_UNKNOWN_PATH = (b"<", b'{"error":"Unexpected endpoint', b'{"error": "Unexpected endpoint')
"""Starts of bodies sent with status 200 for an unknown path: web pages, and LM Studio's error."""

OnText = Callable[[str], None]
"""Called with each piece of an answer's text as it arrives."""


class Transport:
    """Posts chat completions to one address."""

    def __init__(
        self, settings: ServerSettings, address: Address, extras: Extras, name: str
    ) -> None:
        """Creates the connection pools.

        Args:
            name: of the server in the settings, such as `teacher`, for the advice in errors.
        """
        self.base_url = address.base_url
        self._settings = settings
        self._address = address
        self._name = name
        self.extras = extras
        self._secrets = list(extras.secrets)
        if settings.api_key_env:
            self._secrets.append((address.api_key, settings.api_key_env))
        self.pools = _pools(settings, address, extras)
        self._next = cycle(self.pools)

    async def post(self, request: dict[str, Any], on_text: OnText | None = None) -> bytes:
        """Posts a request and returns the body of its response.

        That is a chat completion, or whatever else comes with status 200.

        Args:
            on_text: called with each piece of text, if the request asks for a stream.

        Raises:
            CallError: this request failed. If it is a RateLimited, its attribute `pause` holds the
                seconds that the server says to wait, or None.
            ServerError: every request would fail.
        """
        client = next(self._next)
        try:
            # `chat.completions.create` would walk through the request and the answer by their
            # types, which takes longer than all the other work for a call here.
            if request.get("stream"):
                answer = await _streamed(client, request, on_text)
            else:
                response = await client.post(
                    "/chat/completions", body=request, cast_to=httpx2.Response
                )
                answer = response.content
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            elsewhere = getattr(error, "status_code", 0) in (404, 405)
            raise (elsewhere and await self._elsewhere(client, request)) or self.typed(
                error
            ) from None
        if answer is None:
            raise ServerFault(f"{self._address.base_url}: the stream broke off")
        if answer.startswith(_UNKNOWN_PATH):
            moved = await self._elsewhere(client, request)
            if moved:
                raise moved
        found = error_in(answer)
        if found:
            raise self.told(fault(*found, self._settings, self._address.model, self._name))
        return answer

    async def _elsewhere(
        self, client: openai.AsyncOpenAI, request: dict[str, Any]
    ) -> ServerError | None:
        """Returns an error that names the right base_url, if the server answers there.

        Catches an address that lacks its /v1 or that includes the request's path.
        """
        base = self._address.base_url.rstrip("/")
        api = base.removesuffix("/completions").removesuffix("/chat")
        for right in dict.fromkeys((api, api if api.endswith("/v1") else f"{api}/v1")):
            if right == base:
                continue
            there = client.with_options(base_url=right)
            with suppress(openai.OpenAIError):
                answer = await there.post(
                    "/chat/completions", body=request, cast_to=httpx2.Response
                )
                if not answer.content.startswith(_UNKNOWN_PATH):
                    return ServerError(
                        f"{base}: answers below {right}; set {self._name}.base_url={right}"
                    )
        return None

    async def close(self) -> None:
        """Closes all connections."""
        for pool in self.pools:
            await pool.close()

    def typed(self, error: Exception) -> LongwriterError:
        """Converts an exception of the HTTP client to one of this project's errors."""
        where = self._address.base_url
        match error:
            case openai.APITimeoutError() | httpx2.TimeoutException():
                what = "data received for" if self._settings.stream else "answer in"
                return TimedOut(f"{where}: no {what} {self._settings.timeout_s:g} s")
            case openai.APIConnectionError() if isinstance(error.__cause__, httpx2.ConnectError):
                return Unreachable(
                    f"{where}: cannot be reached{_proxy(where)} ({error.__cause__}). Start the server "
                    "or fix base_url, then run the same command: finished calls are kept."
                )
            case openai.APIStatusError():
                return self.told(
                    fault(
                        error.status_code,
                        error.response.content,
                        self._settings,
                        self._address.model,
                        self._name,
                    ),
                    error.response,
                )
            case openai.APIConnectionError():
                cause: object = error.__cause__ or error
            case _:
                cause = error
        said = blotted(str(cause), self._secrets)
        return ServerFault(f"{where}: the connection broke{_proxy(where)} ({said})")

    def told(
        self, error: LongwriterError, response: httpx2.Response | None = None
    ) -> LongwriterError:
        """Returns the error with the address before its message, and without keys.

        Adds the pause that the response asks for; with one, a ServerFault becomes RateLimited.
        """
        message = blotted(f"{self._address.base_url}: {error}", self._secrets)
        pause = pause_in(response.headers, datetime.now(UTC)) if response is not None else None
        busy = isinstance(error, ServerFault) and pause is not None
        told = RateLimited(message) if busy else type(error)(message)
        vars(told).update(vars(error))
        if isinstance(told, RateLimited):
            told.pause = pause
        return told


async def _streamed(
    client: openai.AsyncOpenAI, request: dict[str, Any], on_text: OnText | None
) -> bytes | None:
    """Returns the body assembled from the pieces of a stream; None if the stream broke off."""
    reads: list[bytes] = []
    rest = b""
    response = await client.post(
        "/chat/completions",
        body=request,
        cast_to=httpx2.Response,
        options={"headers": {RAW_RESPONSE_HEADER: "stream"}},
    )
    try:
        async for read in response.aiter_bytes():
            reads.append(read)
            if on_text:
                *lines, rest = (rest + read).split(b"\n")
                for chunk in chunks_in(lines):
                    on_text(piece_in(chunk))
    finally:
        await response.aclose()
    return body_of(b"".join(reads))


def _pools(settings: ServerSettings, address: Address, extras: Extras) -> list[openai.AsyncOpenAI]:
    """Returns clients with a connection pool each, one per CONNECTIONS calls in flight."""
    tls = httpx2.create_ssl_context()
    return [
        openai.AsyncOpenAI(
            base_url=address.base_url,
            api_key=address.api_key,
            timeout=settings.timeout_s,
            max_retries=0,  # llm.client retries: a 429 holds up all calls
            default_headers=extras.headers,
            default_query=extras.query,
            http_client=_http_client(tls, address.base_url),
        )
        for _ in range(-(-settings.concurrency // CONNECTIONS))
    ]


def _http_client(tls: Any, url: str) -> httpx2.AsyncClient:
    """Returns the HTTP client of a pool.

    Raises:
        ServerError: the environment names a proxy that cannot be used.
    """
    try:
        return openai.DefaultAsyncHttpxClient(
            verify=tls,
            trust_env=not _loopback(url),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        )
    except (ImportError, ValueError) as error:  # no package for SOCKS, or an unknown kind of proxy
        named = [n for n in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY") if _variable(n)]
        raise ServerError(
            f"{' and '.join(named) or 'a proxy'}, set in the environment, cannot be used "
            f"({str(error).splitlines()[0]}); name an http:// proxy, unset the variable, or list the "
            f"server's host in NO_PROXY"
        ) from None


def _variable(name: str) -> str | None:
    return os.environ.get(name) or os.environ.get(name.lower())


def _proxy(url: str) -> str:
    """Returns the words that name the proxy to the address in an error; empty without a proxy."""
    place = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(place.scheme) or proxies.get("all")
    if not proxy or _loopback(url) or proxy_bypass(place.hostname or ""):
        return ""
    return f" through the proxy {proxy.rpartition('@')[2]}"


def _loopback(url: str) -> bool:
    """Returns whether the address is on this machine, for which no proxy may be used."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
