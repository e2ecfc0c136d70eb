"""Sweeps: every combination of overrides as a DVC experiment in a folder of its own."""
