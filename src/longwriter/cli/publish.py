"""`longwriter publish`: uploads a checkpoint, and its training rows, to the Hugging Face hub."""

import json
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import DatasetCard

from longwriter.config.inputs import path_digest
from longwriter.config.load import read_params
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import dvc_md5
from longwriter.core.rows import Instruction
from longwriter.core.sources import open_source, read_jsonl
from longwriter.core.tables import count
from longwriter.dataset.card import license_of
from longwriter.dataset.settings import FilterSettings
from longwriter.models.lineup import BY_NAME, MODELS
from longwriter.models.publish import (
    LICENSE_ID,
    Base,
    Files,
    Results,
    Score,
    base_of,
    check_repository,
    checkpoint_files,
    eval_results,
    model_card,
    send,
    size,
)
from longwriter.report.load import read_audit
from longwriter.report.render import judge_remark
from longwriter.tracking.lineage import walk_back
from longwriter.tracking.provenance import locked_stages

TRAINING_ROWS, PAIRS = "data/sft/train.jsonl", "data/dpo/pairs.jsonl"
TRAINED_ON = (("sft", "data", TRAINING_ROWS), ("dpo", "pairs", PAIRS))
"""Training stage, its setting that can name other rows, and the rows used if that is null."""
SAMPLED = "candidates"
"""`source` of pairs of the model's own answers; what counts is the source of their instruction."""
DATASET, DATASET_ROWS = "data/sft/hf", (TRAINING_ROWS, "data/sft/validation.jsonl")
UNKNOWN = "unknown"
"""Licence of a source for which none was given."""
NO_SOURCE = "(none)"
"""Name used for the source of rows that don't name one."""


class Upload(NamedTuple):
    """What is uploaded to one repository."""

    repository: str
    kind: str
    files: Files
    checked: str
    """What the provenance check found, as text to show."""


class Source(NamedTuple):
    """One source of rows, with the number of its rows and its licence."""

    name: str
    rows: int
    license: str


def publish(arguments: Namespace) -> None:
    """Checks and shows what would be sent from the checkout; sends it if --send is given.

    The checkout is the working directory.

    Raises:
        SettingsError: an argument is wrong, or there is no token.
        DataError: a file is missing or is not the one that was trained or scored, or a licence is
            unknown.
        ServerError: the hub cannot be reached or refuses the upload.
    """
    root = Path()
    names = (arguments.repository, arguments.dataset, arguments.benchmark)
    for name in filter(None, names):
        check_repository(name)
    known = read_params(root).filter
    given = dict(map(_source_license, arguments.source_license))
    settings = replace(known, licenses={**known.licenses, **given})
    uploads = [_dataset(root, arguments.dataset, known, settings)] if arguments.dataset else []
    uploads.append(_model(root, arguments, settings))
    for upload in uploads:
        _show(upload)
    if not arguments.send:
        print("nothing was sent; the same command with --send sends it")
        return
    for upload in uploads:
        print(send(upload.repository, upload.kind, upload.files, arguments.private))


def _show(upload: Upload) -> None:
    sizes = {path: size(content) for path, content in upload.files.items()}
    print(
        f"{upload.kind} {upload.repository}: {len(sizes)} files, {count(sum(sizes.values()))} bytes"
    )
    for path, number in sizes.items():
        print(f"  {count(number):>15} {path}")
    print(f"checked: {upload.checked}")
    for path, content in upload.files.items():
        if path == "README.md" or path.startswith(".eval_results/"):
            text = content if isinstance(content, bytes) else content.read_bytes()
            print(f"{path}:\n" + re.sub("^", "  | ", text.decode().rstrip(), flags=re.MULTILINE))
    print()


def _model(root: Path, arguments: Namespace, settings: FilterSettings) -> Upload:
    folder, name = _checkpoint(root, arguments.model)
    files = checkpoint_files(folder)
    base, results = Base(None, None), None
    sources: list[Source] = []
    rows: list[str] = []
    checked = "no scores and no training rows of this folder are known here"
    if name:
        stages = locked_stages(root)
        rows = _check_provenance(root, name, stages)
        sources = _sources(root, rows, settings)
        base = base_of(stages["base"]["params"]["params.yaml"]["student.checkpoint"])
        results = _results(root, name, stages, arguments.benchmark)
        checked = "weights, scores and rows belong together by dvc.lock; " + _said(sources)
    base = base._replace(license=_license(arguments.license or base.license))
    dataset = arguments.dataset if TRAINING_ROWS in rows else None
    card = model_card(folder, arguments.repository, base, sources, dataset, results)
    files["README.md"] = card.encode()
    if results and results.hub_id:
        files[f".eval_results/{name}.yaml"] = eval_results(results)
    return Upload(arguments.repository, "model", files, checked)


def _checkpoint(root: Path, given: str | None) -> tuple[Path, str]:
    """Returns the checkpoint folder and its name in the lineup, empty for any other folder."""
    if given is None:
        names = [model.name for model in MODELS if (root / "models" / model.name).is_dir()]
        if not names:
            raise DataError("models/: holds no checkpoint; `dvc repro` makes them")
        given = names[-1]
    folder = root / "models" / given if given in BY_NAME else Path(given)
    if not folder.is_dir():
        raise SettingsError(f"--model {given}: neither of {', '.join(BY_NAME)} nor a folder")
    path = folder.resolve()
    own = path.parent == (root / "models").resolve() and path.name in BY_NAME
    return folder, path.name if own else ""


def _check_provenance(root: Path, name: str, stages: Mapping[str, Any]) -> list[str]:
    """Checks by dvc.lock that the scores belong to the weights.

    Returns:
        The files of the rows that the weights were trained on.
    """
    scores, model, answers = (
        f"metrics/eval/{name}.json", f"models/{name}", f"data/predictions/{name}.jsonl"
    )  # fmt: skip
    fix = f"the scores may be of other weights or rows; `dvc repro eval@{name}` renews them"
    links = walk_back(root, lambda path, md5: None, scores)
    paths = {link.path for link in links}
    if model not in paths:
        raise DataError(f"dvc.lock: does not say that {scores} was made of {model}: {fix}")
    rows = []
    for stage, setting, file in TRAINED_ON:
        if f"models/{stage}" in paths:
            values, digests = (
                stages[stage]["params"][f"{kind}.yaml"] for kind in ("params", "inputs")
            )
            other = values[stage][setting]
            if other and path_digest(other, root) != digests[stage][setting]:
                raise DataError(f"{other}: is not what models/{stage} was trained on: {fix}")
            rows.append(other or file)
    for link in links:
        used = link.path.startswith("models/") or link.path in (answers, *rows)
        if used and not link.current:
            raise DataError(f"{link.path}: has been rewritten since {scores}: {fix}")
        if link.path in (scores, model, *rows):
            _check_md5(root, link.path, link.digest, fix)
    return rows


def _check_md5(root: Path, path: str, md5: str, fix: str) -> None:
    if not (root / path).exists():
        raise DataError(f"{path}: is missing; `dvc checkout {path}` or `dvc pull {path}` brings it")
    if dvc_md5(root / path) != md5:
        raise DataError(f"{path}: is not what dvc.lock has: {fix}")


def _sources(root: Path, files: Sequence[str], settings: FilterSettings) -> list[Source]:
    """Returns the sources of all rows.

    Raises:
        DataError: the licence of a source is unknown.
    """
    rows: dict[str, int] = {}
    unknown: dict[str, str] = {}
    for source, where in _rows(root, files):
        rows[source] = rows.get(source, 0) + 1
        if license_of(source, settings).lower() == UNKNOWN:
            unknown.setdefault(source, where)
    if unknown:
        named = "; ".join(
            f"source {source!r} (rows: {count(rows[source])}; the first: {where})"
            for source, where in unknown.items()
        )
        raise DataError(
            f"no licence is known of {named}; name it with --source-license '{next(iter(unknown))}=ID', or in "
            "filter.licenses"
        )
    return [Source(name, rows[name], license_of(name, settings)) for name in sorted(rows)]


def _rows(root: Path, files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the source of every row, and the row's id and location."""
    for file in files:
        if (root / file).stat().st_size:  # there may be no validation rows
            asked = _asked(root) if file == PAIRS else {}
            for where, row in open_source(None, None, root / file, file).rows():
                source = row.get("source")
                if source == SAMPLED:
                    source = asked.get(str(row["id"]))
                yield str(source or NO_SOURCE), f"{row.get('id')}, {where}"


def _asked(root: Path) -> dict[str, str]:
    """Returns id → source of the instructions for which the pairs' answers were sampled."""
    params = locked_stages(root)["pairs"]["params"]
    path = params["params.yaml"]["pairs"]["instructions"]
    if path_digest(path, root) != params["inputs.yaml"]["pairs"]["instructions"]:
        raise DataError(f"{path}: is not what {PAIRS} was made of; `dvc repro pairs` renews them")
    return {row.id: row.source for row in read_jsonl(root / path, Instruction)}


def _said(sources: Sequence[Source]) -> str:
    parts = [f"{name}: {license} (rows: {count(rows)})" for name, rows, license in sources]
    return f"licence by source: {'; '.join(parts) or 'no rows were trained on'}"


def _results(root: Path, name: str, stages: Mapping[str, Any], hub_id: str | None) -> Results:
    """Returns the scores, with the benchmark and the judge that dvc.lock records.

    S_q is included only if the judge passed its audit.
    """
    found = json.loads((root / f"metrics/eval/{name}.json").read_bytes())
    predicted, evaluated = stages[f"predict@{name}"]["params"], stages[f"eval@{name}"]["params"]
    judge = evaluated["params.yaml"]["judge.model"] or "a model that was not named"
    inputs = predicted["inputs.yaml"]
    other = inputs.get("predict.benchmark")
    intervals, n = found["intervals"], found["n"]
    near = "how near the length is to the required one, counted"
    scores = [Score("S_l", near, found["S_l"], intervals["S_l"], n)]
    remark = ""
    if found["S_q"] is not None and not (remark := judge_remark(read_audit(root))):
        graded, by = n - found["unscored"], f"quality, graded by {judge}"
        scores.append(Score("S_q", by, found["S_q"], intervals["S_q"], graded))
    return Results(
        benchmark="other prompts" if other else Path(predicted["params.yaml"]["bench.path"]).name,
        digest=other or inputs["bench"]["path"],
        hub_id=hub_id,
        scores=scores,
        remark=remark,
    )


def _dataset(
    root: Path, repository: str, known: FilterSettings, settings: FilterSettings
) -> Upload:
    """Returns the upload of the data set folder that the filter stage wrote.

    The licences given on the command line are filled into its card.
    """
    outs = locked_stages(root).get("filter", {}).get("outs", [])
    md5s = {out["path"]: out["md5"] for out in outs}
    for path in (DATASET, *DATASET_ROWS):
        _check_md5(root, path, md5s.get(path, ""), "`dvc repro filter` writes it anew")
    sources = _sources(root, DATASET_ROWS, settings)
    folder = root / DATASET
    files: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    card = text = (folder / "README.md").read_text(encoding="utf-8")
    for name, _, license in sources:
        text = text.replace(
            f"\n| {name} | {license_of(name, known)} |", f"\n| {name} | {license} |"
        )
    if text != card:
        new = DatasetCard(text)
        licenses = {license.lower() for _, _, license in sources}
        new.data["license"] = licenses.pop() if len(licenses) == 1 else "other"
        files["README.md"] = str(new).encode()
    return Upload(repository, "dataset", files, _said(sources))


def _license(given: str | None) -> str:
    if not given:
        raise SettingsError("--license ID is needed: that of the base model is not known here")
    if not LICENSE_ID.fullmatch(given):
        raise SettingsError(
            f"--license {given}: is not a licence id such as apache-2.0; set the licence of a row "
            "source with --source-license SOURCE=ID"
        )
    return given.lower()


def _source_license(given: str) -> tuple[str, str]:
    source, _, license = given.rpartition("=")
    if not source or not LICENSE_ID.fullmatch(license) or license.lower() == UNKNOWN:
        raise SettingsError(
            f"--source-license {given}: SOURCE=ID is needed, such as own=Apache-2.0; the model's own is given by "
            "--license ID"
        )
    return source.partition(" at ")[0], license  # a hub data set at any revision
