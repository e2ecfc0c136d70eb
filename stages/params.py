"""Compose conf/ into params.yaml (stage `params`)."""

from pathlib import Path

from longwriter.settings import guarded, write_params

if __name__ == "__main__":
    guarded(lambda: write_params(Path(__file__).resolve().parent.parent))
