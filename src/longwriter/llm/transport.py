"""HTTP to an OpenAI-compatible server, by `openai`'s client: connections, retries, typed errors.

Importing `openai` takes half a second, so `llm.client` imports this module when a client is made.
"""

import ipaddress
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import httpx2
import openai

from longwriter.core.errors import (
    BadRequest,
    ContextExceeded,
    LongwriterError,
    RateLimited,
    ServerError,
    ServerFault,
    TimedOut,
)
from longwriter.llm.settings import Address, ServerSettings

CONNECTIONS = 8
"""Connections of one pool, about. For each request httpx goes through all connections of its pool,
which for a thousand takes longer than the request."""

Hooks = Mapping[str, list[Callable[..., Any]]]
"""`request` and `response` → what the HTTP client calls at each of them."""


class Transport:
    """Posts chat completions to one server."""

    def __init__(self, settings: ServerSettings, address: Address, hooks: Hooks) -> None:
        self._settings = settings
        self._address = address
        self._pools = _pools(settings, address, hooks)
        self._next = cycle(self._pools)

    async def post(self, request: dict[str, Any]) -> bytes:
        """The body of the response to `request`, after up to `max_retries` retries.

        Raises:
            CallError: this request failed for good.
            ServerError: every request would fail.
        """
        try:
            # `chat.completions.create` would walk request and answer by their types, which takes
            # longer than everything else that a call costs here.
            response = await next(self._next).post(
                "/chat/completions", body=request, cast_to=httpx2.Response
            )
        except openai.OpenAIError as error:
            raise self._typed(error) from None
        return response.content

    async def close(self) -> None:
        """Closes all connections."""
        for pool in self._pools:
            await pool.close()

    def _typed(self, error: openai.OpenAIError) -> LongwriterError:
        where, what = self._address.base_url, str(error)
        if self._settings.api_key_env:  # some servers send the key back
            what = what.replace(self._address.api_key, f"<{self._settings.api_key_env}>")
        match error:
            case openai.APITimeoutError():
                return TimedOut(f"{where}: no answer in {self._settings.timeout_s:g} s")
            case openai.APIConnectionError() if not isinstance(
                error.__cause__, httpx2.ConnectError
            ):
                return ServerFault(f"{where}: the connection broke ({error.__cause__ or what})")
            case openai.APIConnectionError():
                return ServerError(
                    f"{where}: cannot be reached ({error.__cause__ or what}). Start the server or "
                    "fix base_url, then run the same command: finished calls are kept."
                )
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                key = self._settings.api_key_env
                return ServerError(f"{where}: refuses the key (api_key_env={key}): {what}")
            case openai.NotFoundError():
                return ServerError(f"{where}: does not know model {self._address.model!r}: {what}")
            case openai.RateLimitError() if error.code == "insufficient_quota":
                return ServerError(f"{where}: the account has no money left: {what}")
            case openai.RateLimitError():
                return RateLimited(f"{where}: {what}")
            case openai.BadRequestError() if "context" in what.lower():
                return ContextExceeded(f"{where}: {what}")
            case openai.APIStatusError() if error.status_code < 500 and error.status_code not in (
                408,
                409,
            ):
                return BadRequest(f"{where}: {what}")
            case _:
                return ServerFault(f"{where}: {what}")


def _pools(settings: ServerSettings, address: Address, hooks: Hooks) -> list[openai.AsyncOpenAI]:
    """Clients with a pool of connections each, one for every CONNECTIONS calls in flight."""
    tls = httpx2.create_ssl_context()
    return [
        openai.AsyncOpenAI(
            base_url=address.base_url,
            api_key=address.api_key,
            timeout=settings.timeout_s,
            max_retries=settings.max_retries,
            http_client=openai.DefaultAsyncHttpxClient(
                verify=tls,
                trust_env=not _loopback(address.base_url),
                event_hooks=hooks,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            ),
        )
        for _ in range(-(-settings.concurrency // CONNECTIONS))
    ]


def _loopback(url: str) -> bool:
    """Whether the address is on this machine, where no proxy from the environment may be used."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
