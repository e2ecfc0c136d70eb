"""LongBench-Write: predictions, length and quality scores, their statistics."""
