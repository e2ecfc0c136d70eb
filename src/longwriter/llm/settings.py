"""Settings and address of a model, as used by `teacher`, `judge` and `student.server`."""

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
    """An OpenAI-compatible server that is already running."""
    vllm = "vllm"
    """`vllm serve`, started as a separate process that ends with the work."""
    transformers = "transformers"
    """`transformers serve`, also a separate process, for checkpoint folders of any architecture."""
    auto = "auto"
    """For a student's checkpoints: vllm if installed, else llama_cpp if able, else transformers."""


class Structured(Enum):
    """How a model is made to answer in JSON."""

    json_schema = "json_schema"
    """The server constrains decoding to the schema."""
    json_object = "json_object"
    """The server constrains decoding to any JSON object, and the prompt contains the schema."""
    text = "text"
    """The prompt asks for JSON and the answer is parsed."""


@dataclass(kw_only=True)
class VllmSettings:
    """How `vllm serve` is started, besides the model's name, `context` and `concurrency`."""

    executable: str
    """A program on the PATH, or the path to one; it may belong to another virtual environment."""
    tensor_parallel_size: int = bounded(ge=1)
    """GPUs that share one copy of the model."""
    data_parallel_size: int = bounded(ge=1)
    """Copies of the model."""
    start_s: float = bounded(gt=0)
    """Longest wait for the model to load, in seconds, including a download."""


@dataclass(kw_only=True)
class ServerSettings:
    """One model and how to call it."""

    kind: ServerKind
    model: str | None = names_file()
    """`endpoint`: the model's name at that server. `llama_cpp`: a GGUF file, or
    `package:NAME/FILE` for one inside an installed Python package. `vllm`: a Hugging Face hub id or
    a local folder. `transformers`: a local folder."""
    base_url: Any
    """`endpoint`: the address up to and including `/v1`, or a list of addresses that serve the same
    model. All calls of a text go to the same one; an address that cannot be reached is left out and
    tried again later."""
    identity: str | None
    """`endpoint`: name of the model in the cache's keys, so that finished calls are found again
    when the address or the model's name is spelled differently; null: base_url and model, or just
    the model if there are several addresses."""
    api_key_env: str | None
    """Name of the environment variable that holds the key; never the key itself."""
    concurrency: int = bounded(ge=1)
    """Calls in flight at once, at all addresses together; for `llama_cpp` also the server's slots,
    for `vllm` the sequences in a batch of one copy of the model."""
    context: int = bounded(ge=128)
    """Tokens of prompt and answer together; for `llama_cpp` per slot, for `vllm` the longest
    sequence. AgentWrite shows a step only as much of a long text as fits."""
    max_tokens: int = bounded(ge=1)
    """Most new tokens of a call."""
    max_tokens_field: str
    """Request field for max_tokens: `max_tokens`, or `max_completion_tokens` for OpenAI's reasoning
    models."""
    reasoning_tokens: int = bounded(ge=0)
    """Tokens that the model may think before it answers, if the server counts them in max_tokens:
    added to the max_tokens of every call."""
    temperature: float | None = bounded(ge=0, le=2)
    """null: not sent, for servers that refuse it."""
    top_p: float | None = bounded(gt=0, le=1)
    """null: not sent."""
    seed: str | None
    """Request field for the seed, `seed` or Mistral's `random_seed`; null: not sent."""
    stop: bool | None
    """Whether stop strings are sent. For a server that refuses them, set false or null: the
    finished answer is then cut at the first of them."""
    stream: bool
    """Whether answers are streamed. timeout_s is then the longest silence."""
    structured: Structured
    extra_body: dict[str, Any]
    """Extra fields of the request, merged last, as `openai` does. Here, in extra_headers and in
    extra_query, a value `$NAME` is read from the environment variable NAME when a client is
    created."""
    extra_headers: dict[str, str]
    """Extra headers of the request."""
    extra_query: dict[str, str]
    """Extra query parameters of the request."""
    timeout_s: float = bounded(gt=0)
    """Longest wait for one answer, in seconds."""
    max_retries: int = bounded(ge=0)
    """Retries after a transient fault (408, 409, 5xx, a broken connection)."""
    patience_s: float = bounded(ge=0)
    """Longest wait for a server that takes no calls (429, 529) before the run stops, in seconds."""
    batch: bool
    """Send calls that don't depend on each other through the provider's batch API, which takes up
    to a day."""
    batch_price: float = bounded(ge=0)
    """Price of a call in a batch, as a share of the usual one."""
    vllm: VllmSettings | None
    """null if no vLLM is to be started."""
    requests_per_minute: float | None = bounded(gt=0)
    """Requests per minute that the server accepts, retries included; null: no limit."""
    tokens_per_minute: float | None = bounded(gt=0)
    """Tokens per minute that the server accepts, counted as it does: prompt plus max_tokens; null:
    no limit."""
    price_prompt: float | None = bounded(ge=0)
    """US dollars per million prompt tokens; null: taken from the package genai-prices' table."""
    price_cached_prompt: float | None = bounded(ge=0)
    """US dollars per million prompt tokens from the server's prefix cache; null: taken from that
    table, or else price_prompt."""
    price_completion: float | None = bounded(ge=0)
    """US dollars per million completion tokens; null: taken from that table."""

    @property
    def base_urls(self) -> list[str]:
        """The addresses that base_url names, without a trailing slash; empty if it names none.

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
        """Returns the cost of a call in US dollars; `prompt_tokens` include the cached ones."""
        prompt, cached = self.price_prompt or 0.0, self.price_cached_prompt
        return (
            (prompt_tokens - cached_prompt_tokens) * prompt
            + cached_prompt_tokens * (prompt if cached is None else cached)
            + completion_tokens * (self.price_completion or 0.0)
        ) / 1e6

    def price(self, chained: bool) -> float:
        """Returns the price of a call, as a share of the usual one.

        Args:
            chained: whether other calls wait for it, so that it is not sent in a batch.
        """
        return self.batch_price if self.batch and not chained else 1.0


@dataclass(frozen=True)
class Address:
    """Where a running model can be called."""

    base_url: str
    """The first address, if there are several."""
    model: str
    identity: str
    """The model in the cache's keys: the SHA-256 of its files, its name on the Hugging Face hub, or
    the address and name of a model that is served elsewhere."""
    api_key: str = "none"
    others: tuple[str, ...] = ()
    """Further addresses of the same model."""
