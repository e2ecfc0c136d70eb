"""MLflow traces of drafts: every call to the teacher, with its answer and duration.

draft             the request and the finished text, or the error
├─ plan           a call: messages, answer, tokens, tries, seconds waited
└─ write 1        a step that was sampled again; its calls are below it
   ├─ sample 1    ERROR: the answer was not used; `fault` says why
   └─ sample 2
"""

import json
import os
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from longwriter.core.rows import Draft, Failure
from longwriter.llm.budget import CallRecord

if TYPE_CHECKING:
    from mlflow.entities import Span, TraceInfo

    from longwriter.tracking.runs import StageLog

SHOWN = 300
"""Characters shown of a text's beginning, and of its end."""


class DraftTraces:
    """Writes traces into a stage's run, in a thread, so that the stage never waits for MLflow.

    Usage:

        with stage_run(…) as run, DraftTraces(3, run) as traces:
            … write_drafts(client, instructions, settings, prompts, traces)

    Leaving the block waits until all traces are written. Traces are not results: if MLflow rejects
    any, one warning covers them all.
    """

    def __init__(self, number: int, run: "StageLog") -> None:
        """
        Args:
            number: how many drafts to trace.
            run: the stage's run, to which the traces are linked.
        """
        self.number = number
        self._run = run
        self._thread = ThreadPoolExecutor(1, "traces")
        self._errors: list[Exception] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        if self._errors:
            what = (str(self._errors[0]) or repr(self._errors[0])).splitlines()[0][:200]
            print(
                f"warning: traces of {len(self._errors)} draft(s) could not be written to MLflow: "
                f"{what}. Drafts and metrics are complete.",
                file=sys.stderr,
                flush=True,
            )

    def keep(self, result: Draft | Failure, calls: list[CallRecord]) -> None:
        """Queues the trace of a draft, or of a failure, with all its calls; returns at once."""
        self._thread.submit(self._write, result, calls)

    def _write(self, result: Draft | Failure, calls: list[CallRecord]) -> None:
        try:
            experiment = self._experiment
            from mlflow.tracing.client import TracingClient

            info, spans = draft_trace(result, calls, experiment, self._run.id)
            # MLflow's own exporter writes every span separately, from its own threads; this takes
            # two writes per trace.
            client = TracingClient()
            client.start_trace(info)
            client.log_spans(experiment, spans)
        except Exception as error:  # an MLflow error must not stop the stage
            self._errors.append(error)

    @cached_property
    def _experiment(self) -> str:
        run_id = self._run.id  # waits until MLflow knows its database
        from mlflow import MlflowClient

        return str(MlflowClient().get_run(run_id).info.experiment_id)


def draft_trace(
    result: Draft | Failure, calls: list[CallRecord], experiment: str, run_id: str
) -> "tuple[TraceInfo, list[Span]]":
    """Returns a draft's trace and its spans, the draft's own span first.

    Args:
        calls: all calls of the draft, at least one.
        experiment: id of MLflow's experiment.
        run_id: id of the stage's run, whose page shows the trace.
    """
    from mlflow.entities import SpanType, TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.constant import SpanAttributeKey, TraceMetadataKey, TraceTagKey

    steps: dict[str, list[CallRecord]] = {}
    for call in sorted(calls, key=lambda call: call.begun):
        steps.setdefault(call.step, []).append(call)
    failure = result if isinstance(result, Failure) else None
    error = f"{failure.step}: {failure.error}: {failure.detail}" if failure else ""
    prompt = shortened(result.prompt)
    answer = shortened(result.response) if isinstance(result, Draft) else error

    trace = _Trace()
    shown = {SpanAttributeKey.INPUTS: {"prompt": prompt}, SpanAttributeKey.OUTPUTS: answer}
    draft = trace.add("draft", SpanType.AGENT, None, calls, error, shown)
    for name, samples in steps.items():
        failed = error if failure and failure.step == name else ""
        if len(samples) == 1:
            kind, fault, attributes = SpanType.CHAT_MODEL, samples[0].fault, _attributes(samples[0])
            trace.add(name, kind, draft, samples, fault or failed, attributes)
            continue
        step = trace.add(name, SpanType.TASK, draft, samples, failed, {})
        for number, call in enumerate(samples, start=1):
            attributes = _attributes(call)
            name = f"sample {number}"
            trace.add(name, SpanType.CHAT_MODEL, step, [call], call.fault, attributes)

    start, end = _nanoseconds(calls)
    info = TraceInfo(
        trace_id=trace.id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start // 1_000_000,
        execution_duration=(end - start) // 1_000_000,
        state=TraceState.ERROR if failure else TraceState.OK,
        request_preview=prompt,
        response_preview=answer,
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id},
        tags={TraceTagKey.TRACE_NAME: "draft", "longwriter.draft": result.id},
    )
    return info, trace.spans


def shortened(text: str) -> str:
    """Returns a long text's beginning and end, with the number of characters left out between."""
    hidden = len(text) - 2 * SHOWN
    if hidden <= 0:
        return text
    return f"{text[:SHOWN]} […{hidden:,} characters…] {text[-SHOWN:]}"


class _Trace:
    """A trace as MLflow stores it."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self.id = f"tr-{self._key.hex()}"
        self.spans: list[Span] = []

    def add(
        self,
        name: str,
        kind: str,
        parent: bytes | None,
        calls: list[CallRecord],
        fault: str,
        attributes: dict[str, Any],
    ) -> bytes:
        """Adds a span from the first call's start to the last call's end; returns its id."""
        from mlflow.entities import Span
        from mlflow.tracing.constant import SpanAttributeKey

        own = os.urandom(8)
        start, end = _nanoseconds(calls)
        told = {
            SpanAttributeKey.REQUEST_ID: self.id,
            SpanAttributeKey.SPAN_TYPE: kind,
            **attributes,
        }
        fields = {
            "trace_id": b64encode(self._key).decode(),
            "span_id": b64encode(own).decode(),
            "parent_span_id": b64encode(parent).decode() if parent else "",
            "name": name,
            "start_time_unix_nano": start,
            "end_time_unix_nano": end,
            "status": {"code": f"STATUS_CODE_{'ERROR' if fault else 'OK'}", "message": fault},
            "attributes": {k: json.dumps(v, ensure_ascii=False) for k, v in told.items()},
        }
        self.spans.append(Span.from_dict(fields))
        return own


def _attributes(call: CallRecord) -> dict[str, Any]:
    from mlflow.tracing.constant import SpanAttributeKey, TokenUsageKey

    messages = [message | {"content": shortened(message["content"])} for message in call.messages]
    answer = {"role": "assistant", "content": shortened(call.text)}
    told: dict[str, Any] = {
        SpanAttributeKey.MESSAGE_FORMAT: "openai",
        SpanAttributeKey.INPUTS: {"messages": messages},
        SpanAttributeKey.OUTPUTS: {"choices": [{"message": answer}]},
        "tries": call.tries,
        "waited_s": round(call.waited, 3),
        "from_cache": not call.tries and bool(call.model),  # without a model, it was never sent
    }
    if call.model:
        told[SpanAttributeKey.MODEL] = call.model
        told[SpanAttributeKey.CHAT_USAGE] = {
            TokenUsageKey.INPUT_TOKENS: call.prompt_tokens,
            TokenUsageKey.OUTPUT_TOKENS: call.completion_tokens,
            TokenUsageKey.TOTAL_TOKENS: call.prompt_tokens + call.completion_tokens,
        }
        told["thinking_tokens"] = call.thinking_tokens
    if call.fault:
        told["fault"] = call.fault
    return told


def _nanoseconds(calls: list[CallRecord]) -> tuple[int, int]:
    """Returns the first call's start and the last call's end, in nanoseconds of Unix time."""
    start = min(call.begun for call in calls)
    end = max(call.begun + call.seconds for call in calls)
    return int(start * 1e9), int(end * 1e9)
