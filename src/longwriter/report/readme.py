"""Updates the results in README.md: `python -m longwriter.report.readme [--check]`.

Rewrites the block between `<!-- results -->` and `<!-- /results -->` from the metric files in the
current folder. With --check it writes nothing, and exits with 1 if the block is out of date.
"""

import argparse
import json
import sys
from pathlib import Path

from longwriter.core.errors import DataError, LongwriterError
from longwriter.core.files import write_text
from longwriter.core.statistics import Interval
from longwriter.models.lineup import MODELS
from longwriter.report.load import read_audit
from longwriter.report.tables import results_table

START, END = "<!-- results -->", "<!-- /results -->"


def with_results(readme: str, table: str) -> str:
    """Returns `readme` with its results block replaced by `table`.

    Raises:
        DataError: the two markers do not each occur exactly once, in order.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in before + after:
        raise DataError(f"README.md: needs {START} and after it {END}, each on a line and once")
    return f"{before}{START}\n{table}{END}{after}"


def committed_table(root: Path) -> str:
    """Returns the results table built from the metric files below `root`.

    Raises:
        DataError: a metric file is missing.
    """
    try:
        evals = {
            model.name: json.loads((root / f"metrics/eval/{model.name}.json").read_bytes())
            for model in MODELS
        }
        differences = json.loads((root / "metrics/comparison.json").read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: is missing; `make repro` writes it") from None
    graded = bool((read_audit(root) or {}).get("trusted"))
    of_length = {
        step: Interval(found["mean"], found["low"], found["high"])
        for step, found in differences.items()
    }
    return results_table(evals, of_length, graded=graded)


def main(arguments: list[str] | None = None) -> int:
    """Writes the block, or with --check only compares it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="longwriter.report.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if they differ")
    check = parser.parse_args(arguments).check
    path = Path("README.md")
    try:
        readme = path.read_text(encoding="utf-8")
        wanted = with_results(readme, committed_table(Path()))
    except (LongwriterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if readme == wanted:
        return 0
    if check:
        print(
            "README.md: its results do not match metrics/; run `python -m "
            "longwriter.report.readme` to update them",
            file=sys.stderr,
        )
        return 1
    write_text(path, wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
