"""Counts failures by cause, and stops a run with too many."""

from collections import Counter
from collections.abc import Sequence

from longwriter.core.errors import OverBudget, TooManyFailures, TransientError
from longwriter.core.rows import Failure

_SERVER = {TransientError.__name__, *(kind.__name__ for kind in TransientError.__subclasses__())}

_ADVICE = {
    "server": "Once the server has recovered, rerun the same command; only the missing calls are "
    "repeated.",
    "teacher": "Try a larger teacher or different teacher settings.",
}


def failures_by_side(failures: Sequence[Failure]) -> dict[str, int]:
    """Counts failures due to the server, to the teacher's answers and to lack of money."""
    return dict(Counter(_side(failure) for failure in failures))


def _side(failure: Failure) -> str:
    if failure.error == OverBudget.__name__:
        return "money"
    return "server" if failure.error in _SERVER else "teacher"


def check_failures(
    failures: Sequence[Failure], total: int, most: float, group: str, what: str
) -> None:
    """Checks that no more items failed than `group.max_failed` allows.

    Otherwise a model might be trained on the rest of a run that went wrong. Items that failed for
    lack of money don't count.

    Args:
        total: number of items, including those not tried yet.
        most: share of them that may fail.
        what: name of the items, in the plural, such as `drafts`.

    Raises:
        TooManyFailures: more items failed.
    """
    sides = failures_by_side(failures)
    server, teacher = sides.get("server", 0), sides.get("teacher", 0)
    if server + teacher <= most * total:
        return
    first = next(failure for failure in failures if _side(failure) != "money")
    errors = Counter(failure.error for failure in failures if _side(failure) != "money")
    counts = ", ".join(f"{name} {number}" for name, number in errors.most_common())
    raise TooManyFailures(
        f"{server + teacher} of {total} {what} failed ({counts}): {server} due to server faults, "
        f"{teacher} due to unusable teacher answers; {group}.max_failed={most:g} allows "
        f"{int(most * total)}. The first, {first.id}: {first.step}: {first.error}: {first.detail}. "
        f"{_ADVICE['server' if server >= teacher else 'teacher']} Finished calls are kept; to "
        f"continue without the failed ones, raise {group}.max_failed"
    )
