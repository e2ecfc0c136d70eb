"""LongBench-Write: predictions, length and quality scores, and their statistics."""
