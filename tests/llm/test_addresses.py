"""Several addresses of one model, as real servers on loopback."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer, endpoint_settings

from longwriter.core.errors import ServerFault, SettingsError, Unreachable
from longwriter.llm import addresses
from longwriter.llm.addresses import Addresses, Elsewhere
from longwriter.llm.budget import Account
from longwriter.llm.client import ChatClient
from longwriter.llm.servers import serve
from longwriter.llm.settings import ServerSettings

Start = Callable[[Callable[[dict[str, Any]], Answer]], ChatServer]


def several(servers: list[ChatServer], **changes: Any) -> ServerSettings:
    return endpoint_settings([server.base_url for server in servers], **changes)


def texts(settings: ServerSettings, folder: Path, number: int, calls: int) -> list[list[str]]:
    """The answers of `calls` calls, one after the other, for each of `number` texts at the same time."""

    async def work() -> list[list[str]]:
        with serve(settings) as address:
            async with ChatClient.open(settings, address, folder, 0) as client:
                return await asyncio.gather(*(one(client, text) for text in range(number)))

    async def one(client: ChatClient, text: int) -> list[str]:
        account, answers = Account(), []
        for call in range(calls):
            answer = await client.complete(ask(text, call), account=account, chained=True)
            answers.append(answer.text)
            # Without a pause the address that a text has just left is always the one with the fewest calls.
            await asyncio.sleep((text + 2 * call) % 5 * 0.01)
        return answers

    def ask(text: int, call: int) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"text {text} call {call}"}]

    return asyncio.run(work())


def slowly(request: dict[str, Any]) -> Answer:
    time.sleep(0.02)
    return str(request["messages"][-1]["content"])


def told(server: ChatServer) -> list[str]:
    return [request["messages"][-1]["content"] for request in server.requests]


def test_each_text_stays_at_one_address_and_all_have_their_share(
    chat_server: Start, tmp_path: Path
) -> None:
    servers = [chat_server(slowly) for _ in range(3)]
    written = texts(several(servers, concurrency=6), tmp_path, 6, 4)
    assert written == [[f"text {text} call {call}" for call in range(4)] for text in range(6)]
    for server in servers:
        assert set(Counter(said.rsplit(" ", 1)[0] for said in told(server)).values()) == {4}
        assert len(told(server)) == 8


def test_an_address_that_is_gone_is_left_out_and_nothing_is_lost(
    chat_server: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = [chat_server(slowly) for _ in range(3)]
    servers[1].close()
    written = texts(several(servers, concurrency=6), tmp_path, 6, 4)
    assert written == [[f"text {text} call {call}" for call in range(4)] for text in range(6)]
    assert len(told(servers[0])) + len(told(servers[2])) == 24
    said = capsys.readouterr().err
    gone = (
        f"{servers[1].base_url} cannot be reached and is skipped for 5 s; "
        "2 of 3 addresses still in use"
    )
    assert gone in said


def test_an_address_that_is_back_gets_calls_again(
    chat_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "FIRST_PAUSE", 0.1)
    ill = [True]

    def sometimes(request: dict[str, Any]) -> Answer:
        return (503, b"{}") if ill[0] else slowly(request)

    def and_then_well(request: dict[str, Any]) -> Answer:
        ill[0] = ill[0] and len(servers[0].requests) < 20
        return slowly(request)

    servers = [chat_server(and_then_well), chat_server(sometimes)]
    settings = several(servers, concurrency=4, max_retries=5)
    assert len(texts(settings, tmp_path, 40, 2)) == 40
    assert len(told(servers[1])) > 10  # three or so of them while it was ill


def test_no_address_left(chat_server: Start, tmp_path: Path) -> None:
    servers = [chat_server(slowly) for _ in range(2)]
    for server in servers:
        server.close()
    with pytest.raises(Unreachable, match="cannot be reached"):
        texts(several(servers), tmp_path, 3, 1)


def test_where_the_last_address_is_gone_one_with_faults_is_tried_again() -> None:
    transports = [SimpleNamespace(base_url=f"http://{name}") for name in "ab"]
    places = Addresses(transports)  # type: ignore[arg-type]
    account = Account(address=0)
    for _ in range(3):
        with pytest.raises(ServerFault), places.call(account):
            raise ServerFault("503")
    with places.call(account) as transport:
        assert transport.base_url == "http://b"
    with pytest.raises(Elsewhere), places.call(account):
        raise Unreachable("nothing listens")
    with places.call(account) as transport:
        assert transport.base_url == "http://a"
    with pytest.raises(Unreachable), places.call(account):
        raise Unreachable("nothing listens")


def test_calls_that_are_kept_are_known_at_other_addresses_too(
    chat_server: Start, tmp_path: Path
) -> None:
    first, second, third = (chat_server(slowly) for _ in range(3))
    texts(several([first, second]), tmp_path, 2, 2)
    texts(several([third, second]), tmp_path, 2, 2)
    assert told(third) == []


@pytest.mark.parametrize(
    ("urls", "changes", "said"),
    [
        (["http://a/v1", "http://a/v1/"], {}, "a list of different ones"),
        (["http://a/v1", 7], {}, "a list of different ones"),
        (8000, {}, "give an address"),
        (["http://a/v1", "http://b/v1"], {"batch": True}, "batch=true needs a single base_url"),
    ],
)
def test_addresses_that_are_none(urls: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said), serve(endpoint_settings(urls, **changes)):
        pass
