"""Settings and address of a model: what `teacher`, `judge` and `student.server` have in common."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from longwriter.core.errors import SettingsError
from longwriter.core.settings import bounded, names_file


class ServerKind(Enum):
    """What serves the model."""

    llama_cpp = "llama_cpp"
    """llama.cpp's server inside this process, serving a GGUF file."""
    endpoint = "endpoint"
    """An OpenAI-compatible address that is already up."""
    vllm = "vllm"
    """`vllm serve`, started as a process of its own that ends with the work."""
    transformers = "transformers"
    """`transformers serve`, as a process of its own: a checkpoint's folder of any architecture."""
    auto = "auto"
    """Of a student's checkpoints: llama_cpp where it can serve them, else transformers."""


class Structured(Enum):
    """How a model is made to answer in JSON."""

    json_schema = "json_schema"
    """The server constrains decoding to the schema."""
    json_object = "json_object"
    """The server constrains decoding to some JSON object, and the prompt holds the schema."""
    text = "text"
    """The prompt asks for JSON and the answer is parsed."""


@dataclass(kw_only=True)
class VllmSettings:
    """How `vllm serve` is started, besides the model's name, `context` and `concurrency`."""

    executable: str
    """A program on the PATH, or the path of one; it may belong to another virtual environment."""
    tensor_parallel_size: int = bounded(ge=1)
    """GPUs that hold one copy of the model together."""
    data_parallel_size: int = bounded(ge=1)
    """Copies of the model."""
    start_s: float = bounded(gt=0)
    """Longest wait until the model is loaded, in seconds; a download counts."""


@dataclass(kw_only=True)
class ServerSettings:
    """One model and how to call it."""

    kind: ServerKind
    model: str | None = names_file()
    """`endpoint`: the model's name there. `llama_cpp`: a GGUF file, or `package:NAME/FILE` for one
    inside an installed Python package. `vllm`: a Hugging Face hub id or a local folder; `transformers`: a local folder."""
    base_url: Any
    """`endpoint`: the address up to and with `/v1`, or a list of addresses that serve the same model. Each text
    stays at one of them; one that cannot be reached is left out, and tried again later."""
    identity: str | None
    """`endpoint`: what the cache knows the model by, so that another spelling of the address or of the
    name asks nothing again; null: base_url and model, or of several addresses the model alone."""
    api_key_env: str | None
    """Name of the environment variable that holds the key; never the key."""
    concurrency: int = bounded(ge=1)
    """Calls in flight at once, at all addresses together; for `llama_cpp` also the server's slots, for `vllm` the sequences in
    a batch of one copy of the model."""
    context: int = bounded(ge=128)
    """Tokens of prompt and answer together; for `llama_cpp` of each slot, for `vllm` the longest
    sequence. AgentWrite shows a step no more of a long text than fits."""
    max_tokens: int = bounded(ge=1)
    """Most new tokens of a call."""
    max_tokens_field: str
    """Name of the request's field for it: `max_tokens`, or `max_completion_tokens` for OpenAI's models
    that reason."""
    reasoning_tokens: int = bounded(ge=0)
    """Tokens that the model may think before it answers, where max_tokens counts them too: added to the
    max_tokens of every call."""
    temperature: float | None = bounded(ge=0, le=2)
    """null: not sent, for servers that refuse it."""
    top_p: float | None = bounded(gt=0, le=1)
    """null: not sent."""
    seed: str | None
    """Name of the request's field for the seed, `seed` or Mistral's `random_seed`; null: not sent."""
    stop: bool | None
    """Whether stop strings are sent. Where a server refuses them, false or null: the answer is cut at
    the first of them when it has come."""
    stream: bool
    """Whether an answer comes piece by piece. timeout_s is then the longest silence."""
    structured: Structured
    extra_body: dict[str, Any]
    """Further fields of the request, merged last, as `openai` does; a value `$NAME` is read from the
    environment variable NAME when a call is made, here and in the next two."""
    extra_headers: dict[str, str]
    """Further headers of the request."""
    extra_query: dict[str, str]
    """Further fields of the request's query."""
    timeout_s: float = bounded(gt=0)
    """Longest wait for one answer, in seconds."""
    max_retries: int = bounded(ge=0)
    """Retries after a fault that may pass (408, 409, 5xx, a broken connection)."""
    patience_s: float = bounded(ge=0)
    """Longest wait for a server that takes no calls (429, 529) until the run stops, in seconds."""
    batch: bool
    """Send calls that wait for no other by the provider's batch API, which takes up to a day."""
    batch_price: float = bounded(ge=0)
    """Price of a call in a batch, as a share of the usual one."""
    vllm: VllmSettings | None
    """null where no vLLM is to be started."""
    requests_per_minute: float | None = bounded(gt=0)
    """Requests that the server takes a minute, retries included; null: no limit."""
    tokens_per_minute: float | None = bounded(gt=0)
    """Tokens that the server takes a minute, counted as it counts them: prompt and max_tokens."""
    price_prompt: float | None = bounded(ge=0)
    """US dollars a million prompt tokens; null: as the table of the package genai-prices has it."""
    price_cached_prompt: float | None = bounded(ge=0)
    """US dollars a million prompt tokens from the server's prefix cache; null: as the table has it, or
    price_prompt."""
    price_completion: float | None = bounded(ge=0)
    """US dollars a million completion tokens; null: as the table has it."""

    @property
    def base_urls(self) -> list[str]:
        """The addresses that base_url names, without a slash at their ends; empty where it names none.

        Raises:
            SettingsError: it is neither an address nor a list of different ones.
        """
        given = self.base_url
        listed = list(given) if isinstance(given, list | tuple) else [given] if given else []
        urls = [url.rstrip("/") for url in listed if isinstance(url, str) and url]
        if len(urls) < len(listed) or len(set(urls)) < len(urls):
            raise SettingsError(
                f"base_url: is {given!r}; give an address, or a list of different ones"
            )
        return urls

    def cost(self, prompt_tokens: int, cached_prompt_tokens: int, completion_tokens: int) -> float:
        """Cost of a call in US dollars. `prompt_tokens` include the cached ones."""
        prompt, cached = self.price_prompt or 0.0, self.price_cached_prompt
        return (
            (prompt_tokens - cached_prompt_tokens) * prompt
            + cached_prompt_tokens * (prompt if cached is None else cached)
            + completion_tokens * (self.price_completion or 0.0)
        ) / 1e6

    def price(self, chained: bool) -> float:
        """Price of a call as a share of the usual one. `chained`: whether other calls wait for it."""
        return self.batch_price if self.batch and not chained else 1.0


@dataclass(frozen=True)
class Address:
    """A model that is up."""

    base_url: str
    """The first of them, where there are several."""
    model: str
    identity: str
    """The model in the cache's keys: the SHA-256 of its files, or its name on the Hugging Face hub, or
    the address and name of a model that is served elsewhere."""
    api_key: str = "none"
    others: tuple[str, ...] = ()
    """Further addresses of the same model."""
