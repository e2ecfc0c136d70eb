"""Drafts for the tests of the filter, and its run on them."""

import json
from pathlib import Path
from typing import Any

from longwriter.config.schema import Settings
from longwriter.core.workspace import Workspace
from longwriter.dataset.stage import filter_rows


def draft(name: str, prompt: str, response: str, **fields: Any) -> dict[str, Any]:
    """A row as the stage `agentwrite` writes it, without its plan."""
    return {"id": name, "prompt": prompt, "response": response, "source": "own"} | fields


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Reads rows of JSON Lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def filtered(settings: Settings, root: Path, out: Path | None = None) -> dict[str, Any]:
    """Runs the stage `filter` in the checkout `root`, with its outputs below `out`, and returns its
    metrics."""
    work = Workspace(root, out or root)
    return filter_rows(
        settings.filter,
        settings.contamination,
        settings.runtime,
        work,
        "f" * 64,
    )
