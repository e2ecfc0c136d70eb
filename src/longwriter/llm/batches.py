"""Sends calls by the provider's batch API, which answers within a day at half the price.

The API is OpenAI's, which other providers copy: a file of requests is uploaded, a batch is created
from it and polled until it ends, and then answers are read from one file and errors from another.
The cache's file records which call is in which batch, so batches go on when a run ends, and the
same command picks up their answers.
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
from longwriter.core.progress import progress
from longwriter.llm.answers import Reply
from longwriter.llm.cache import Cache
from longwriter.llm.faults import error_in, fault
from longwriter.llm.limits import say
from longwriter.llm.settings import Address, ServerSettings

if TYPE_CHECKING:
    from longwriter.llm.transport import Transport

T = TypeVar("T")

ENDPOINT: Final = "/v1/chat/completions"
"""Value for requests in a file and for the batch, whatever the provider's address is."""

QUIET_S = 1.0
"""Seconds without a new call after which the collected calls are sent."""

FIRST_POLL_S, LONGEST_POLL_S = 1.0, 60.0
"""Seconds between two polls of a batch: at first, and the most that they grow to."""

FIRST_PAUSE_S = 1.0
"""Seconds before a failed request to the batch API is retried; they double up to LONGEST_POLL_S."""

MOST_CALLS, MOST_BYTES = 50_000, 100_000_000
"""Limits of one file."""

_ENDED = {"completed", "failed", "expired", "cancelled"}

_NOT_BEGUN = {"batch_expired", "batch_cancelled"}
"""Codes in the error file for requests that the provider never started."""

_QUEUE_FULL = "token_limit_exceeded"
"""Error code of a batch that would exceed the tokens that the account may have queued."""


class _Response(BaseModel):
    status_code: int | None = None
    body: Any = None


class _Line(BaseModel):
    """A line of a file of answers or errors."""

    custom_id: str
    response: _Response | None = None
    error: Any = None


class _Gone(ServerError):
    """The provider does not know the batch or its file."""


@dataclass(eq=False)
class _Waiting:
    """A call that waits for its answer."""

    line: bytes
    """The call's line in the file of requests."""
    take: Callable[[bytes], Reply]
    future: asyncio.Future[Reply | None]
    faults: int = 0


_Calls = dict[str, _Waiting]
"""Calls by their keys in the cache."""

_Results = dict[str, Reply | LongwriterError | None]
"""Results of the calls that a batch answered, by key; None: the answer was already in the cache."""


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
        """Starts without calls.

        Args:
            name: of the server in the settings, such as `teacher`, for the advice in errors.
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
        """Batches that have not ended, with their calls."""
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
            take: extracts the reply from a response's body and stores it in the cache.

        Returns:
            The reply; None if the same call, made by another text or process, has been answered
            meanwhile, so that its answer is in the cache.

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
        """Stops waiting, and reports which batches go on at the provider."""
        if self._timer:
            self._timer.cancel()
        if self._creating:  # a batch whose id is not stored would be paid for twice
            await asyncio.wait(self._creating)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for batch, calls in self._at_work.items():
            if not all(call.future.done() for call in calls.values()):
                say(
                    f"batch {batch}: continues at the provider; the same command picks up its answers"
                )

    def _send(self) -> None:
        calls, self._new = self._new, {}
        self._begin(self._answer(calls), calls)

    def _begin(self, work: Coroutine[Any, Any, None], calls: _Calls) -> None:
        """Starts work on calls in a task; if it fails, the calls get its error."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # else its calls would wait forever
                for call in calls.values():
                    if not call.future.done():
                        call.future.set_exception(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, calls: _Calls) -> None:
        """Finds the batches that calls are already in, sends the others, starts waiting for all."""
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
                if batch is None:  # a run ended after the upload, before it noted the batch
                    batch = await self._patiently(partial(self._made_of, file))
                    if batch is None:
                        new |= there
                        continue
                    self._cache.name_batch(file, batch)
                self._follow(batch, file, there)
            for part in _parts(new):
                await self._submit(part)

    async def _submit(self, calls: _Calls) -> None:
        """Uploads calls and creates a batch from them."""
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

        async def created() -> str:  # runs to its end even if the run is stopped
            task = asyncio.create_task(create())
            self._creating.add(task)
            task.add_done_callback(self._creating.discard)
            return await asyncio.shield(task)

        batch = await self._patiently(created)
        self._follow(batch, file, calls)

    async def _made_of(self, file: str) -> str | None:
        """Returns the newest batch created from a file.

        Returns None if there is none, or if the provider has no list of batches.
        """
        try:
            page = await self._api.batches.list(limit=100)
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            raise
        return next((batch.id for batch in page.data if batch.input_file_id == file), None)

    def _follow(self, batch: str, file: str, calls: _Calls) -> None:
        """Starts waiting for a batch."""
        self._at_work.setdefault(batch, {}).update(calls)
        sent = "sent" if file in self._own else "sent before"
        say(
            f"batch {batch}: {_count(len(calls))} {sent}; waiting for the answers, which may take a day. "
            "Ctrl-C stops the waiting only"
        )
        self._begin(self._finish(batch, file, calls), calls)

    async def _finish(self, name: str, file: str, calls: _Calls) -> None:
        """Waits for a batch, hands out its results and resends the calls that have none."""
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
        """Hands each call its result, and resends those that may yet get an answer.

        Those are calls with a transient fault, up to `max_retries` times, and calls of an earlier
        run's batch that have no result.

        Args:
            missing: the error for calls without a result; None: an earlier run sent them.
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
        """Returns the error for a call that has neither answer nor error in a batch of this run."""
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
        """Resends calls that exceeded the account's limit on queued tokens.

        Waits until another batch has ended; if there is none, sends the calls in halves, one after
        the other.

        Raises:
            ServerError: there is no room for even a single call.
        """
        if before := set(self._at_work):
            async with self._one_ended:
                await self._one_ended.wait_for(lambda: not before <= set(self._at_work))
            await self._answer(calls)
            return
        if len(calls) == 1:
            raise ServerError(
                f"{self._address.base_url}: one call exceeds the account's limit on queued batch "
                f"tokens; set {self._name}.batch=false, or wait until its other batches have ended"
            )
        keys = list(calls)
        half = len(keys) // 2
        first = {key: calls[key] for key in keys[:half]}
        await self._answer(first)
        await asyncio.wait([call.future for call in first.values()])
        await self._answer({key: calls[key] for key in keys[half:]})

    async def _ended(self, name: str, calls: int) -> Batch:
        """Polls a batch until it has ended, and returns it."""
        pause = FIRST_POLL_S
        with progress(f"batch {name}", total=calls) as bar:
            while True:
                batch = await self._patiently(partial(self._api.batches.retrieve, name))
                if batch.status in _ENDED:
                    return batch
                if counts := batch.request_counts:
                    bar.total = counts.total or calls
                    bar.update((counts.completed or 0) + (counts.failed or 0) - bar.n)
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
        """Returns the result of a request to the batch API, retried for `patience_s`.

        Only transient faults of the provider and broken connections are retried.

        Raises:
            _Gone: the provider answers 404.
            ServerError: the request is refused, or the fault persists.
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
                    f"batch API: failing for {waited:.0f} s ({trouble}), longer than "
                    f"patience_s={patience:g}. Batches continue at the provider; the same command "
                    "picks them up"
                )
            if pause == FIRST_PAUSE_S:
                say(f"batch API: asking again for up to {patience:.0f} s ({trouble})")
            pause = min(2 * pause, LONGEST_POLL_S)
            await asyncio.sleep(wait)


def _parts(calls: _Calls) -> Iterator[_Calls]:
    """Splits calls into parts that fit into one file each."""
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
    """Returns the error codes and messages of a failed batch."""
    errors = (batch.errors.data if batch.errors else None) or []
    return [(error.code or "", error.message or error.code or "") for error in errors]


def _count(calls: int) -> str:
    return f"{calls:,} call{'s' * (calls != 1)}"
