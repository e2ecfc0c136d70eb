"""LongWriter as a reproducible pipeline: AgentWrite, filter, SFT, DPO, LongBench-Write."""

__version__ = "0.1.0"
