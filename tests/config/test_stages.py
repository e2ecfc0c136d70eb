"""Stages that speak to a model, over real HTTP."""

import json
import runpy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import endpoint_settings
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.config.run import Stage
from longwriter.core.errors import TooFewGrades
from longwriter.core.workspace import Workspace
from longwriter.evaluation.judge import DIMENSIONS
from longwriter.llm.settings import ServerKind

CHECKOUT = Path(__file__).resolve().parents[2]


def stage(name: str, function: str) -> Stage:
    found: Stage = runpy.run_path(str(CHECKOUT / f"stages/{name}.py"))[function]
    return found


def test_predict_then_eval_of_a_model_served_elsewhere(
    chat_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    grades = json.dumps(dict.fromkeys(DIMENSIONS, 4))
    server = chat_server(lambda request: grades if "response_format" in request else "Two words.")
    rows = [{"prompt": f"Write about {what}.", "type": "t", "length": 2} for what in ("a", "b")]
    benchmark = tmp_path / "benchmark.jsonl"
    benchmark.write_text("".join(json.dumps(row) + "\n" for row in rows))

    config = OmegaConf.create(compose_params(CHECKOUT))
    assert isinstance(config, DictConfig)
    settings, work = validate(config), Workspace(tmp_path, tmp_path)
    settings.runtime.system_metrics = False
    settings.student.server = replace(
        settings.student.server, kind=ServerKind.endpoint, base_url=server.base_url, model="m"
    )
    settings.judge = replace(
        settings.judge, **asdict(endpoint_settings(server.base_url)), max_unscored=0.5
    )
    settings.judge.price_prompt, settings.judge.price_completion = 1.0, 2.0
    settings.predict.benchmark = str(benchmark)
    settings.eval.predictions = str(tmp_path / "data/predictions/m.jsonl")
    stage("predict", "predict_stage")(settings, work)
    stage("eval", "eval_stage")(settings, work)

    told = json.loads((tmp_path / "metrics/predict/m.json").read_text())
    assert (told["n"], told["mean_words"], told["calls"]) == (2, 2.0, 2)
    judged = (tmp_path / "data/judgements/m.jsonl").read_text().splitlines()
    assert [json.loads(line)["length_score"] for line in judged] == [100.0, 100.0]
    found = json.loads((tmp_path / "metrics/eval/m.json").read_text())
    assert (found["S_l"], found["S_q"], found["n"]) == (100.0, 75.0, 2)  # S_q: (4 - 1) · 25
    # The server counts 10 prompt tokens a call, 4 of them cached, and a token a word.
    words = len(grades.split())
    assert (found["calls"], found["prompt_tokens"], found["cached_prompt_tokens"]) == (2, 20, 8)
    assert found["completion_tokens"] == 2 * words
    assert found["cost_usd"] == round((20 * 1 + 2 * words * 2) / 1e6, 6)
    assert not list(tmp_path.rglob("*.tmp"))

    settings.second_judge = replace(settings.judge, model="other")
    stage("eval", "eval_stage")(settings, work)
    second = json.loads((tmp_path / "metrics/eval/m.json").read_text())
    assert (second["calls"], second["second"]["S_q"]) == (4, 75.0)

    settings.judge_audit.predictions = settings.eval.predictions
    stage("judge_audit", "judge_audit")(settings, work)
    tried = json.loads((tmp_path / "metrics/judge_audit.json").read_text())
    assert (tried["labels"], tried["bias"]["length"]["n"]) == (0, 0)  # two words have no half

    kept = (tmp_path / "metrics/eval/m.json").read_bytes()
    server.answer = lambda request: "Lovely."
    settings.judge.model = "prose"
    with pytest.raises(TooFewGrades, match=r"2 of 2 texts have no grades \(BadCompletion 2\)"):
        stage("eval", "eval_stage")(settings, work)
    assert (tmp_path / "metrics/eval/m.json").read_bytes() == kept
