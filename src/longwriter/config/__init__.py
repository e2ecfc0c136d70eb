"""The settings of the whole pipeline, and how a script runs as a DVC stage or a Hydra app."""
