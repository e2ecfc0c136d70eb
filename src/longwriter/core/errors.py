"""Every error that longwriter raises on purpose.

LongwriterError
├── SettingsError        a key, type or value in conf/ or on the command line
├── DataError            a file, or a row in one
├── TooFewGrades         the judge left too many texts without grades
├── TrainingError        training cannot start or go on
├── ServerError          the run stops: every further call would fail in the same way
└── CallError            one call to a model failed for good; the rest of the run goes on
    ├── TransientError   may pass when the run is repeated
    │   ├── TimedOut
    │   ├── RateLimited
    │   └── ServerFault  5xx, a connection that breaks, a body that is not a completion
    ├── ContextExceeded
    ├── BadRequest       any other 4xx
    ├── OverBudget       this call could exceed max_cost
    └── BadCompletion    the model answered, and no sample of its answer was usable

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


class TrainingError(LongwriterError):
    """Training cannot start or go on."""


class ServerError(LongwriterError):
    """The server cannot be reached, refuses the key or does not know the model."""


class CallError(LongwriterError):
    """One call failed for good, after the client's own retries."""


class TransientError(CallError):
    """The fault is the server's, not the call's: the same call may succeed later."""


class TimedOut(TransientError):
    """No answer within `timeout_s`."""


class RateLimited(TransientError):
    """429 on the last try."""


class ServerFault(TransientError):
    """5xx, a broken connection, or a body that is not a chat completion, on the last try."""


class ContextExceeded(CallError):
    """Prompt and completion do not fit the model's context."""


class BadRequest(CallError):
    """The server refuses this call, not every call."""


class OverBudget(CallError):
    """This call could exceed max_cost."""


class BadCompletion(CallError):
    """No sample was usable: empty, cut off, too short, repetitive or not the requested JSON."""
