"""The project's one path to text generation: servers, the cached async client, limits, errors."""
