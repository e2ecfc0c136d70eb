"""Code that every subpackage shares: errors, rows, files, sources, statistics, tables, settings."""
