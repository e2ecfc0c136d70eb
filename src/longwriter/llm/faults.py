"""Maps a server's error responses to this project's errors.

Providers agree neither on the form of an error's body nor on its status, so its wording counts too.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from longwriter.core.errors import (
    BadRequest,
    ContextExceeded,
    LongwriterError,
    PromptRefused,
    RateLimited,
    ServerError,
    ServerFault,
)
from longwriter.llm.settings import ServerSettings

SHOWN = 300
"""Most characters of a server's message that are shown."""

BUSY = (429, 529)
"""Status codes by which a server says that it takes no calls at the moment."""

_WORDS = (
    "error",
    "message",
    "detail",
    "msg",
    "errors",
    "error_msg",
    "error_message",
    "description",
)
"""Keys under which servers say what is wrong."""

_NO_MONEY = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|credit balance|out of (?:credits?|money)|"
    r"arrearage|overdue|not enough (?:credits?|balance)|billing[_ ](?:hard[_ ]limit|not[_ ]active)|"
    r"余额不足|欠费",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"(?:api|access)[-_ ]?key|authenticat|unauthori[sz]ed|credential|\bbearer\b|\btoken (?:is )?(?:invalid|expired)",
    re.IGNORECASE,
)
_MODERATION = re.compile(
    r"content[_ -]?(?:policy|filter|management)|moderat|\bflagged\b|\bsafety\b|sensitive|inappropriate|"
    r"data[_ ]?inspection|prohibited|violat|\bharm(?:ful)?\b|responsible[_ ]?ai|unsafe|不安全|敏感|违规",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"context[_ ](?:length|window|size)|(?:available|maximum) context|too many tokens|"
    r"(?:prompt|input|request)\b[^.]{0,40}\btoo (?:long|large)|maximum (?:prompt|input|sequence)|"
    r"exceeds? .{0,30}(?:token|context)|range of input length",
    re.IGNORECASE,
)
_OVERLOAD = re.compile(r"overloaded|too many requests|rate[_ ]?limit|throttl", re.IGNORECASE)

REFUSABLE: Mapping[str, tuple[str, str]] = {
    "response_format": (
        "structured",
        "structured=json_object, or text where it knows no JSON mode",
    ),
    "json_schema": ("structured", "structured=json_object, or text where it knows no JSON mode"),
    "schema": ("structured", "structured=json_object, or text where it knows no JSON mode"),
    "json_object": ("structured", "structured=text"),
    "max_completion_tokens": ("max_tokens_field", "max_tokens_field=max_tokens"),
    "max_tokens": ("max_tokens_field", "max_tokens_field=max_completion_tokens"),
    "temperature": ("temperature", "temperature=null"),
    "top_p": ("top_p", "top_p=null"),
    "random_seed": ("seed", "seed=null"),
    "seed": ("seed", "seed=null"),
    "stop": ("stop", "stop=false"),
    "stream": ("stream", "stream=true"),
    "enable_thinking": ("extra_body", "extra_body.enable_thinking=false"),
    "chat_template_kwargs": ("extra_body", "extra_body without chat_template_kwargs"),
    "reasoning_effort": ("extra_body", "extra_body without reasoning_effort"),
}
"""Request field that a server may refuse → the setting that it comes from, and what to set."""


def fault(
    status: int, body: bytes | Any, settings: ServerSettings, model: str, name: str
) -> LongwriterError:
    """Returns the error for a response that holds no answer.

    Args:
        body: the response's bytes, or its parsed JSON.
        name: of the server in the settings, such as `teacher`, for the advice.

    Returns:
        A ServerError if every call would fail in the same way, else a CallError. Its message
        includes the status.
    """
    value = _decoded(body)
    said = said_in(value)
    what = f"{status}: {said}" if said else f"{status}"
    signs = " ".join([said, *_codes(value)])
    if status == 402 or _NO_MONEY.search(signs):
        return ServerError(f"the account has no money left: {what}")
    if status in BUSY or (status != 400 and _OVERLOAD.search(signs)):
        return RateLimited(what)
    if status == 401:
        return ServerError(f"refuses the key (api_key_env={settings.api_key_env}): {what}")
    if 400 <= status < 500 and status not in (404, 408, 409) and _MODERATION.search(signs):
        return PromptRefused(f"the provider refuses this prompt for its content: {what}")
    if status == 403 or (status == 400 and re.search(r"api.?key", signs, re.IGNORECASE)):
        return ServerError(f"refuses the key (api_key_env={settings.api_key_env}): {what}")
    if status == 404:
        return ServerError(f"does not know model {model!r}, or {name}.base_url is mistyped: {what}")
    if 400 <= status < 500 and status not in (408, 409):
        if _CONTEXT.search(signs) and status in (400, 413, 422):
            return ContextExceeded(what)
        return _bad_request(what, value, signs, name)
    silent = status in (408, 504, 524) and not settings.stream
    return ServerFault(
        what + f"; a gateway ends silent connections: set {name}.stream=true" * silent
    )


def error_in(answer: bytes) -> tuple[int, Any] | None:
    """Returns the status and error that a response with status 200 holds in place of an answer.

    Returns None if it holds no error.
    """
    value = (
        _decoded(answer) if b'"error"' in answer[:2000] or b'"error"' in answer[-2000:] else None
    )
    if isinstance(value, list):
        value = next((one for one in value if isinstance(one, dict)), None)
    if not isinstance(value, dict) or value.get("choices") or not value.get("error"):
        return None
    error = value["error"]
    codes = (
        [error.get(key) for key in ("code", "status", "status_code")]
        if isinstance(error, dict)
        else []
    )
    numbers = [int(str(code)) for code in codes if re.fullmatch(r"[45]\d\d", str(code))]
    if numbers:
        return numbers[0], value
    return (429 if _OVERLOAD.search(said_in(value) + " ".join(_codes(value))) else 500), value


def _refused_field(value: Any, signs: str) -> str | None:
    """Returns the request field that an error is about, one of REFUSABLE; None if it names none."""
    named = [text for key, text in _strings(value) if key in ("param", "loc", "parameter")]
    for words in (*named, signs):
        places = [
            (found.start(), -len(field), field)
            for field in REFUSABLE
            if (found := re.search(rf"(?<![a-z_]){field}(?![a-z_])", words, re.IGNORECASE))
        ]
        if places:
            return min(places)[2]
    return None


def _bad_request(what: str, value: Any, signs: str, name: str) -> BadRequest:
    """Returns the error, with what to set if the server refuses a field of the request."""
    streams_only = re.search(r"stream", signs, re.IGNORECASE) and "only" in signs.lower()
    field = "stream" if streams_only else _refused_field(value, signs)
    if field in ("max_tokens", "max_completion_tokens") and re.search(
        r"too large|at most|less than|maximum|\brange\b", signs, re.IGNORECASE
    ):
        return BadRequest(f"{what}; lower {name}.max_tokens or {name}.reasoning_tokens")
    error = BadRequest(f"{what}; set {name}.{REFUSABLE[field][1]}" if field else what)
    error.field = field
    return error


def said_in(value: Any) -> str:
    """Returns a server's error message in one line, shortened to SHOWN characters.

    Args:
        value: the response's parsed body, in any of the providers' forms.
    """
    words = " ".join(_said(value).split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} …"


def _said(value: Any) -> str:
    if isinstance(value, str):
        return re.sub(r"<[^<>]{0,200}>", " ", value) if value.lstrip().startswith("<") else value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_said, value[:3])))
    if not isinstance(value, dict):
        return ""
    said = next((found for key in _WORDS if (found := _said(value.get(key)))), "")
    place = value.get("loc")
    if said and isinstance(place, list):  # FastAPI: the field of the request
        said = f"{'.'.join(map(str, place))}: {said}"
    raw = value.get("metadata", {}).get("raw") if isinstance(value.get("metadata"), dict) else None
    if said and raw:  # OpenRouter: what the provider behind it said
        said = f"{said} ({_said(_decoded(raw))})"
    return said or (json.dumps(value, ensure_ascii=False) if value else "")


def _codes(value: Any) -> Iterator[str]:
    for key, text in _strings(value):
        if key in ("code", "type", "status", "reason", "error_code"):
            yield text


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields every string in a JSON value, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, str):
        yield key, value


def _decoded(body: Any) -> Any:
    if not isinstance(body, bytes | str):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace") if isinstance(body, bytes) else body


def pause_in(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds after which a server's headers say to retry; None if they don't say."""
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        if name in headers:
            seconds = _seconds(headers[name], now)
            if seconds is not None:
                return seconds / scale
    used_up = [
        (_seconds(text, now), headers.get(name.replace("reset", "remaining")))
        for name, text in headers.items()
        if "ratelimit" in name.lower() and "reset" in name.lower()
    ]
    known = [seconds for seconds, left in used_up if seconds is not None and left in (None, "0")]
    return max(known, default=None)


_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(text: str, now: datetime) -> float | None:
    """Returns the seconds from now that a header states; None if it states none.

    Reads a number, a span like 6m0s, a date and time, and seconds or milliseconds since 1970.
    """
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        if _SPAN.sub("", text) == "" and text:
            return sum(float(count) * _UNITS[unit] for count, unit in _SPAN.findall(text))
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            try:
                when = parsedate_to_datetime(text)
            except ValueError:
                return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max((when - now).total_seconds(), 0.0)
    if number > 1e11:
        number /= 1000
    return max(number - now.timestamp() if number > 1e9 else number, 0.0)


def blotted(text: str, secrets: Iterable[tuple[str, str]]) -> str:
    """Returns `text` with secrets replaced by their variables' names: some servers echo the key.

    Args:
        secrets: (secret, name of the environment variable that holds it).
    """
    for secret, name in secrets:
        if secret:
            text = text.replace(secret, f"<{name}>")
    return text
