"""Exports a trained model for other programs: GGUF, Ollama's Modelfile, vLLM's command line."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longwriter.core.errors import DataError
from longwriter.core.files import replacing, write_text
from longwriter.llm.gguf import unquantised, write_tensors
from longwriter.llm.settings import ServerSettings
from longwriter.text.chat_template import chat_environment

if TYPE_CHECKING:
    from gguf import GGUFReader

Chat = Sequence[dict[str, str]]

MOST_ERROR = 0.2
"""Largest relative error of the weights that the coarsest quantisation causes; more is a bug."""


def export_gguf(checkpoint: Path, template: str | None, path: Path, quantisation: str) -> float:
    """Writes the folder `checkpoint` as a GGUF file, and reads it back as a check.

    Args:
        template: as for `llm.gguf.gguf_of`.
        quantisation: one of `llm.gguf.QUANTISATIONS`.

    Returns:
        The relative error of the written weights: the RMS difference from the checkpoint's weights,
        divided by their RMS.

    Raises:
        DataError, SettingsError: as `gguf_of`.
        DataError: the relative error is not below MOST_ERROR.
    """
    import gguf

    with (
        replacing(path) as (temporary,),
        unquantised(checkpoint, template, path.absolute().parent) as (reader, tensors),
    ):
        write_tensors(reader, tensors(), temporary, quantisation)
        kept = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            for tensor in gguf.GGUFReader(temporary).tensors
        }
        size = difference = 0.0
        for name, values in tensors():
            size += float(np.square(values, dtype=np.float64).sum())
            difference += float(np.square(values - kept[name], dtype=np.float64).sum())
        error = float(np.sqrt(difference / size))
        if not error < MOST_ERROR:
            raise DataError(
                f"{checkpoint}: quantised to {quantisation}, its weights have a relative error of "
                f"{error:.0%}"
            )
    return error


@dataclass(frozen=True)
class Pieces:
    """The text that a chat template puts around the messages of a conversation."""

    without_system: str
    """Text at the start of a chat without a system message: often a default system message."""
    around: dict[str, tuple[str, str]]
    """Role → text before and after the content of its messages."""
    answer: str
    """Text before the answer to be generated."""

    def rendered(self, messages: Chat) -> str:
        """Returns a conversation rendered with these pieces."""
        turns = [message["content"].join(self.around[message["role"]]) for message in messages]
        head = "" if messages[0]["role"] == "system" else self.without_system
        return head + "".join(turns) + self.answer

    @property
    def as_go(self) -> str:
        """The template for Ollama, in Go's template language. Source: ollama, docs/template.md."""
        turns = [
            f'{{{{ {"else " if number else ""}if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for number, (role, (before, after)) in enumerate(self.around.items())
        ]
        head = f"{{{{ if not .System }}}}{self.without_system}{{{{ end }}}}"
        body = f"{{{{ range .Messages }}}}{''.join(turns)}{{{{ end }}}}{{{{ end }}}}"
        return (head if self.without_system else "") + body + self.answer


def pieces_of(render: Callable[[Chat, bool], str]) -> Pieces:
    """Returns the pieces of a chat template.

    Args:
        render: renders messages; with True it also appends the text before an answer.

    Raises:
        DataError: the template does more than put fixed text around messages.
    """
    system, first, answer, second = (
        {"role": role, "content": content}
        for role, content in (
            ("system", "Text 1"),
            ("user", "Text 2"),
            ("assistant", "Text 3"),
            ("user", "Text 4"),
        )
    )
    one = render([first], False)
    two = render([first, answer], False)
    three = render([first, answer, second], False)
    with_system = render([system, first], False)
    before, _, after = one.partition(first["content"])
    user = three[len(two) :].partition(second["content"])[0]
    assistant = two[len(one) :].partition(answer["content"])
    system_before, _, rest = with_system.partition(system["content"])
    system_after = rest.partition(first["content"])[0].removesuffix(user)
    pieces = Pieces(
        before.removesuffix(user),
        {
            "system": (system_before, system_after),
            "user": (user, after),
            "assistant": (assistant[0], assistant[2]),
        },
        render([first], True)[len(one) :],
    )
    for chat in (
        [first],
        [system, first],
        [first, answer, second],
        [system, first, answer, second],
    ):
        if pieces.rendered(chat) != render(chat, True):
            raise DataError(
                "its chat template does more than add fixed text around messages, so it cannot be "
                "converted to an Ollama template; export gguf and write the Modelfile's TEMPLATE "
                "by hand"
            )
    return pieces


def export_ollama(gguf_file: Path, folder: Path, server: ServerSettings) -> str:
    """Writes a Modelfile for `gguf_file` to `folder`, where that file is.

    It sets the template, the stop tokens, the sampling parameters and the model's whole context;
    with Ollama's default context long texts would be cut off.

    Returns:
        The Modelfile's text.

    Raises:
        DataError: the chat template cannot be written as an Ollama template (`pieces_of`).
    """
    import gguf

    reader = gguf.GGUFReader(gguf_file)
    context = int(_value(reader, f"{_value(reader, 'general.architecture')}.context_length"))
    pieces = pieces_of(_renderer(reader))
    parameters: list[tuple[str, object]] = [
        ("num_ctx", context),
        ("num_predict", context),
        *[("stop", json.dumps(token)) for token in _stops(reader)],
        *[(n, v) for n, v in (("temperature", server.temperature), ("top_p", server.top_p)) if v],
    ]
    modelfile = "\n".join(
        [
            f"FROM ./{gguf_file.name}",
            f'TEMPLATE """{pieces.as_go}"""',
            *[f"PARAMETER {name} {value}" for name, value in parameters],
            "",
        ]
    )
    write_text(folder / "Modelfile", modelfile)
    return modelfile


def vllm_command(checkpoint: Path, name: str, server: ServerSettings) -> str:
    """Returns the vLLM command line that serves the folder with the project's sampling settings.

    Raises:
        DataError: the folder lacks something that vLLM needs.
    """
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (checkpoint / file).is_file():
            raise DataError(f"{checkpoint}: holds no {file}; name a checkpoint's folder")
    if not list(checkpoint.glob("*.safetensors")):
        raise DataError(f"{checkpoint}: holds no safetensors; name a checkpoint's folder")
    config = json.loads((checkpoint / "config.json").read_bytes())
    sampling = {"temperature": server.temperature, "top_p": server.top_p}
    words = {
        "served-model-name": name,
        "max-model-len": config["max_position_embeddings"],
        "generation-config": "vllm",
        "override-generation-config": json.dumps({k: v for k, v in sampling.items() if v}),
    }
    options = [word for option, value in words.items() for word in (f"--{option}", str(value))]
    return shlex.join(["vllm", "serve", str(checkpoint), *options])


def _renderer(reader: "GGUFReader") -> Callable[[Chat, bool], str]:
    """Returns a function that renders chats with the file's template.

    It leaves out the BOS token if the server adds one to every prompt itself.
    """
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    special = {
        f"{name}_token": tokens[int(_value(reader, f"tokenizer.ggml.{name}_token_id"))]
        for name in ("bos", "eos")
        if f"tokenizer.ggml.{name}_token_id" in reader.fields
    }
    added = "tokenizer.ggml.add_bos_token" in reader.fields
    added = added and bool(reader.fields["tokenizer.ggml.add_bos_token"].contents())
    template = chat_environment().from_string(_value(reader, "tokenizer.chat_template"))

    def render(messages: Chat, answer_follows: bool) -> str:
        text = str(
            template.render(messages=messages, add_generation_prompt=answer_follows, **special)
        )
        return text.removeprefix(special["bos_token"]) if added else text

    return render


def _stops(reader: "GGUFReader") -> list[str]:
    """Returns the tokens that end a turn."""
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    ids = {
        int(_value(reader, f"tokenizer.ggml.{name}_token_id"))
        for name in ("eos", "eot")
        if f"tokenizer.ggml.{name}_token_id" in reader.fields
    }
    return [tokens[number] for number in sorted(ids)]


def _value(reader: "GGUFReader", key: str) -> str:
    if key not in reader.fields:
        raise DataError(f"{reader.data.filename}: holds no {key}")
    return str(reader.fields[key].contents())
