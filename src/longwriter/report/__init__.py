"""Figures and the one page that says what a run found."""
