"""Sweeps: runs every combination of overrides as a DVC experiment in its own folder."""
