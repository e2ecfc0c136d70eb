import hashlib
from pathlib import Path

from longwriter.core.files import checkpoint_digest


def test_digest_of_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_bytes(b"one")
    one = hashlib.sha256(b"one").hexdigest()
    assert checkpoint_digest(tmp_path) == one
    (tmp_path / "model-2.safetensors").write_bytes(b"two")
    both = one + hashlib.sha256(b"two").hexdigest()
    assert checkpoint_digest(tmp_path) == hashlib.sha256(both.encode()).hexdigest()
