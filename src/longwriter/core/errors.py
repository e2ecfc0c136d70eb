"""Every error that longwriter raises on purpose.

LongwriterError
├── SettingsError        a key, type or value in conf/ or on the command line
├── DataError            a file, or a row in one
├── TooFewGrades         the judge left too many texts without grades
├── TooManyFailures      more drafts or answers failed than the settings allow
├── TrainingError        training cannot start or go on
├── ServerError          the run stops: every further call would fail in the same way
└── CallError            one call to a model failed for good; the rest of the run goes on
    ├── TransientError   the server's trouble: may pass when the run is repeated
    │   ├── TimedOut
    │   ├── RateLimited
    │   ├── ServerFault  5xx, a connection that breaks, a body that is not a completion
    │   └── Aborted      the server broke its answer off
    ├── ContextExceeded
    ├── BadRequest       any other 4xx
    ├── PromptRefused    the provider refuses this prompt for its content
    ├── OverBudget       this call could exceed max_cost
    └── BadCompletion    the model answered, and no sample of its answer was usable
        ├── Moderated    the provider broke the answer off for its content
        └── StillThinking  the answer was cut off before the model had thought to the end

A stage that ends with one of them prints the message and exits with status 1.
"""


class LongwriterError(Exception):
    """The message says what is wrong, what was given and how to fix it."""


class SettingsError(LongwriterError):
    """A setting is unknown, missing, of the wrong type or out of range."""


class DataError(LongwriterError):
    """A file is missing or empty, or a row in it is not what the stage reads."""


class TooFewGrades(LongwriterError):
    """The judge left more texts without grades than `judge.max_unscored` allows."""


class TooManyFailures(LongwriterError):
    """More drafts or answers failed than `max_failed` allows."""


class TrainingError(LongwriterError):
    """Training cannot start or go on."""


class JobError(LongwriterError):
    """A cluster ended a stage's job before the stage had ended."""


class ServerError(LongwriterError):
    """The server cannot be reached, refuses the key or the request's form, does not know the model, or
    the account has no money."""


class Unreachable(ServerError):
    """Nothing listens at the server's address."""


class CallError(LongwriterError):
    """One call failed for good, after the client's own retries."""


class TransientError(CallError):
    """The fault is the server's, not the call's: the same call may succeed later."""


class TimedOut(TransientError):
    """No answer within `timeout_s`."""


class RateLimited(TransientError):
    """The server has no room for this call at the moment."""

    pause: float | None = None
    """Seconds until it may be made again, where the server says so."""


class ServerFault(TransientError):
    """5xx, a broken connection, or a body that is not a chat completion, on the last try."""


class Aborted(TransientError):
    """The answer ended in another way than by itself or by max_tokens."""


class ContextExceeded(CallError):
    """Prompt and completion do not fit the model's context."""


class BadRequest(CallError):
    """The server refuses this call, not every call."""

    field: str | None = None
    """The field of the request that it will not have, where its words name one."""


class PromptRefused(CallError):
    """The provider refuses this prompt for its content."""


class OverBudget(CallError):
    """This call could exceed max_cost."""


class BadCompletion(CallError):
    """No sample was usable: empty, cut off, too short, repetitive or not the requested JSON."""


class Moderated(BadCompletion):
    """The provider broke the answer off for its content, or the model refuses in a field of its own."""


class StillThinking(BadCompletion):
    """All that came is thinking, cut off."""
