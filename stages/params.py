"""Compose conf/ into params.yaml, and hash the files that settings name (stage `params`)."""

from pathlib import Path

from longwriter.config.load import write_params
from longwriter.config.run import guarded

if __name__ == "__main__":
    guarded(lambda: write_params(Path(__file__).resolve().parent.parent))
