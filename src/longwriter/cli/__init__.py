"""The command `longwriter`."""
