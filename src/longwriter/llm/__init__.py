"""The one way to generate text: servers, the cached async client, its limits and errors."""
