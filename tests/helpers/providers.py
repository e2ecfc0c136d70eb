"""Stand-ins of providers: what each refuses, in its own documented words, and how it answers."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from helpers.loopback import Answer, Request, completion

Refusal = Callable[[Request], Answer | None]
"""What a request is refused with; None: it is taken."""

STRICT = {
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "pattern",
    "format",
}
"""Keywords that OpenAI's strict schemas don't know."""


@dataclass(frozen=True)
class Provider:
    """A provider as its documentation describes it."""

    name: str
    refuses: Refusal
    preset: str
    """Option of conf/server/ that it takes."""
    wrong: list[str]
    """Settings of `teacher` that it refuses, beside those of conf/server/endpoint.yaml."""
    says: list[str]
    """What the run then says: the provider's words and the setting to change."""
    right: list[str] = field(default_factory=list)
    """Settings beside the preset."""
    shape: Callable[[Request, str], Answer] = lambda request, text: answered(request, text)


def write(request: Mapping[str, Any]) -> str:
    """What a good teacher answers: a plan of as many steps as are asked for, a paragraph of as many words,
    grades, or a few words."""
    asked = request["messages"][-1]["content"]
    if found := re.search(r"\nPlan (\d+) paragraph", asked):
        steps = [
            {"main_point": f"What is told in part {n}", "word_count": 40}
            for n in range(1, int(found[1]) + 1)
        ]
        if "one line a paragraph" in asked:
            return "\n".join(
                f"Paragraph {n} - Main Point: {step['main_point']} - Word Count: 40 words"
                for n, step in enumerate(steps, start=1)
            )
        return json.dumps({"plan": steps})
    if found := re.search(r"in about (\d+) words. Its point: .*part (\d+)", asked):
        part = chr(96 + int(found[2]))
        return " ".join(
            f"w{part}x{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(int(found[1]))
        )
    if "Reading Experience" in asked:
        names = re.findall(r"^([A-Z][A-Za-z ]+):", asked, re.MULTILINE)
        return json.dumps(dict.fromkeys(names, 4))
    return "Red is a warm colour of the rainbow."


def answered(request: Mapping[str, Any], text: str, **message: Any) -> Answer:
    """A completion, as a stream where the request asks for one."""
    body = completion(text)
    body["choices"][0]["message"] |= message
    return streamed(body) if request.get("stream") else body


def streamed(body: dict[str, Any], broken: bool = False, newline: str = "\n") -> Answer:
    """The body in events of a word each, with a comment line that keeps the connection alive.

    Args:
        broken: whether it ends in the midst.
    """
    choice = body["choices"][0]
    message = choice["message"]
    words: list[Any] = re.findall(r"\S*\s*", message["content"] or "")[:-1]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{name: message[name]} for name in ("reasoning_content",) if message.get(name)]
    deltas += [{"content": word} for word in words]
    events = [
        {"model": body["model"], "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    events.append(
        {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    )
    events.append({"choices": [], "usage": body["usage"]})
    lines = [f"data: {json.dumps(event)}{newline}{newline}" for event in events]
    lines = lines[: len(lines) // 2] if broken else [*lines, f"data: [DONE]{newline}{newline}"]
    return 200, f": ping{newline}{newline}{''.join(lines)}".encode()


def error(status: int, body: Any) -> Answer:
    return status, json.dumps(body).encode()


def _fields(names: Mapping[str, str], status: int = 400) -> Refusal:
    """Refuses requests that have one of the fields, in so many words."""

    def refuses(request: Request) -> Answer | None:
        for name, words in names.items():
            if name in request:
                return error(
                    status, {"error": {"message": words, "param": name, "code": "unsupported"}}
                )
        return None

    return refuses


def _openai(request: Request) -> Answer | None:
    if "max_tokens" in request:
        words = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        )
        return error(400, {"error": {"message": words, "param": "max_tokens"}})
    for name in ("temperature", "top_p"):
        if request.get(name, 1) != 1:
            words = f"Unsupported value: '{name}' does not support {request[name]} with this model."
            return error(400, {"error": {"message": words, "param": name}})
    if "stop" in request:
        words = "Unsupported parameter: 'stop' is not supported with this model."
        return error(400, {"error": {"message": words, "param": "stop"}})
    schema = request.get("response_format", {}).get("json_schema", {}).get("schema", {})
    for part in _objects(schema):
        if unknown := STRICT & set(part):
            words = (
                f"Invalid schema for response_format 'answer': {min(unknown)!r} is not permitted."
            )
            return error(400, {"error": {"message": words, "param": "response_format"}})
        if set(part.get("properties", {})) != set(part.get("required", [])):
            words = "Invalid schema for response_format 'answer': 'required' must list every key."
            return error(400, {"error": {"message": words, "param": "response_format"}})
    return None


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "type" in schema:
            yield schema
        for inner in schema.values():
            yield from _objects(inner)


def _gemini(request: Request) -> Answer | None:
    if "seed" not in request:
        return None
    words = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
    return error(400, [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}])


def _mistral(request: Request) -> Answer | None:
    known = {"model", "messages", "max_tokens", "temperature", "top_p", "random_seed", "stop"}
    known |= {"response_format", "stream", "stream_options"}
    for name in set(request) - known:
        detail = {
            "type": "extra_forbidden",
            "loc": ["body", name],
            "msg": "Extra inputs are not permitted",
        }
        return error(422, {"object": "error", "message": {"detail": [detail]}})
    return None


def _kimi(request: Request) -> Answer | None:
    if "temperature" not in request:
        return None
    words = "invalid temperature: only 1 is allowed for this model"
    return error(400, {"error": {"message": words, "type": "invalid_request_error"}})


def _dashscope(request: Request) -> Answer | None:
    if request.get("stream") or request.get("enable_thinking") is False:
        return None
    words = "parameter.enable_thinking must be set to false for non-streaming calls"
    return error(400, {"error": {"code": "invalid_parameter_error", "message": words}})


def _streams_only(request: Request) -> Answer | None:
    if request.get("stream"):
        return None
    words = "This model only support stream mode, please enable the stream parameter to access the model."
    return error(400, {"error": {"code": "invalid_parameter_error", "message": words}})


def _deepseek(request: Request) -> Answer | None:
    if request.get("response_format", {}).get("type") != "json_schema":
        return None
    return error(400, {"error": {"message": "This response_format type is unavailable now"}})


def _tgi(request: Request) -> Answer | None:
    if request.get("top_p", 0.5) < 1:
        return None
    words = "Input validation error: `top_p` must be > 0.0 and < 1.0"
    return error(422, {"error": words, "error_type": "validation"})


def _azure_classic(request: Request) -> Answer | None:
    if "api-version=" not in request.path:
        return error(404, {"error": {"code": "404", "message": "Resource not found"}})
    if request.headers.get("api-key") != "sk-azure-planted":
        words = "Access denied due to invalid subscription key."
        return error(401, {"error": {"code": "401", "message": words}})
    return None


def _nothing(request: Request) -> Answer | None:
    return None


def _unknown_name(request: Request) -> Answer | None:
    return error(404, {"detail": "Not Found"}) if request["model"] == "m" else None


def _thinks(request: Request, text: str) -> Answer:
    """As vLLM and SGLang serve Qwen3: thinking stands in the content unless the template is told."""
    if request.get("chat_template_kwargs", {}).get("enable_thinking") is False:
        return answered(request, text)
    return answered(request, f"<think>\nThe user wants words.\n\nLet me count.\n</think>\n\n{text}")


def _beside(request: Request, text: str) -> Answer:
    """As DeepSeek's reasoner and Kimi: thinking comes beside the text."""
    return answered(request, text, reasoning_content="The user wants words. Let me count.")


def _in_parts(request: Request, text: str) -> Answer:
    """As Mistral's models that reason: a list of parts."""
    if request.get("stream"):
        return answered(request, text)
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me count."}]}
    body = completion(text)
    body["choices"][0]["message"]["content"] = [thinking, {"type": "text", "text": text}]
    return body


def _behind_a_gateway(request: Request, text: str) -> Answer:
    """A gateway ends connections on which nothing comes: without a stream there is no answer."""
    if request.get("stream"):
        return answered(request, text)
    time.sleep(0.05)
    return 504, b"<html><head><title>504 Gateway Time-out</title></head></html>"


PROVIDERS = [
    Provider(
        "OpenAI, models that reason",
        _openai,
        "openai",
        [],
        [
            "'max_tokens' is not supported with this model",
            "set teacher.max_tokens_field=max_completion_tokens",
        ],
    ),
    Provider(
        "OpenAI, a temperature",
        _openai,
        "openai_flex",
        ["teacher.max_tokens_field=max_completion_tokens", "teacher.temperature=0.5"],
        ["'temperature' does not support 0.5", "set teacher.temperature=null"],
    ),
    Provider(
        "OpenAI, stop strings",
        _openai,
        "openai",
        ["teacher.max_tokens_field=max_completion_tokens"],
        ["'stop' is not supported with this model", "set teacher.stop=false"],
    ),
    Provider(
        "Anthropic",
        _fields(
            {
                "temperature": "`temperature` is deprecated for this model.",
                "top_p": "`top_p` is deprecated for this model.",
            }
        ),
        "anthropic",
        [],
        ["`temperature` is deprecated for this model.", "set teacher.temperature=null"],
    ),
    Provider(
        "Gemini",
        _gemini,
        "gemini",
        [],
        ['Unknown name "seed": Cannot find field.', "set teacher.seed=null"],
    ),
    Provider(
        "Mistral",
        _mistral,
        "mistral",
        [],
        ["body.seed: Extra inputs are not permitted", "set teacher.seed=null"],
        shape=_in_parts,
    ),
    Provider(
        "Kimi",
        _kimi,
        "kimi",
        [],
        ["invalid temperature: only 1 is allowed", "set teacher.temperature=null"],
        shape=_beside,
    ),
    Provider(
        "DashScope (Qwen3)",
        _dashscope,
        "dashscope",
        [],
        ["enable_thinking must be set to false", "set teacher.extra_body.enable_thinking=false"],
    ),
    Provider(
        "DashScope, models that stream only",
        _streams_only,
        "dashscope",
        [],
        ["only support stream mode", "set teacher.stream=true"],
    ),
    Provider(
        "DeepSeek",
        _deepseek,
        "deepseek",
        [],
        ["This response_format type is unavailable now", "set teacher.structured=json_object"],
        shape=_beside,
    ),
    Provider(
        "TGI",
        _tgi,
        "endpoint",
        [],
        ["`top_p` must be > 0.0 and < 1.0", "set teacher.top_p=null"],
        right=["teacher.top_p=null"],
    ),
    Provider(
        "Azure, classic address",
        _azure_classic,
        "azure",
        [],
        ["Resource not found", "teacher.base_url is mistyped"],
        right=[
            "teacher.model=m",
            "teacher.extra_query={api-version: 2026-10-01}",
            "teacher.extra_headers={api-key: $LW_AZURE_KEY}",
        ],
    ),
    Provider("vLLM and SGLang (Qwen3)", _nothing, "sglang", [], [], shape=_thinks),
    Provider("OpenRouter", _nothing, "openrouter", [], [], shape=_beside),
    Provider("Groq", _nothing, "groq", [], [], shape=_beside),
    Provider("Ollama", _nothing, "ollama", [], [], shape=_thinks),
    Provider(
        "A gateway that ends silent connections",
        _nothing,
        "endpoint",
        ["teacher.max_retries=0"],
        ["504 Gateway Time-out", "set teacher.stream=true"],
        right=["teacher.stream=true"],
        shape=_behind_a_gateway,
    ),
    Provider(
        "A mistyped address or model",
        _unknown_name,
        "endpoint",
        [],
        ["404: Not Found", "does not know model 'm', or teacher.base_url is mistyped"],
        right=["teacher.model=n"],
    ),
]


def stand_in(provider: Provider) -> Callable[[Request], Answer]:
    """The provider as a server."""

    def answer(request: Request) -> Answer:
        return provider.refuses(request) or provider.shape(request, write(request))

    return answer
