import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.config.schema import Settings
from longwriter.core.errors import DataError
from longwriter.core.rows import Prediction
from longwriter.core.settings import StatisticsSettings
from longwriter.evaluation.judge import DIMENSIONS, JudgePrompt
from longwriter.evaluation.judge_audit import audit_judge, audit_labels, audit_line

LABELS = [
    {"row": n + 1, "dimension": name, "score": n + 1} for n in range(5) for name in DIMENSIONS
]


@pytest.fixture(scope="module")
def settings() -> Settings:
    config = OmegaConf.create(compose_params(Path(__file__).parents[2]))
    assert isinstance(config, DictConfig)
    return validate(config)


def test_a_judge_that_grades_as_people_do(
    chat_server: Any, open_client: Any, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in LABELS))
    given = replace(
        settings.judge_audit,
        labels="labels.jsonl",
        labels_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        probes=0,
    )
    labels = audit_labels(given, tmp_path, 6)
    predictions = [
        Prediction(prompt=f"p{n}", type="t", length=9, response=f"text {n}.") for n in range(1, 7)
    ]

    def answer(request: dict[str, Any]) -> str:
        number = int(request["messages"][0]["content"].split("\ntext ")[1][0])
        return json.dumps(dict.fromkeys(DIMENSIONS, number))

    server = chat_server(answer)

    async def run() -> dict[str, Any]:
        async with open_client(server) as client:
            return await audit_judge(
                client,
                predictions,
                labels,
                JudgePrompt(),
                settings.judge,
                given,
                StatisticsSettings(resamples=100, seed=1),
            )

    found = asyncio.run(run())
    assert len(server.requests) == 5  # row 6 has no labels
    assert (found["labels"], found["unscored"]) == (30, 0)
    assert list(found["agreement"]) == [*DIMENSIONS, "all"]
    assert found["agreement"]["Accuracy"]["n"] == 5
    assert found["agreement"]["all"]["kappa"]["value"] == 1.0
    assert (found["trusted"], audit_line(found)) == (
        False,
        "the judge failed its audit, so S_q is not shown: audited on only 0 texts; at least 10 are "
        "needed",
    )


def test_other_labels_than_expected_are_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "labels.jsonl").write_text(json.dumps(LABELS[0]) + "\n")
    given = replace(settings.judge_audit, labels="labels.jsonl", labels_sha256="0" * 64)
    with pytest.raises(DataError, match=r"judge_audit\.labels_sha256 expects 0{64}"):
        audit_labels(given, tmp_path, 6)
    assert audit_labels(replace(given, labels=None), tmp_path, 6) == []
