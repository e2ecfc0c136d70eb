"""What every room stands on: errors, rows, files, statistics, tables, settings."""
