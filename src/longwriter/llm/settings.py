"""What must be known to speak to a model: the shape that `teacher`, `student` and `judge` share."""

from dataclasses import dataclass
from enum import Enum

from longwriter.core.settings import bounded, names_file


class ServerKind(Enum):
    """Where the OpenAI-compatible address comes from."""

    llama_cpp = "llama_cpp"
    """llama.cpp's server inside this process, serving a GGUF file."""
    endpoint = "endpoint"
    """Any address that is already up."""
    vllm = "vllm"
    """`vllm serve`, started as a process of its own and ended after the work."""


class Structured(Enum):
    """How a model is held to JSON."""

    json_schema = "json_schema"
    """The server constrains decoding to the schema."""
    text = "text"
    """The prompt asks for JSON and the answer is parsed."""


@dataclass(kw_only=True)
class VllmSettings:
    """What `vllm serve` is started with besides the model's name, `context` and `concurrency`."""

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
    """Settings of one model that is spoken to."""

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
    """Tokens of prompt and answer together that the model takes; for `llama_cpp` what each slot is
    given, for `vllm` the longest sequence. AgentWrite shows a step no more of a long text than fits."""
    temperature: float = bounded(ge=0, le=2)
    top_p: float = bounded(gt=0, le=1)
    max_tokens: int = bounded(ge=1)
    """Most new tokens a call."""
    timeout_s: float = bounded(gt=0)
    """Longest wait for one answer, in seconds."""
    max_retries: int = bounded(ge=0)
    """Further tries after a fault that may pass (408, 409, 429, 5xx, a broken connection)."""
    structured: Structured
    vllm: VllmSettings | None
    """null where no vLLM is to be started."""
    requests_per_minute: float | None = bounded(gt=0)
    """Requests that the server takes a minute, further tries included; null: no limit."""
    tokens_per_minute: float | None = bounded(gt=0)
    """Tokens that the server takes a minute, counted as it counts them: prompt and max_tokens."""
    price_prompt: float = bounded(ge=0)
    """US dollars a million prompt tokens."""
    price_cached_prompt: float | None = bounded(ge=0)
    """US dollars a million prompt tokens from the server's prefix cache; null: price_prompt."""
    price_completion: float = bounded(ge=0)
    """US dollars a million completion tokens."""

    def cost(self, prompt_tokens: int, cached_prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars for so many tokens. `prompt_tokens` include the cached ones."""
        cached = self.price_cached_prompt
        return (
            (prompt_tokens - cached_prompt_tokens) * self.price_prompt
            + cached_prompt_tokens * (self.price_prompt if cached is None else cached)
            + completion_tokens * self.price_completion
        ) / 1e6
