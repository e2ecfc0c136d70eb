"""The report on a run's results: figures, tables and one page."""
