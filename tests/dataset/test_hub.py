"""The filter on a data set of the Hugging Face hub in place of drafts."""

import json
from pathlib import Path

from helpers.hub import REVISION, hub, run_with_hub
from helpers.texts import TALES, ZH_TALES
from huggingface_hub import DatasetCard

NAME = "org/LongWriter-6k"
ROWS = [
    ("Write about a market.", TALES[0]),
    ("Write 2000 words on soil.", TALES[7]),
    ("写一篇关于茶的文章。", ZH_TALES[5]),
    ("Tell of clocks.", "I'm sorry, but I can't help with that. " + TALES[4]),
]
FILES = {
    "README.md": b"# LongWriter-6k\n",
    "long.jsonl": "".join(
        json.dumps({"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]}) + "\n"
        for prompt, response in ROWS
    ).encode(),
}  # fmt: skip
SCRIPT = """
import sys
from pathlib import Path
from helpers.checkpoints import default_settings
from longwriter.core.errors import LongwriterError
from longwriter.core.workspace import Workspace
from longwriter.dataset.stage import filter_rows
settings = default_settings()
settings.filter.drafts, settings.filter.revision = sys.argv[2:]
settings.filter.licenses["org/LongWriter-6k"] = "Apache-2.0"
settings.filter.validation_rows, settings.filter.chat_mix.number = 0, 0
work = Workspace(Path(sys.argv[1]), Path(sys.argv[1]))
try:
    filter_rows(settings.filter, settings.contamination, settings.runtime, work, "0")
except LongwriterError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_longwriter_6k_from_the_hub(tmp_path: Path) -> None:
    with hub(NAME, FILES) as address:
        run = run_with_hub(address, tmp_path, SCRIPT, str(tmp_path), NAME, REVISION)
    assert run.returncode == 0, run.stderr
    train = read(tmp_path / "data/sft/train.jsonl")
    assert {row["messages"][1]["content"] for row in train} == {TALES[0], ZH_TALES[5]}
    assert {row["source"] for row in train} == {f"{NAME} at {REVISION}"}
    rejected = {row["rule"] for row in read(tmp_path / "data/sft/rejected.jsonl")}
    assert rejected == {"length_missed", "refusal"}
    assert f"| {NAME} at {REVISION} | {REVISION} |" in (tmp_path / "data/sft/card.md").read_text()
    header = DatasetCard.load(tmp_path / "data/sft/hf/README.md").data
    assert (header.license, header["source_datasets"]) == ("apache-2.0", [NAME])


def test_a_revision_that_is_not_there(tmp_path: Path) -> None:
    with hub(NAME, FILES) as address:
        run = run_with_hub(address, tmp_path, SCRIPT, str(tmp_path), NAME, "f" * 40)
    assert run.returncode == 1
    message = run.stderr.splitlines()[-1]
    assert message.startswith(
        f"DataError: {NAME} at {'f' * 40}: cannot be read after row 0 of split "
    )
    assert message.endswith("; fix filter.drafts or filter.revision")
    assert not (tmp_path / "data/sft").exists()
