"""Compose conf/ into params.yaml, and hash the files that settings name (stage `params`)."""

import sys
from pathlib import Path

try:
    from longwriter.config.load import write_params
    from longwriter.config.run import guarded
except ModuleNotFoundError as error:  # every `dvc repro` runs this stage first
    sys.exit(f"{sys.executable} has no {error.name}; first run: source .venv/bin/activate")

if __name__ == "__main__":
    guarded(lambda: write_params(Path(__file__).resolve().parent.parent))
