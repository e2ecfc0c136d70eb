import asyncio
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from helpers.loopback import Answer, endpoint_settings

from longwriter.core.errors import RateLimited
from longwriter.llm.limits import RateLimiter

BUSY: Answer = (429, b'{"error": {"message": "slow down"}}')


def limited(**settings: Any) -> RateLimiter:
    return RateLimiter(endpoint_settings("http://127.0.0.1:9/v1", **settings))


async def sent(limiter: RateLimiter) -> httpx2.Request:
    """A request that the HTTP client sends now."""
    request = httpx2.Request("POST", "http://127.0.0.1:9/v1")
    for hook in limiter.hooks["request"]:
        await hook(request)
    return request


async def answered(limiter: RateLimiter, request: httpx2.Request, status: int = 200) -> None:
    for hook in limiter.hooks["response"]:
        await hook(httpx2.Response(status, request=request))


async def seconds(job: Any) -> float:
    start = time.perf_counter()
    await job
    return time.perf_counter() - start


async def pass_through(limiter: RateLimiter, tokens: int = 1) -> None:
    async with limiter.call(tokens):
        pass


def test_a_burst_of_429_halves_the_limit_once() -> None:
    async def run() -> None:
        limiter = limited(concurrency=16)
        assert limiter.limit == 16
        burst = [await sent(limiter) for _ in range(16)]
        for request in burst:
            await answered(limiter, request, 429)
        assert limiter.limit == 8
        # One that was sent after the limit fell tells that it is still too high.
        await answered(limiter, await sent(limiter), 429)
        assert limiter.limit == 4
        for _ in range(9):
            await answered(limiter, await sent(limiter), 429)
        assert limiter.limit == 1

    asyncio.run(run())


def test_answers_grow_the_limit_again_and_never_above_concurrency() -> None:
    async def run() -> None:
        limiter = limited(concurrency=8)
        limiter.limit = 2.0
        request = await sent(limiter)
        await answered(limiter, request)  # nobody is in flight: the limit holds nobody back
        assert limiter.limit == 2
        async with limiter.call(1), limiter.call(1):
            await answered(limiter, request)
            assert limiter.limit == 2.5
            await answered(limiter, request)
            assert limiter.limit == 2.9
            await answered(limiter, request, 500)  # an error is no sign of too many calls
            assert limiter.limit == pytest.approx(2.9 + 1 / 2.9)
            await answered(limiter, request)  # three would be let in, and two are there
            assert limiter.limit == pytest.approx(2.9 + 1 / 2.9)
        limiter.limit = 7.99
        async with AsyncExitStack() as calls:
            for _ in range(7):
                await calls.enter_async_context(limiter.call(1))
            await answered(limiter, request)
            assert limiter.limit == 8
            await calls.enter_async_context(limiter.call(1))
            await answered(limiter, request)
            assert limiter.limit == 8

    asyncio.run(run())


def test_a_server_that_takes_fewer_calls_than_the_settings_say(
    chat_server: Any, open_client: Any
) -> None:
    lock, flying, peaks, refused = threading.Lock(), [0], list[int](), [0]

    def answer(request: dict[str, Any]) -> Answer:
        """Three at a time; 429 to all others."""
        with lock:
            flying[0] += 1
            here = flying[0]
            peaks.append(here)
        time.sleep(0.05)
        with lock:
            flying[0] -= 1
            refused[0] += here > 3
        return BUSY if here > 3 else "Hi."

    async def run() -> tuple[list[object], float]:
        async with open_client(chat_server(answer), concurrency=16) as client:
            jobs = [
                client.complete([{"role": "user", "content": "Hello."}], sample=n)
                for n in range(120)
            ]
            results = await asyncio.gather(*jobs, return_exceptions=True)
            return list(results), client.rate_limiter.limit

    results, limit = asyncio.run(run())
    failed = [result for result in results if isinstance(result, BaseException)]
    assert {type(failure) for failure in failed} == {RateLimited}
    assert len(failed) == refused[0]
    # Of the first burst most are refused; then the limit hovers about three.
    assert limit < 10
    assert len(failed) < 60
    assert max(peaks[-40:]) < 10


def test_requests_a_minute() -> None:
    async def run() -> None:
        limiter = limited(requests_per_minute=120)

        async def burst() -> None:
            for _ in range(120):
                await sent(limiter)

        assert await seconds(burst()) < 0.4
        # 120 a minute: the next has its place half a second after the first left it.
        assert 0.3 < await seconds(sent(limiter)) < 1.5

    asyncio.run(run())


def test_further_tries_are_requests_too(chat_server: Any, open_client: Any) -> None:
    came = list[float]()

    def answer(request: dict[str, Any]) -> Answer:
        came.append(time.perf_counter())
        return BUSY if len(came) == 1 else "Hi."

    async def run() -> None:
        async with open_client(
            chat_server(answer), requests_per_minute=60, max_retries=1
        ) as client:
            for _ in range(59):
                await sent(client.rate_limiter)
            await client.complete([{"role": "user", "content": "Hello."}])

    asyncio.run(run())
    first, second = came
    assert second - first > 0.8  # openai alone would wait half a second at most


def test_tokens_a_minute() -> None:
    async def run() -> None:
        limiter = limited(tokens_per_minute=6000)
        assert await seconds(pass_through(limiter, 5990)) < 0.3
        assert await seconds(pass_through(limiter, 10)) < 0.3
        # 100 tokens a second: 50 of them have left in half a second.
        assert 0.3 < await seconds(pass_through(limiter, 50)) < 1.5

    asyncio.run(run())


def test_a_call_of_more_tokens_than_a_minute_has_waits_for_a_whole_one() -> None:
    async def run() -> None:
        limiter = limited(tokens_per_minute=600)
        assert await seconds(pass_through(limiter, 9999)) < 0.3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pass_through(limiter, 1000)

    asyncio.run(run())


def test_drain_lets_calls_in_flight_end_and_no_new_one_in() -> None:
    async def run() -> None:
        limiter = limited(concurrency=2)
        done = []

        async def call(name: str, length: float) -> None:
            async with limiter.call(1):
                await asyncio.sleep(length)
                done.append(name)

        calls = [asyncio.create_task(call(name, 0.1)) for name in ("first", "second", "waiting")]
        await asyncio.sleep(0.02)
        late = asyncio.create_task(limiter.drain(5))
        await asyncio.sleep(0.01)
        calls.append(asyncio.create_task(call("new", 0)))
        assert await late == 0
        await asyncio.sleep(0.1)
        assert done == ["first", "second"]
        # No answer opens the door again.
        await answered(limiter, await sent(limiter))
        assert limiter.limit == 0
        await answered(limiter, await sent(limiter), 429)
        assert limiter.limit == 0
        for task in calls[2:]:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert done == ["first", "second"]

    asyncio.run(run())


def test_drain_does_not_wait_behind_those_who_wait_for_a_place() -> None:
    async def run() -> None:
        limiter = limited(concurrency=1)

        async def call() -> None:
            async with limiter.call(1):
                await asyncio.sleep(0.1)

        calls = [asyncio.create_task(call()) for _ in range(10)]
        await asyncio.sleep(0.02)
        async with asyncio.timeout(1):
            assert await limiter.drain(5) == 0
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(run())


def test_drain_gives_up_after_its_seconds() -> None:
    async def run() -> None:
        limiter = limited(concurrency=2)

        async def call() -> None:
            async with limiter.call(1):
                await asyncio.sleep(60)

        calls = [asyncio.create_task(call()) for _ in range(2)]
        await asyncio.sleep(0.02)
        start = time.perf_counter()
        assert await limiter.drain(0.2) == 2
        assert 0.15 < time.perf_counter() - start < 2
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert await limiter.drain(5) == 0

    asyncio.run(run())
