"""Settings and address of a model: what `teacher`, `judge` and `student.server` have in common."""

from dataclasses import dataclass
from enum import Enum

from longwriter.core.settings import bounded, names_file


class ServerKind(Enum):
    """What serves the model."""

    llama_cpp = "llama_cpp"
    """llama.cpp's server inside this process, serving a GGUF file."""
    endpoint = "endpoint"
    """An OpenAI-compatible address that is already up."""
    vllm = "vllm"
    """`vllm serve`, started as a process of its own that ends with the work."""


class Structured(Enum):
    """How a model is made to answer in JSON."""

    json_schema = "json_schema"
    """The server constrains decoding to the schema."""
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
    inside an installed Python package. `vllm`: a Hugging Face hub id or a local folder."""
    base_url: str | None
    """`endpoint`: the address up to and with `/v1`."""
    api_key_env: str | None
    """Name of the environment variable that holds the key; never the key."""
    concurrency: int = bounded(ge=1)
    """Calls in flight at once; for `llama_cpp` also the server's slots, for `vllm` the sequences in
    a batch of one copy of the model."""
    context: int = bounded(ge=128)
    """Tokens of prompt and answer together; for `llama_cpp` of each slot, for `vllm` the longest
    sequence. AgentWrite shows a step no more of a long text than fits."""
    temperature: float = bounded(ge=0, le=2)
    top_p: float = bounded(gt=0, le=1)
    max_tokens: int = bounded(ge=1)
    """Most new tokens of a call."""
    timeout_s: float = bounded(gt=0)
    """Longest wait for one answer, in seconds."""
    max_retries: int = bounded(ge=0)
    """Retries after a fault that may pass (408, 409, 429, 5xx, a broken connection)."""
    structured: Structured
    vllm: VllmSettings | None
    """null where no vLLM is to be started."""
    requests_per_minute: float | None = bounded(gt=0)
    """Requests that the server takes a minute, retries included; null: no limit."""
    tokens_per_minute: float | None = bounded(gt=0)
    """Tokens that the server takes a minute, counted as it counts them: prompt and max_tokens."""
    price_prompt: float = bounded(ge=0)
    """US dollars a million prompt tokens."""
    price_cached_prompt: float | None = bounded(ge=0)
    """US dollars a million prompt tokens from the server's prefix cache; null: price_prompt."""
    price_completion: float = bounded(ge=0)
    """US dollars a million completion tokens."""

    def cost(self, prompt_tokens: int, cached_prompt_tokens: int, completion_tokens: int) -> float:
        """Cost of a call in US dollars. `prompt_tokens` include the cached ones."""
        cached = self.price_cached_prompt
        return (
            (prompt_tokens - cached_prompt_tokens) * self.price_prompt
            + cached_prompt_tokens * (self.price_prompt if cached is None else cached)
            + completion_tokens * self.price_completion
        ) / 1e6


@dataclass(frozen=True)
class Address:
    """A model that is up."""

    base_url: str
    model: str
    identity: str
    """The model in the cache's keys: the SHA-256 of its files, or its name on the Hugging Face hub, or
    the address and name of a model that is served elsewhere."""
    api_key: str = "none"
