"""The `longwriter` command."""
