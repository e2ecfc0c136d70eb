import asyncio
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from helpers.loopback import Answer, endpoint_settings

from longwriter.core.errors import RateLimited, ServerError
from longwriter.llm import limits
from longwriter.llm.limits import RateLimiter

BUSY: Answer = (429, b'{"error": {"message": "slow down"}}')
HELLO = [{"role": "user", "content": "Hello."}]


def limited(**settings: Any) -> RateLimiter:
    return RateLimiter(endpoint_settings("http://127.0.0.1:9/v1", **settings))


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of a pause takes ten milliseconds."""
    monkeypatch.setattr(limits, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(limits, "LONGEST_PAUSE", 0.6)


async def seconds(job: Any) -> float:
    start = time.perf_counter()
    await job
    return time.perf_counter() - start


async def pass_through(limiter: RateLimiter, number: int = 0, tokens: int = 1) -> float:
    """When a request was sent that is answered at once."""
    async with limiter.call(number, tokens) as sent_at:
        return sent_at


def test_a_burst_of_429_halves_the_limit_once() -> None:
    async def run() -> None:
        limiter = limited(concurrency=16)
        async with AsyncExitStack() as calls:
            sent = [await calls.enter_async_context(limiter.call(n, 1)) for n in range(16)]
            for at in sent:
                limiter.refused(at, 0.0, "slow down", at)
        assert limiter.limit == 8
        # One that was sent after the limit fell tells that it is still too high.
        for expected in (4, 2, 1, 1):
            at = await pass_through(limiter)
            limiter.refused(at, 0.0, "slow down", at)
            assert limiter.limit == expected

    asyncio.run(run())


def test_answers_grow_the_limit_again_and_never_above_concurrency() -> None:
    async def run() -> None:
        limiter = limited(concurrency=8)
        limiter.limit = 2.0
        limiter.answered()  # nobody is in flight: the limit holds nobody back
        assert limiter.limit == 2
        async with limiter.call(0, 1), limiter.call(1, 1):
            limiter.answered()
            assert limiter.limit == 2.5
            limiter.answered()
            assert limiter.limit == 2.9
            limiter.answered()
            assert limiter.limit == pytest.approx(2.9 + 1 / 2.9)
            limiter.answered()  # three would be let in, and two are there
            assert limiter.limit == pytest.approx(2.9 + 1 / 2.9)
        limiter.limit = 7.99
        async with AsyncExitStack() as calls:
            for number in range(7):
                await calls.enter_async_context(limiter.call(number, 1))
            limiter.answered()
            assert limiter.limit == 8
            await calls.enter_async_context(limiter.call(7, 1))
            limiter.answered()
            assert limiter.limit == 8

    asyncio.run(run())


def test_a_refusal_closes_the_gate_for_all_calls_for_as_long_as_the_server_says() -> None:
    async def run() -> None:
        limiter = limited(concurrency=4)
        refused_at = await pass_through(limiter)
        limiter.refused(refused_at, 0.3, "slow down", refused_at)
        sent = await asyncio.gather(*(pass_through(limiter, n) for n in range(4)))
        assert min(sent) - refused_at >= 0.3
        assert max(sent) - refused_at < 0.8

    asyncio.run(run())


def test_without_a_time_the_pause_doubles_until_a_call_is_taken(short_pauses: None) -> None:
    async def run() -> None:
        limiter = limited(concurrency=1)
        pauses = []
        for _ in range(9):
            at = await pass_through(limiter)
            limiter.refused(at, None, "slow down", at)
            pauses.append(limiter._opens_at - time.monotonic())
        # 10 ms, doubled each time, up to 600 ms, and up to a quarter more by chance
        for number, pause in enumerate(pauses):
            assert 0.9 * min(0.01 * 2**number, 0.6) < pause < 1.3 * min(0.01 * 2**number, 0.6)
        await pass_through(limiter)
        limiter.answered()
        at = await pass_through(limiter)
        limiter.refused(at, None, "slow down", at)
        assert limiter._opens_at - time.monotonic() < 0.02

    asyncio.run(run())


def test_patience_ends(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        limiter = limited(concurrency=1, patience_s=0.3)
        at = await pass_through(limiter)
        limiter.refused(at, 0.2, "429: slow down", at)
        with pytest.raises(ServerError, match=r"429: slow down\), which exceeds patience_s=0.3"):
            limiter.refused(await pass_through(limiter), 0.2, "429: slow down", at)
        # A longer pause than that is not begun.
        limiter = limited(concurrency=1, patience_s=100)
        at = await pass_through(limiter)
        with pytest.raises(ServerError, match="for 150 s more"):
            limiter.refused(at, 150, "429: slow down", at)
        # Other calls are taken, this one is not.
        limiter = limited(concurrency=1, patience_s=100)
        at = await pass_through(limiter)
        with pytest.raises(RateLimited, match="refused for 101 s while it took other calls"):
            limiter.refused(at, 0.1, "429: slow down", at - 101)

    asyncio.run(run())
    said = capsys.readouterr().err.splitlines()
    assert said == ["server busy (429: slow down): waiting 0 s; giving up after 0 s more"]


def test_calls_go_on_in_the_order_in_which_they_came() -> None:
    async def run() -> None:
        limiter = limited(concurrency=1, tokens_per_minute=60_000)
        order = []

        async def call(number: int, tokens: int) -> None:
            async with limiter.call(number, tokens):
                order.append(number)
                await asyncio.sleep(0.005)

        # A big call waits for a thousand tokens a second; small ones behind it do not overtake it.
        jobs = [call(0, 60_000), call(1, 500), call(2, 10), call(3, 400), call(4, 1)]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        await asyncio.sleep(0.01)
        # One that is made again keeps its place before those that came later.
        tasks.append(asyncio.ensure_future(call(-1, 1)))
        await asyncio.gather(*tasks)
        assert order[0] == 0
        assert order.index(-1) <= 2
        assert [number for number in order if number >= 0] == [0, 1, 2, 3, 4]

    asyncio.run(run())


def test_a_cancelled_call_holds_up_no_other() -> None:
    async def run() -> None:
        limiter = limited(concurrency=1)
        async with limiter.call(0, 1):
            waiting = [asyncio.ensure_future(pass_through(limiter, n)) for n in (1, 2, 3)]
            await asyncio.sleep(0.01)
            waiting[0].cancel()
            waiting[1].cancel()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(1):
            assert await waiting[2]
        assert limiter.in_flight == 0

    asyncio.run(run())


def test_a_server_that_takes_fewer_calls_than_the_settings_say(
    chat_server: Any, open_client: Any, short_pauses: None
) -> None:
    lock, flying, peaks, refused = threading.Lock(), [0], list[int](), [0]

    def answer(request: dict[str, Any]) -> Answer:
        """Three at a time; 429 to all others."""
        with lock:
            flying[0] += 1
            here = flying[0]
            peaks.append(here)
        time.sleep(0.03)
        with lock:
            flying[0] -= 1
            refused[0] += here > 3
        return BUSY if here > 3 else "Hi."

    async def run() -> float:
        async with open_client(chat_server(answer), concurrency=16) as client:
            await asyncio.gather(*(client.complete(HELLO, sample=n) for n in range(120)))
            return client.rate_limiter.limit

    limit = asyncio.run(run())
    # Of the first burst most are refused; then the limit hovers about three, and no call is lost.
    assert limit < 10
    assert refused[0] < 120
    assert max(peaks[-40:]) < 10


def test_requests_a_minute() -> None:
    async def run() -> None:
        limiter = limited(requests_per_minute=120)

        async def burst() -> None:
            for number in range(120):
                await pass_through(limiter, number)

        assert await seconds(burst()) < 0.4
        # 120 a minute: the next has its place half a second after the first left it.
        assert 0.3 < await seconds(pass_through(limiter)) < 1.5

    asyncio.run(run())


def test_further_tries_are_requests_too(chat_server: Any, open_client: Any) -> None:
    came = list[float]()

    def answer(request: dict[str, Any]) -> Answer:
        came.append(time.perf_counter())
        return (503, b"busy") if len(came) == 1 else "Hi."

    async def run() -> None:
        async with open_client(
            chat_server(answer), requests_per_minute=30, max_retries=1
        ) as client:
            for number in range(29):
                await pass_through(client.rate_limiter, number)
            await client.complete(HELLO)

    asyncio.run(run())
    first, second = came
    assert second - first > 1.8  # the pause after a fault alone would be a second


def test_tokens_a_minute() -> None:
    async def run() -> None:
        limiter = limited(tokens_per_minute=6000)
        assert await seconds(pass_through(limiter, 0, 5990)) < 0.3
        assert await seconds(pass_through(limiter, 1, 10)) < 0.3
        # 100 tokens a second: 50 of them have left in half a second.
        assert 0.3 < await seconds(pass_through(limiter, 2, 50)) < 1.5

    asyncio.run(run())


def test_a_call_of_more_tokens_than_a_minute_has_waits_for_a_whole_one() -> None:
    async def run() -> None:
        limiter = limited(tokens_per_minute=600)
        assert await seconds(pass_through(limiter, 0, 9999)) < 0.3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pass_through(limiter, 1, 1000)

    asyncio.run(run())
