"""What every room uses: errors, rows, files, sources, statistics, tables, settings."""
