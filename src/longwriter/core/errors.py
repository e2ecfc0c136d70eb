"""Every error that longwriter raises on purpose.

LongwriterError
├── SettingsError        a key, type or value in conf/ or on the command line
├── DataError            a file, or a row in one
├── TooFewGrades         the judge left too many texts without grades
├── TooManyFailures      more drafts or answers failed than the settings allow
├── TrainingError        training cannot start or continue
├── JobError             the cluster ended a stage's job before the stage had finished
├── ServerError          the run stops: every further call would fail in the same way
│   └── Unreachable
└── CallError            one call to a model failed for good; the rest of the run goes on
    ├── TransientError   a fault of the server, which may be gone when the run is repeated
    │   ├── TimedOut
    │   ├── RateLimited
    │   ├── ServerFault  5xx, a broken connection, a body that is not a completion
    │   └── Aborted      the server stopped its answer early
    ├── ContextExceeded
    ├── BadRequest       any other 4xx
    ├── PromptRefused    the provider refuses this prompt because of its content
    ├── OverBudget       this call could exceed max_cost
    └── BadCompletion    the model answered, but no sample was usable
        ├── Moderated    the provider stopped the answer because of its content
        └── StillThinking  the answer was cut off before the model finished thinking

A stage that ends with one of them prints the message and exits with status 1.
"""


class LongwriterError(Exception):
    """Base class; the message says what is wrong, what was given and how to fix it."""


class SettingsError(LongwriterError):
    """A setting is unknown, missing, of the wrong type or out of range."""


class DataError(LongwriterError):
    """A file is missing or empty, or a row in it does not have the form that the stage reads."""


class TooFewGrades(LongwriterError):
    """The judge left more texts without grades than `judge.max_unscored` allows."""


class TooManyFailures(LongwriterError):
    """More drafts or answers failed than `max_failed` allows."""


class TrainingError(LongwriterError):
    """Training cannot start or continue."""


class JobError(LongwriterError):
    """The cluster ended a stage's job before the stage had finished."""


class ServerError(LongwriterError):
    """The server cannot serve any call.

    It cannot be reached, rejects the key or the form of the request, does not know the model, or
    the account is out of money.
    """


class Unreachable(ServerError):
    """Nothing listens at the server's address."""


class CallError(LongwriterError):
    """One call failed for good, after the client's own retries."""


class TransientError(CallError):
    """The server is at fault, not the call: the same call may succeed later."""


class TimedOut(TransientError):
    """No answer within `timeout_s`."""


class RateLimited(TransientError):
    """The server has no capacity for this call at the moment."""

    pause: float | None = None
    """Seconds until the call may be repeated, if the server says so."""


class ServerFault(TransientError):
    """The last try got a 5xx, a broken connection or a body that is not a chat completion."""


class Aborted(TransientError):
    """The server stopped the answer for a reason that is neither max_tokens nor its content."""


class ContextExceeded(CallError):
    """Prompt and completion do not fit into the model's context."""


class BadRequest(CallError):
    """The server rejects this call, but not every call."""

    field: str | None = None
    """The request field that the server rejects, if its message names one."""


class PromptRefused(CallError):
    """The provider refuses this prompt because of its content."""


class OverBudget(CallError):
    """This call could exceed max_cost."""


class BadCompletion(CallError):
    """No sample was usable: empty, cut off, too short, repetitive or not the requested JSON."""


class Moderated(BadCompletion):
    """The provider stopped the answer because of its content, or its refusal field is set."""


class StillThinking(BadCompletion):
    """The answer was cut off while the model was still thinking."""
