"""The embedded student and its starting checkpoint, made once."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.checkpoints import default_settings

from longwriter.models.checkpoint import materialise
from longwriter.models.settings import StudentSettings


@pytest.fixture(scope="session")
def student() -> StudentSettings:
    """Served with one slot of 256 tokens."""
    student = default_settings().student
    return replace(student, server=replace(student.server, concurrency=1, context=256))


@pytest.fixture(scope="session")
def base(student: StudentSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("student") / "base"
    assert materialise(student, path) == 134_515_008  # SmolLM2-135M
    return path
