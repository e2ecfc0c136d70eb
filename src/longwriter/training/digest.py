"""What tells one checkpoint from another."""

import hashlib
from pathlib import Path

from longwriter.chat.servers import weights_digest


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 of the checkpoint's one weights file; of several, of their digests one after another."""
    digests = weights_digest(folder)
    return digests if len(digests) <= 64 else hashlib.sha256(digests.encode()).hexdigest()
