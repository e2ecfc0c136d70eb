"""Checkpoints: where they come from, how they are served, what every training run shares."""
