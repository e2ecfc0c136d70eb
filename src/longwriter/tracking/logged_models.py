"""The pipeline's checkpoints as MLflow LoggedModels, with their scores.

DVC owns the bytes. A LoggedModel holds a pointer to them (path and md5) and the numbers to compare,
which are linked to it and to the benchmark. Its artifact `scores.json` has S_l per prompt, so that
models of different runs can be compared on the same prompts.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from longwriter.core.rows import Judgement
from longwriter.core.statistics import means_by
from longwriter.models.lineup import MODELS
from longwriter.tracking.provenance import locked_stages
from longwriter.tracking.values import flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

PATH, MD5 = "dvc.path", "dvc.md5"
"""Tags: the checkpoint's path and md5, as recorded in dvc.lock."""

BENCHMARK = "longwriter.benchmark"
"""Tag with the benchmark's digest, set once a LoggedModel's scores are complete."""

SCORES_FILE = "scores.json"

COMPARED = ("S_l", "S_q", "S_bar", "n", "unscored", "cut_off", "mean_words")
"""Keys of metrics/eval/NAME.json that are logged to a LoggedModel."""
GRADED = ("S_q", "S_bar")
"""Those that are meaningful only if the judge passed its audit."""

DIGEST_LENGTH = 32
"""Hex digits of a data set's digest; MLflow allows 36 characters."""


class Benchmark(NamedTuple):
    """What a model was scored on."""

    name: str
    """The value of `bench.path`, or `predict.benchmark` if that setting names the file."""
    digest: str
    """Digest of the whole file, as in inputs.yaml, such as `sha256:…`."""

    @property
    def short(self) -> str:
        """The digest, shortened for MLflow."""
        return self.digest.partition(":")[2][:DIGEST_LENGTH]


class Scores(NamedTuple):
    """A model's scores on a benchmark."""

    benchmark: Benchmark
    numbers: Mapping[str, float]
    length_scores: Mapping[str, float]
    """Digest of a prompt → S_l, the mean if there are several answers."""

    def as_json(self) -> dict[str, Any]:
        """Returns the content of `scores.json`."""
        return {"benchmark": self.benchmark._asdict(), "S_l": dict(self.length_scores)}


def model_scores(
    root: Path,
    evals: Mapping[str, Mapping[str, Any]],
    judgements: Mapping[str, Sequence[Judgement]],
    *,
    graded: bool,
) -> dict[str, Scores]:
    """Returns model → scores, for models whose benchmark is in dvc.lock of the checkout `root`.

    Args:
        evals: model → metrics/eval/NAME.json.
        judgements: model → its scored answers.
        graded: whether to include the judge's grades, S_q and S̄.
    """
    stages, found = locked_stages(root), {}
    for model, numbers in evals.items():
        benchmark = _benchmark(stages.get(f"predict@{model}", {}).get("params", {}))
        if benchmark is None:
            continue
        shown = [name for name in COMPARED if name in numbers]
        rows = judgements[model]
        by_prompt = means_by([row.prompt for row in rows], [row.length_score for row in rows])
        found[model] = Scores(
            benchmark,
            flatten({name: numbers[name] for name in shown if graded or name not in GRADED}),
            {_digest(prompt): score for prompt, score in by_prompt.items()},
        )
    return found


def _benchmark(params: Mapping[str, Any]) -> Benchmark | None:
    """Returns the benchmark that stage `predict` read, from its parameters in dvc.lock."""
    inputs = params.get("inputs.yaml", {})
    if given := inputs.get("predict.benchmark"):
        return Benchmark("predict.benchmark", given)
    digest = inputs.get("bench", {}).get("path")
    return Benchmark(params["params.yaml"]["bench.path"], digest) if digest else None


def _digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def log_models(
    client: "MlflowClient",
    run: "Run",
    pointers: Mapping[str, str],
    scores: Mapping[str, Scores],
    tags: Mapping[str, str],
) -> None:
    """Logs every checkpoint of a pipeline's run as a LoggedModel.

    A checkpoint that the run already has, by path and md5, is not added again.

    Args:
        pointers: path → md5 in DVC; those below models/ are checkpoints.
        scores: model, such as `sft` → its scores.
        tags: where the run comes from, such as the commit.
    """
    known = {
        (model.tags.get(PATH), model.tags.get(MD5)): model
        for model in logged_models(client, run.info.experiment_id, run.info.run_id)
    }
    for path, md5 in pointers.items():
        if not path.startswith("models/"):
            continue
        name = path.removeprefix("models/")
        model = known.get((path, md5)) or _create(run, name, {PATH: path, MD5: md5, **tags})
        if name in scores and BENCHMARK not in model.tags:
            _log_scores(client, run, model, scores[name])


def logged_models(client: "MlflowClient", experiment: str, run_id: str) -> list["LoggedModel"]:
    """Returns the LoggedModels of a run."""
    return list(client.search_logged_models([experiment], f"source_run_id = '{run_id}'"))


def _create(run: "Run", name: str, tags: Mapping[str, str]) -> "LoggedModel":
    import mlflow

    return mlflow.create_external_model(
        name=re.sub(r"[^\w-]", "-", name),
        source_run_id=run.info.run_id,
        tags={**tags, "longwriter.run_id": run.info.run_id},
        experiment_id=run.info.experiment_id,
    )


def _log_scores(client: "MlflowClient", run: "Run", model: "LoggedModel", scores: Scores) -> None:
    """Logs a model's scores and benchmark, and sets the tag BENCHMARK.

    The tag is set last, so that its presence means that everything was logged. In the run the
    numbers form a curve over the lineup: step 0 is base, 1 sft, 2 dpo.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric

    name, digest = scores.benchmark.name, scores.benchmark.short
    source = json.dumps({"uri": name})
    dataset = Dataset(name=name, digest=digest, source_type="local", source=source)
    context = InputTag("mlflow.data.context", "eval")
    client.log_inputs(run.info.run_id, datasets=[DatasetInput(dataset, tags=[context])])
    step = [model.name for model in MODELS].index(model.name)
    outputs = client.get_run(run.info.run_id).outputs
    # A report that was interrupted here may have logged the link and some of the numbers.
    if model.model_id not in {out.model_id for out in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step)])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / SCORES_FILE
        file.write_text(json.dumps(scores.as_json()), encoding="utf-8")
        client.log_model_artifact(model.model_id, str(file))
    there = {metric.key for metric in model.metrics or []}
    metrics = [
        Metric(key, value, run.info.start_time, step, model.model_id, name, digest)
        for key, value in scores.numbers.items()
        if key not in there
    ]
    client.log_batch(run.info.run_id, metrics=metrics)
    client.set_logged_model_tags(model.model_id, {BENCHMARK: scores.benchmark.digest})
