"""One way to generate text: servers, the cached async client, its errors."""
