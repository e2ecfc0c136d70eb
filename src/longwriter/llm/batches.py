"""Calls by the provider's batch API, which answers files of requests within a day at half the price.

It is OpenAI's, which others copy: a file of requests is uploaded, a batch made of it, asked about until
it has ended, and its answers are read from one file and its errors from another. Which call is in which
batch stands in the cache's file, so a run that ends leaves its batches at work and the same command picks
up their answers.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx2
import openai
from filelock import AsyncFileLock
from openai.types import Batch
from pydantic import BaseModel, ValidationError
from tqdm import tqdm

from longwriter.core.errors import (
    BadRequest,
    DataError,
    LongwriterError,
    RateLimited,
    ServerError,
    ServerFault,
    TimedOut,
    TransientError,
)
from longwriter.llm.answers import Reply
from longwriter.llm.cache import Cache
from longwriter.llm.faults import error_in, fault
from longwriter.llm.limits import say
from longwriter.llm.settings import Address, ServerSettings

if TYPE_CHECKING:
    from longwriter.llm.transport import Transport

T = TypeVar("T")

ENDPOINT: Final = "/v1/chat/completions"
"""As it stands in a file and in a batch, whatever the provider's address is."""

QUIET_S = 1.0
"""Seconds without a new call after which those that have come are sent."""

FIRST_POLL_S, LONGEST_POLL_S = 1.0, 60.0
"""Between two questions about a batch, at first and at last."""

FIRST_PAUSE_S = 1.0
"""Before a request to the batch API that failed is made again; it doubles, up to LONGEST_POLL_S."""

MOST_CALLS, MOST_BYTES = 50_000, 100_000_000
"""Of one file."""

_ENDED = {"completed", "failed", "expired", "cancelled"}

_NOT_BEGUN = {"batch_expired", "batch_cancelled"}
"""Codes of the error file for requests that the provider never came to."""

_QUEUE_FULL = "token_limit_exceeded"
"""Why a batch failed whose tokens, with those of the batches at work, are more than the account may have
waiting."""


class _Response(BaseModel):
    status_code: int | None = None
    body: Any = None


class _Line(BaseModel):
    """Of a file of answers or errors."""

    custom_id: str
    response: _Response | None = None
    error: Any = None


class _Gone(ServerError):
    """The provider does not know the batch or its file."""


@dataclass(eq=False)
class _Waiting:
    """A call that waits for its answer."""

    line: bytes
    """Of the file of requests."""
    take: Callable[[bytes], Reply]
    future: asyncio.Future[Reply | None]
    faults: int = 0


_Calls = dict[str, _Waiting]
"""Under their keys."""

_Results = dict[str, Reply | LongwriterError | None]
"""Of the calls that a batch answered, under their keys; None: the answer was in the cache."""


class Batches:
    """Collects calls, sends them in batches and waits for the answers."""

    def __init__(
        self,
        settings: ServerSettings,
        address: Address,
        cache: Cache,
        transport: "Transport",
        name: str,
    ) -> None:
        """
        Args:
            name: of the server in the settings, such as `teacher`, for errors' advice.
        """
        self._settings, self._address, self._name = settings, address, name
        self._cache, self._transport = cache, transport
        self._api = transport.pools[0]
        self._calls: _Calls = {}
        self._new: _Calls = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._creating: set[asyncio.Task[str]] = set()
        self._at_work: dict[str, _Calls] = {}
        """Batches that have not ended."""
        self._own: set[str] = set()
        """Files that this run has uploaded."""
        self._one_ended = asyncio.Condition()

    async def ask(
        self, key: str, body: dict[str, Any], take: Callable[[bytes], Reply]
    ) -> Reply | None:
        """Returns the reply to a request.

        Args:
            key: of the call in the cache.
            body: of the request, as it would be posted.
            take: makes the reply of a response's body and keeps it in the cache.

        Returns:
            None where the same call of another text or process has been answered meanwhile: its answer
            is in the cache.

        Raises:
            CallError: this call failed.
            ServerError: every call would fail.
        """
        if key in self._calls:
            await asyncio.shield(self._calls[key].future)
            return None
        body = {name: body[name] for name in body if name not in ("stream", "stream_options")}
        request = {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}
        line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
        call = _Waiting(line, take, asyncio.get_running_loop().create_future())
        call.future.add_done_callback(lambda _: self._calls.pop(key))
        self._calls[key] = self._new[key] = call
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._send)
        return await asyncio.shield(call.future)

    async def close(self) -> None:
        """Stops waiting. Says which batches go on at the provider."""
        if self._timer:
            self._timer.cancel()
        if self._creating:  # a batch whose id is not kept would be paid for twice
            await asyncio.wait(self._creating)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for batch, calls in self._at_work.items():
            if not all(call.future.done() for call in calls.values()):
                say(
                    f"batch {batch}: goes on at the provider; the same command picks up its answers"
                )

    def _send(self) -> None:
        calls, self._new = self._new, {}
        self._begin(self._answer(calls), calls)

    def _begin(self, work: Coroutine[Any, Any, None], calls: _Calls) -> None:
        """Begins work on calls, which get the error that it ends with."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # else its calls would wait for ever
                for call in calls.values():
                    if not call.future.done():
                        call.future.set_exception(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, calls: _Calls) -> None:
        """Finds the batches that calls are in, sends the others, and begins to wait for all."""
        new: _Calls = {}
        async with AsyncFileLock(self._cache.path.with_suffix(".batches.lock")):
            for key, call in calls.items():
                if self._cache.get(key) is None:
                    new[key] = call
                else:
                    call.future.set_result(None)
            sent: dict[tuple[str, str | None], _Calls] = {}
            for key, place in self._cache.sent(new, self._address.base_url).items():
                sent.setdefault(place, {})[key] = new.pop(key)
            for (file, batch), there in sent.items():
                if batch is None:  # a run ended between the upload and the batch
                    batch = await self._patiently(partial(self._made_of, file))
                    if batch is None:
                        new |= there
                        continue
                    self._cache.name_batch(file, batch)
                self._follow(batch, file, there)
            for part in _parts(new):
                await self._submit(part)

    async def _submit(self, calls: _Calls) -> None:
        """Uploads calls and makes a batch of them."""
        content = b"".join(call.line for call in calls.values())
        upload = partial(self._api.files.create, file=("calls.jsonl", content), purpose="batch")
        file = (await self._patiently(upload)).id
        self._cache.put_sent(calls, self._address.base_url, file)
        self._own.add(file)
        tried = False

        async def create() -> str:
            nonlocal tried
            made = await self._made_of(file) if tried else None
            tried = True
            if made is None:
                batch = await self._api.batches.create(
                    input_file_id=file, endpoint=ENDPOINT, completion_window="24h"
                )
                made = batch.id
            self._cache.name_batch(file, made)
            self._at_work[made] = dict(calls)
            return made

        async def created() -> str:  # ends even where the run is stopped
            task = asyncio.create_task(create())
            self._creating.add(task)
            task.add_done_callback(self._creating.discard)
            return await asyncio.shield(task)

        batch = await self._patiently(created)
        self._follow(batch, file, calls)

    async def _made_of(self, file: str) -> str | None:
        """The newest batch that was made of a file; None where there is none, or no list of batches."""
        try:
            page = await self._api.batches.list(limit=100)
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            raise
        return next((batch.id for batch in page.data if batch.input_file_id == file), None)

    def _follow(self, batch: str, file: str, calls: _Calls) -> None:
        """Begins to wait for a batch."""
        self._at_work.setdefault(batch, {}).update(calls)
        sent = "sent" if file in self._own else "sent before"
        say(
            f"batch {batch}: {_count(len(calls))} {sent}; waiting for the answers, which may take a day. "
            "Ctrl-C stops the waiting only"
        )
        self._begin(self._finish(batch, file, calls), calls)

    async def _finish(self, name: str, file: str, calls: _Calls) -> None:
        """Waits for a batch and hands out what it holds; sends once more what it does not hold."""
        began = time.monotonic()
        results: _Results = {}
        try:
            batch = await self._ended(name, len(calls))
            for answers in (batch.output_file_id, batch.error_file_id):
                if answers:
                    await self._patiently(partial(self._read, answers, calls, results))
        except _Gone:
            if file in self._own:
                raise
            batch = None
        own = batch if file in self._own else None
        status = batch.status if batch else "not known to the provider any more"
        good = sum(not isinstance(result, LongwriterError) for result in results.values())
        say(
            f"batch {name}: {status} after {time.monotonic() - began:.0f} s; "
            f"{good} of {_count(len(calls))} answered"
        )
        self._at_work.pop(name, None)
        self._cache.drop_sent(calls, file)
        async with self._one_ended:
            self._one_ended.notify_all()
        if own and any(code == _QUEUE_FULL for code, _ in _errors(own)):
            await self._answer_in_parts(calls)
        else:
            await self._hand_out(calls, results, self._missing(own) if own else None)

    async def _hand_out(
        self, calls: _Calls, results: _Results, missing: LongwriterError | None
    ) -> None:
        """Ends the calls that have a result; sends once more those that have none, or a fault that may
        pass.

        Args:
            missing: why calls have none; None: they were sent by an earlier run.
        """
        again: _Calls = {}
        for key, call in calls.items():
            if missing is None and key not in results:
                again[key] = call
                continue
            result = results.get(key, missing)
            if isinstance(result, TransientError) and call.faults < self._settings.max_retries:
                call.faults += 1
                again[key] = call
            elif isinstance(result, LongwriterError):
                call.future.set_exception(result)
            else:
                call.future.set_result(result)
        if again:
            await self._answer(again)

    def _missing(self, batch: Batch) -> LongwriterError:
        """Why a batch of this run holds neither answer nor error of a call."""
        where = f"{self._address.base_url}: batch {batch.id}"
        match batch.status:
            case "failed" | "cancelled":
                why = "; ".join(said for _, said in _errors(batch))
                return ServerError(
                    f"{where} {'failed' if batch.status == 'failed' else 'was cancelled'}"
                    f"{f': {why}' if why else ''}. The same command sends its calls anew; "
                    f"{self._name}.batch=false sends them one by one"
                )
            case "expired":
                return TimedOut(f"{where} expired before the provider came to this call")
            case _:
                return ServerFault(f"{where} holds no answer to this call")

    async def _answer_in_parts(self, calls: _Calls) -> None:
        """Sends calls that the account had no room for: when another batch has ended, else by halves,
        one after the other.

        Raises:
            ServerError: there is no room for a single call.
        """
        if before := set(self._at_work):
            async with self._one_ended:
                await self._one_ended.wait_for(lambda: not before <= set(self._at_work))
            await self._answer(calls)
            return
        if len(calls) == 1:
            raise ServerError(
                f"{self._address.base_url}: the account's limit of tokens that wait in batches is too "
                f"small for one call; set {self._name}.batch=false, or wait until its other batches end"
            )
        keys = list(calls)
        half = len(keys) // 2
        first = {key: calls[key] for key in keys[:half]}
        await self._answer(first)
        await asyncio.wait([call.future for call in first.values()])
        await self._answer({key: calls[key] for key in keys[half:]})

    async def _ended(self, name: str, calls: int) -> Batch:
        """The batch when the provider has done with it."""
        pause = FIRST_POLL_S
        with tqdm(total=calls, desc=f"batch {name}", unit="", disable=None, leave=False) as bar:
            while True:
                batch = await self._patiently(partial(self._api.batches.retrieve, name))
                if batch.status in _ENDED:
                    return batch
                if counts := batch.request_counts:
                    bar.total = counts.total or calls
                    bar.n = (counts.completed or 0) + (counts.failed or 0)
                    bar.refresh()
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, LONGEST_POLL_S)

    async def _read(self, file: str, calls: _Calls, results: _Results) -> None:
        """Reads a file of answers or errors into `results`."""
        rest = b""
        async with self._api.files.with_streaming_response.content(file) as response:
            async for read in response.iter_bytes():
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    self._read_line(line, calls, results)
        self._read_line(rest, calls, results)

    def _read_line(self, line: bytes, calls: _Calls, results: _Results) -> None:
        try:
            told = _Line.model_validate_json(line)
        except ValidationError:
            return
        key = told.custom_id
        if key not in calls or key in results:
            return
        if isinstance(told.error, dict) and told.error.get("code") in _NOT_BEGUN:
            return
        response = told.response or _Response(body={"error": told.error})
        status, answer = response.status_code or 200, json.dumps(response.body).encode()
        found = error_in(answer) if 200 <= status < 300 else (status, response.body)
        if found:
            error = fault(*found, self._settings, self._address.model, self._name)
            results[key] = self._transport.told(error)
        elif self._cache.get(key) is not None:  # another process waits for the same batch
            results[key] = None
        else:
            try:
                results[key] = calls[key].take(answer)
            except DataError:
                raise
            except LongwriterError as error:
                results[key] = error

    async def _patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        """What a request to the batch API returns; while the provider or the way to it is in trouble, it
        is made again, for `patience_s`.

        Raises:
            _Gone: 404.
            ServerError: it is refused, or the trouble does not end.
        """
        began, pause = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                return await request()
            except (openai.OpenAIError, httpx2.HTTPError) as error:
                trouble = self._transport.typed(error)
                broken = isinstance(error, openai.APIConnectionError)
                refusal = _Gone if isinstance(error, openai.NotFoundError) else ServerError
            if not broken and not isinstance(trouble, TransientError):
                advice = f"set {self._name}.batch=false where the provider has no batch API"
                form = refusal is _Gone or isinstance(trouble, BadRequest)
                raise refusal(f"batch API: {trouble}{f'; {advice}' if form else ''}")
            asked = trouble.pause if isinstance(trouble, RateLimited) else None
            wait = pause if asked is None else asked
            waited, patience = time.monotonic() - began, self._settings.patience_s
            if waited + wait > patience:
                raise ServerError(
                    f"batch API: in trouble for {waited:.0f} s ({trouble}), and patience_s is "
                    f"{patience:g}. Batches go on at the provider; the same command picks them up"
                )
            if pause == FIRST_PAUSE_S:
                say(f"batch API: asking again for up to {patience:.0f} s ({trouble})")
            pause = min(2 * pause, LONGEST_POLL_S)
            await asyncio.sleep(wait)


def _parts(calls: _Calls) -> Iterator[_Calls]:
    """The calls in parts of a file each."""
    part: _Calls = {}
    size = 0
    for key, call in calls.items():
        if part and (len(part) == MOST_CALLS or size + len(call.line) > MOST_BYTES):
            yield part
            part, size = {}, 0
        part[key] = call
        size += len(call.line)
    if part:
        yield part


def _errors(batch: Batch) -> list[tuple[str, str]]:
    """Why a batch failed: codes and words."""
    errors = (batch.errors.data if batch.errors else None) or []
    return [(error.code or "", error.message or error.code or "") for error in errors]


def _count(calls: int) -> str:
    return f"{calls:,} call{'s' * (calls != 1)}"
