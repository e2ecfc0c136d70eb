"""The presets of conf/server/: as teacher, as judge and for the student's checkpoints."""

from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import CHECKOUT

from longwriter.config.load import compose
from longwriter.config.schema import Settings
from longwriter.llm.settings import ServerKind, ServerSettings, Structured

PRESETS: dict[str, dict[str, Any]] = {
    "openai": {
        "base_url": "https://api.openai.com/v1",
        "api_key_env": "OPENAI_API_KEY",
        "max_tokens_field": "max_completion_tokens",
        "temperature": None,
        "top_p": None,
        "stop": False,
        "structured": Structured.json_schema,
    },
    "openai_flex": {
        "extra_body": {"reasoning_effort": "low", "service_tier": "flex"},
        "patience_s": 86400,
        "timeout_s": 1800,
    },
    "anthropic": {
        "base_url": "https://api.anthropic.com/v1",
        "api_key_env": "ANTHROPIC_API_KEY",
        "temperature": None,
        "top_p": None,
        "seed": None,
        "structured": Structured.text,
    },
    "gemini": {
        "base_url": "https://generativelanguage.googleapis.com/v1beta/openai",
        "api_key_env": "GEMINI_API_KEY",
        "seed": None,
    },
    "mistral": {
        "base_url": "https://api.mistral.ai/v1",
        "api_key_env": "MISTRAL_API_KEY",
        "seed": "random_seed",
        "extra_body": {},
    },
    "deepseek": {
        "base_url": "https://api.deepseek.com/v1",
        "api_key_env": "DEEPSEEK_API_KEY",
        "structured": Structured.json_object,
    },
    "openrouter": {
        "base_url": "https://openrouter.ai/api/v1",
        "api_key_env": "OPENROUTER_API_KEY",
        "extra_body": {"provider": {"require_parameters": True}, "reasoning": {"effort": "low"}},
    },
    "dashscope": {
        "base_url": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "api_key_env": "DASHSCOPE_API_KEY",
        "extra_body": {"enable_thinking": False},
        "stream": True,
    },
    "kimi": {
        "base_url": "https://api.moonshot.ai/v1",
        "api_key_env": "MOONSHOT_API_KEY",
        "temperature": None,
        "top_p": None,
    },
    "azure": {
        "base_url": None,
        "model": None,
        "api_key_env": "AZURE_OPENAI_API_KEY",
        "max_tokens_field": "max_completion_tokens",
    },
    "groq": {"base_url": "https://api.groq.com/openai/v1", "api_key_env": "GROQ_API_KEY"},
    "ollama": {"base_url": "http://127.0.0.1:11434/v1", "api_key_env": None, "price_prompt": 0},
    "sglang": {
        "base_url": "http://127.0.0.1:30000/v1",
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
    },
    "vllm": {"kind": ServerKind.vllm, "base_url": None, "price_completion": 0},
    "endpoint": {"base_url": None, "model": None, "temperature": 1.0, "price_prompt": None},
}


def test_every_preset_is_here_and_is_a_teacher_and_a_judge() -> None:
    def options(group: str) -> set[str]:
        return {path.stem for path in Path(CHECKOUT, "conf", group).glob("*.yaml")}

    assert options("server") - {"auto", "auto_8k", "checkpoints", "smollm2"} == set(PRESETS)
    assert options("teacher") == {*PRESETS, "smollm2"}
    assert options("judge") == {*PRESETS, "smollm2", "grading"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_serves_teacher_judge_and_student(name: str) -> None:
    settings = compose(
        Settings, [f"teacher={name}", f"judge={name}", f"server@student.server={name}"]
    )
    places: dict[str, ServerSettings] = {
        "teacher": settings.teacher,
        "judge": settings.judge,
        "student.server": settings.student.server,
    }
    for place, server in places.items():
        expected = dict(PRESETS[name])
        if place == "judge" and name == "endpoint":
            expected["temperature"] = 0.5  # as the paper's
        if place == "student.server":  # conf/student/smollm2.yaml has the last word on the sampling
            expected = {k: v for k, v in expected.items() if k not in ("temperature", "model")}
        assert {key: getattr(server, key) for key in expected} == expected, place


def test_settings_of_the_request_can_be_null() -> None:
    nothing = ["temperature=null", "top_p=null", "seed=null", "stop=null"]
    overrides = [f"teacher.{one}" for one in nothing] + [f"judge.{one}" for one in nothing]
    settings = compose(Settings, ["teacher=endpoint", "judge=endpoint", *overrides])
    for server in (settings.teacher, settings.judge):
        found = server.temperature, server.top_p, server.seed, server.stop
        assert found == (None, None, None, None)
