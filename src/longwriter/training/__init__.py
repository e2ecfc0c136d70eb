"""Checkpoints, supervised fine-tuning, preference pairs, DPO."""
