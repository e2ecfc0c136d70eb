"""Sends a server one cheap test request, with the parameters of the calls that follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longwriter.core.errors import BadRequest, CallError, ServerError

if TYPE_CHECKING:
    from longwriter.llm.client import ChatClient

QUESTION = [{"role": "user", "content": "Name a colour of the rainbow and describe it."}]

TOKENS = 64
"""Maximum length of the answer, which nobody reads."""


@dataclass(frozen=True)
class Parameters:
    """What a stage's calls send in addition to messages and settings."""

    schema: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()


async def ask_first(client: "ChatClient", parameters: Parameters) -> None:
    """Sends the test request and fails if the server refuses its form.

    Other call errors are ignored: the real calls deal with them.

    Raises:
        ServerError: the server refuses the request's form, so every call would fail.
    """
    try:
        await client.complete(
            QUESTION,
            max_tokens=min(TOKENS, client.settings.max_tokens),
            schema=dict(parameters.schema) if parameters.schema else None,
            stop=parameters.stop,
            account=client.check_account,
            chained=True,
        )
    except BadRequest as error:
        raise ServerError(
            f"{client.name} refused a test request, so every call would fail: {error}"
        ) from None
    except CallError:
        pass
