"""Serves the pipeline's models through OpenAI's API, with a web page for writing."""
