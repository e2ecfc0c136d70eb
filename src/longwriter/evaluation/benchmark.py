"""Reads a benchmark's prompts."""

from pathlib import Path
from typing import Any

from longwriter.core.errors import DataError
from longwriter.core.files import digest
from longwriter.core.rows import BenchmarkPrompt, Prediction
from longwriter.core.sources import checked, open_source
from longwriter.evaluation.settings import BenchSettings, PredictSettings
from longwriter.text.demands import words_asked
from longwriter.text.languages import benchmark_language


def load_benchmark(path: Path, sha256: str | None) -> list[BenchmarkPrompt]:
    """Reads the prompts in `path`; a missing `length` is taken from the prompt's text.

    Args:
        sha256: SHA-256 that the file must have, in hex; None: not checked.

    Raises:
        DataError: the file cannot be read or has another checksum, or a row is not a prompt.
    """
    rows = open_source(None, None, path, "bench.path").rows()
    prompts = [checked(with_length(row), BenchmarkPrompt, where) for where, row in rows]
    if sha256 is not None and digest(path) != sha256.lower():
        raise DataError(
            f"{path}: its SHA-256 is {digest(path)}, and bench.sha256 expects {sha256}. Get the "
            "file again, or set bench.sha256 to the new sum (null: not checked) if the change is "
            "meant: scores of different files cannot be compared."
        )
    return prompts


def read_predictions(path: Path) -> list[Prediction]:
    """Reads predictions, such as the paper's; a missing `length` is taken from the prompt's text.

    Raises:
        DataError: the file cannot be read, or a row is not a prediction.
    """
    rows = open_source(None, None, path, "predictions").rows()
    return [checked(with_length(row), Prediction, where) for where, row in rows]


def with_length(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the row with a missing `length` filled in, if its prompt states one."""
    prompt = row.get("prompt")
    if row.get("length") is not None or not isinstance(prompt, str):
        return row
    asked = words_asked(prompt)
    return row if asked is None else row | {"length": asked}


def chosen_benchmark(
    predict: PredictSettings, bench: BenchSettings, root: Path
) -> list[BenchmarkPrompt]:
    """Reads the first `bench.limit` prompts in `bench.languages`.

    They come from `predict.benchmark` or, if that is null, from `bench.path`, whose checksum is
    verified.

    Raises:
        DataError: as `load_benchmark`, or no prompt is left.
    """
    if predict.benchmark:
        prompts = load_benchmark(Path(predict.benchmark).absolute(), None)
    else:
        prompts = load_benchmark(root / bench.path, bench.sha256)
    chosen = [row for row in prompts if benchmark_language(row.prompt) in bench.languages]
    if not chosen:
        raise DataError(
            f"bench.languages: {bench.languages} matches none of {len(prompts)} prompts; use en, "
            "zh or both"
        )
    return chosen[: bench.limit]
