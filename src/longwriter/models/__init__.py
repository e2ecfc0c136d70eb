"""Checkpoints: their origin, serving, export, and what all training runs share."""
