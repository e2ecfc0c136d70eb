"""`longwriter publish`: a checkpoint, and its training rows, to the Hugging Face hub."""

import json
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import DatasetCard

from longwriter.config.load import read_params
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import dvc_md5
from longwriter.core.sources import parse_line, stream_lines
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
from longwriter.report.render import TOY_JUDGE
from longwriter.tracking.lineage import walk_back
from longwriter.tracking.provenance import locked_stages

TRAINING_ROWS, PAIRS = "data/sft/train.jsonl", "data/dpo/pairs.jsonl"
DATASET, DATASET_ROWS = "data/sft/hf", (TRAINING_ROWS, "data/sft/validation.jsonl")
UNKNOWN = "unknown"
"""Licence of a source that no one named."""
NO_SOURCE = "(none)"
"""Source of rows that name none."""


class Upload(NamedTuple):
    """What goes into one repository."""

    repository: str
    kind: str
    files: Files
    checked: str
    """What is known of its provenance."""


class Source(NamedTuple):
    """Rows of one source."""

    name: str
    rows: int
    license: str


def publish(arguments: Namespace) -> None:
    """Checks and shows what would be sent from the checkout in the working folder; with --send sends it.

    Raises:
        SettingsError: an argument is wrong, or there is no token.
        DataError: a file is missing or is not the one that was trained or scored, or a licence is unknown.
        ServerError: the hub cannot be reached or refuses.
    """
    root = Path()
    names = (arguments.repository, arguments.dataset, arguments.benchmark)
    for name in filter(None, names):
        check_repository(name)
    given = dict(map(_source_license, arguments.licence))
    uploads = [_dataset(root, arguments.dataset, given)] if arguments.dataset else []
    uploads.append(_model(root, arguments, given))
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


def _model(root: Path, arguments: Namespace, given: Mapping[str, str]) -> Upload:
    folder, name = _checkpoint(root, arguments.model)
    files = checkpoint_files(folder)
    base, results = Base(None, None), None
    sources: list[Source] = []
    checked = "no scores and no training rows of this folder are known here"
    if name:
        stages = locked_stages(root)
        rows = _check_provenance(root, name)
        sources = _sources(root, rows, given)
        base = base_of(stages["base"]["params"]["params.yaml"]["student.checkpoint"])
        results = _results(root, name, stages, arguments.benchmark)
        checked = "weights, scores and rows belong together by dvc.lock; " + _said(sources)
    base = base._replace(license=_license(arguments.license or base.license))
    card = model_card(folder, arguments.repository, base, sources, arguments.dataset, results)
    files["README.md"] = card.encode()
    if results and results.hub_id:
        files[f".eval_results/{name}.yaml"] = eval_results(results)
    return Upload(arguments.repository, "model", files, checked)


def _checkpoint(root: Path, given: str | None) -> tuple[Path, str]:
    """The folder, and the name in the lineup; of another folder an empty one."""
    if given is None:
        names = [model.name for model in MODELS if (root / "models" / model.name).is_dir()]
        if not names:
            raise DataError("models/: holds no checkpoint; `dvc repro` makes them")
        return root / "models" / names[-1], names[-1]
    folder = root / "models" / given if given in BY_NAME else Path(given)
    if not folder.is_dir():
        raise SettingsError(f"--model {given}: neither of {', '.join(BY_NAME)} nor a folder")
    path = folder.resolve()
    own = path.parent == (root / "models").resolve() and path.name in BY_NAME
    return folder, path.name if own else ""


def _check_provenance(root: Path, name: str) -> list[str]:
    """Checks by dvc.lock that the scores are those of the weights, and returns the files of the rows that
    the weights were trained on."""
    scores, answers, model = (
        f"metrics/eval/{name}.json",
        f"data/predictions/{name}.jsonl",
        f"models/{name}",
    )
    links = walk_back(root, lambda path, md5: None, scores)
    fix = f"the scores are stale or missing; `dvc repro eval@{name}` renews them"
    used = [
        link
        for link in links
        if link.path.startswith("models/") or link.path in (scores, answers, TRAINING_ROWS, PAIRS)
    ]
    for needed in (scores, answers, model):
        if needed not in {link.path for link in used}:
            raise DataError(f"dvc.lock: does not say that {scores} was made of {model}: {fix}")
    for link in used:
        if not link.current:
            raise DataError(f"{link.path}: was written anew since {scores}: {fix}")
        if link.path in (scores, model, TRAINING_ROWS, PAIRS):
            _check_md5(root, link.path, link.digest, fix)
    return [link.path for link in used if link.path in (TRAINING_ROWS, PAIRS)]


def _check_md5(root: Path, path: str, md5: str, fix: str) -> None:
    if not (root / path).exists():
        raise DataError(f"{path}: is missing; `dvc checkout {path}` or `dvc pull {path}` brings it")
    if dvc_md5(root / path) != md5:
        raise DataError(f"{path}: is not what dvc.lock has: {fix}")


def _sources(root: Path, files: Sequence[str], given: Mapping[str, str]) -> list[Source]:
    """The sources of all rows.

    Raises:
        DataError: the licence of one is unknown.
    """
    settings = _licenses(root, given)
    rows: dict[str, int] = {}
    unknown: dict[str, str] = {}
    for source, where in _rows(root, files):
        rows[source] = rows.get(source, 0) + 1
        if license_of(source, settings).lower() == UNKNOWN:
            unknown.setdefault(source, where)
    if unknown:
        named = "; ".join(
            f"{count(rows[source])} rows of source {source!r}, the first {where}"
            for source, where in unknown.items()
        )
        raise DataError(
            f"no licence is known of {named}; name it with --licence '{next(iter(unknown))}=ID', or in "
            "filter.licenses"
        )
    return [Source(name, rows[name], license_of(name, settings)) for name in sorted(rows)]


def _rows(root: Path, files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the source of every row, and which row it is."""
    for file in files:
        for number, line in stream_lines(root / file):
            row = parse_line(line, f"{file}:{number}")
            yield str(row.get("source") or NO_SOURCE), f"{row.get('id')} ({file}:{number})"


def _licenses(root: Path, given: Mapping[str, str]) -> FilterSettings:
    """The settings of the filter, with the licences of the command line beside its own."""
    settings = read_params(root).filter
    return replace(settings, licenses={**settings.licenses, **given})


def _said(sources: Sequence[Source]) -> str:
    parts = [f"{count(rows)} rows of {name}, {license}" for name, rows, license in sources]
    return "; ".join(parts) or "no rows were trained on"


def _results(root: Path, name: str, stages: Mapping[str, Any], hub_id: str | None) -> Results:
    """The scores with what dvc.lock says of benchmark and judge. S_q only from a judge whose grades mean
    something."""
    found = json.loads((root / f"metrics/eval/{name}.json").read_bytes())
    predicted, evaluated = stages[f"predict@{name}"]["params"], stages[f"eval@{name}"]["params"]
    judge = evaluated["params.yaml"]["judge.model"] or "a model that was not named"
    intervals, n = found["intervals"], found["n"]
    near = "how near the length is to the required one, counted"
    scores = [Score("S_l", near, found["S_l"], intervals["S_l"], n)]
    remark = ""
    if judge.startswith(TOY_JUDGE):
        remark = "S_q is left out: the judge was SmolLM2-135M, whose grades mean nothing."
    elif found["S_q"] is not None:
        graded, by = n - found["unscored"], f"quality, graded by {judge}"
        scores.append(Score("S_q", by, found["S_q"], intervals["S_q"], graded))
    return Results(
        benchmark=predicted["params.yaml"]["bench.path"],
        digest=predicted["inputs.yaml"]["bench"]["path"],
        hub_id=hub_id,
        scores=scores,
        remark=remark,
    )


def _dataset(root: Path, repository: str, given: Mapping[str, str]) -> Upload:
    outs = locked_stages(root).get("filter", {}).get("outs", [])
    md5s = {out["path"]: out["md5"] for out in outs}
    for path in (DATASET, *DATASET_ROWS):
        _check_md5(root, path, md5s.get(path, ""), "`dvc repro filter` writes it anew")
    sources = _sources(root, DATASET_ROWS, given)
    folder = root / DATASET
    files: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if given:
        card = (folder / "README.md").read_text(encoding="utf-8")
        files["README.md"] = _with_licenses(card, sources).encode()
    return Upload(repository, "dataset", files, _said(sources))


def _with_licenses(text: str, sources: Sequence[Source]) -> str:
    """The data card with the licences of the command line."""
    for name, _, license in sources:
        text = text.replace(f"\n| {name} | {UNKNOWN} |\n", f"\n| {name} | {license} |\n")
    card = DatasetCard(text)
    licenses = {license.lower() for _, _, license in sources}
    card.data["license"] = licenses.pop() if len(licenses) == 1 else "other"
    return str(card)


def _license(given: str | None) -> str:
    if not given:
        raise SettingsError("--license ID is needed: that of the base model is not known here")
    if not LICENSE_ID.fullmatch(given):
        raise SettingsError(
            f"--license {given}: is no licence's id, such as apache-2.0; that of a source of rows is given "
            "by --licence SOURCE=ID"
        )
    return given.lower()


def _source_license(given: str) -> tuple[str, str]:
    source, _, license = given.rpartition("=")
    if not source or not LICENSE_ID.fullmatch(license) or license.lower() == UNKNOWN:
        raise SettingsError(
            f"--licence {given}: SOURCE=ID is needed, such as own=Apache-2.0; the model's own is given by "
            "--license ID"
        )
    return source, license
