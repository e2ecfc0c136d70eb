"""`filter.judge`: a judge on loopback grades rows, and low ones are rejected."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import default_settings
from helpers.drafts import draft, filtered, read, write
from helpers.loopback import Answer, ChatServer, endpoint_settings
from helpers.texts import TALES

from longwriter.config.schema import Settings
from longwriter.core.errors import SettingsError
from longwriter.evaluation.judge import DIMENSIONS

ROWS = [
    draft("good", "Tell of Marta.", TALES[0]),
    draft("poor", "Tell of the ferryman, please.", TALES[1]),
    draft("unclear", "Who is Dr. Okafor, and where?", TALES[2]),
    draft("graded-low", "How are bridges made today?", TALES[3], quality_score=10),
    draft("graded-high", "My uncle and his clocks.", TALES[4], quality_score=90),
]


def judge(request: dict[str, Any]) -> Answer:
    """4 for the tale of Marta, 2 for the ferryman, prose for the rest."""
    asked = request["messages"][-1]["content"]
    if "Marta" in asked:
        return json.dumps(dict.fromkeys(DIMENSIONS, 4))
    return json.dumps(dict.fromkeys(DIMENSIONS, 2)) if "ferryman" in asked else "Fine work!"


@pytest.fixture
def server(chat_server: Any) -> ChatServer:
    started: ChatServer = chat_server(judge)
    return started


@pytest.fixture
def settings(tmp_path: Path, server: ChatServer) -> Settings:
    loaded = default_settings()
    loaded.filter.drafts = str(write(tmp_path / "drafts.jsonl", ROWS))
    loaded.filter.validation_rows, loaded.filter.chat_mix.number = 0, 0
    loaded.filter.min_quality = 50
    loaded.filter.judge = replace(loaded.judge, **asdict(endpoint_settings(server.base_url)))
    loaded.filter.judge.model = "grader"
    return loaded


def test_the_judge_rejects_what_it_finds_poor(tmp_path: Path, settings: Settings) -> None:
    metrics = filtered(settings, tmp_path)
    rejected = {
        row["id"]: (row["rule"], row["detail"], row["response"])
        for row in read(tmp_path / "data/sft/rejected.jsonl")
    }
    assert rejected == {
        "graded-low": ("low_quality", "quality score 10", TALES[3]),
        "poor": ("low_quality", "quality score 25, by the judge", TALES[1]),  # (2 - 1) · 25
    }
    assert {row["id"] for row in read(tmp_path / "data/sft/train.jsonl")} == {
        "good",
        "unclear",
        "graded-high",
    }
    assert metrics["judged"] == {"scored": 2, "unscored": 1}
    assert metrics["rejected"] == {"low_quality": 2}


def test_another_threshold_asks_nothing_again(
    tmp_path: Path, settings: Settings, server: ChatServer
) -> None:
    first = filtered(settings, tmp_path)
    asked = len(server.asked)
    settings.filter.min_quality = 80
    again = filtered(settings, tmp_path)
    assert (first["kept"], again["kept"]) == (3, 2)  # a grade of 4 is 75
    assert (asked, len(server.asked)) == (3, 3)


def test_a_judge_without_a_threshold_is_refused(tmp_path: Path, settings: Settings) -> None:
    settings.filter.min_quality = None
    with pytest.raises(
        SettingsError, match=r"filter\.judge is set but unused; set filter\.min_quality"
    ):
        filtered(settings, tmp_path)


def faults(request: dict[str, Any]) -> Answer:
    """The ferryman's tale is an outline; prose about the laboratory."""
    asked = request["messages"][-1]["content"]
    if "Okafor" in asked:
        return "Fine work!"
    return json.dumps({"outline": "ferryman" in asked, "self_judgement": False})


def test_the_judge_is_asked_about_faults(
    tmp_path: Path, settings: Settings, chat_server: Any
) -> None:
    server = chat_server(faults)
    assert settings.filter.judge is not None
    settings.filter.judge.base_url = server.base_url
    settings.filter.min_quality = None
    settings.filter.ask_judge = ["outline", "self_judgement"]
    metrics = filtered(settings, tmp_path)
    rejected = read(tmp_path / "data/sft/rejected.jsonl")
    assert [(row["id"], row["rule"], row["detail"]) for row in rejected] == [
        ("poor", "outline", "found by the judge")
    ]
    assert metrics["asked"] == {"clean": 3, "faulty": 1, "unread": 1}
    assert metrics["judged"] == {}
    asked = len(server.asked)
    filtered(settings, tmp_path)
    assert len(server.asked) == asked  # all from the cache


def test_questions_need_a_judge_and_a_name(tmp_path: Path, settings: Settings) -> None:
    settings.filter.ask_judge = ["copied"]
    with pytest.raises(SettingsError, match=r"filter\.ask_judge: unknown question 'copied'"):
        filtered(settings, tmp_path)
    settings.filter.ask_judge, settings.filter.judge = ["outline"], None
    with pytest.raises(
        SettingsError, match=r"filter\.ask_judge: is set, and filter\.judge is null"
    ):
        filtered(settings, tmp_path)
