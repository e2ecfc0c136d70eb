"""LongWriter as a reproducible pipeline: AgentWrite, filter, SFT, DPO, LongBench-Write.

For notebooks and scripts: `write`, `generate`, `score`, `length_asked` and `count_words`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longwriter.library import generate, length_asked, score, write
    from longwriter.text.words import count_words

__version__ = "0.1.0"

__all__ = ["count_words", "generate", "length_asked", "score", "write"]


def __getattr__(name: str) -> Any:
    """Loads the functions on first use, since most of the package doesn't need them."""
    if name == "count_words":
        from longwriter.text.words import count_words

        return count_words
    if name in __all__:
        from longwriter import library

        return getattr(library, name)
    raise AttributeError(f"module 'longwriter' has no attribute {name!r}")
