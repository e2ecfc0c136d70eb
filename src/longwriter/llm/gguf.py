"""Makes the GGUF files that llama.cpp serves, by requantising a file or converting a checkpoint.

This module itself doesn't need torch.
"""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import files_digest, locate, replacing
from longwriter.llm.conversion import convert

if TYPE_CHECKING:
    from gguf import GGUFReader

Array = NDArray[np.float32]

SMALL = 2**28
"""Largest file, in bytes, whose speed is bound by arithmetic.

In larger ones, reading the weights takes longest, so more bytes per weight would slow them down."""


CONFIGURATION = frozenset([".jinja", ".json", ".model", ".txt"])
"""Suffixes of the files in a checkpoint folder that go into its GGUF file besides the weights."""

QUANTISATIONS = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
"""Types in which a matrix can be written, by llama.cpp's names, the largest first."""


def requantised(path: Path, cache: Path) -> Path:
    """Returns the GGUF file to serve in place of `path`.

    For a small Q4_1 file, that is a copy in Q8_0, made once and kept in `cache`; else `path`
    itself. llama.cpp reads prompts 1.6 times as fast from Q8_0, and generates 1.2 times as fast
    (docs/log.md).
    """
    import gguf

    if path.stat().st_size > SMALL:
        return path
    copy = cached_path(cache, [path])
    if copy.exists():
        return copy
    try:
        reader = gguf.GGUFReader(path)
    except ValueError:  # not a GGUF file: the server will say so
        return path
    kind = reader.fields.get("general.file_type")
    if kind is None or kind.contents() != gguf.LlamaFileType.MOSTLY_Q4_1:
        return path
    values = ((t.name, gguf.quants.dequantize(t.data, t.tensor_type)) for t in reader.tensors)
    return build_once(copy, lambda path: write_tensors(reader, values, path))


def cached_path(cache: Path, sources: Sequence[Path]) -> Path:
    """Returns the path in `cache` of the GGUF file that is made from the content of `sources`."""
    return cache / "gguf" / f"{files_digest(sources)[:32]}.gguf"


def build_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Returns `path`, after creating it with `write` if it doesn't exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # two stages may want the same file at once
        if not path.exists():
            with replacing(path) as (temporary,):
                write(temporary)
    return path


def write_tensors(
    template: "GGUFReader",
    tensors: Iterable[tuple[str, Array]],
    path: Path,
    quantisation: str = "Q8_0",
) -> None:
    """Writes a GGUF file with the key-values of `template` and the given tensors.

    Matrices are quantised; other tensors are written as float32.
    Source: the GGUF specification.

    Args:
        tensors: name and values of each.
        quantisation: one of QUANTISATIONS.
    """
    import gguf

    logging.getLogger("gguf").setLevel(logging.ERROR)
    architecture = template.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, architecture)
    kinds = gguf.LlamaFileType.__members__
    writer.add_file_type(kinds.get(f"MOSTLY_{quantisation}", gguf.LlamaFileType.ALL_F32))
    for key, field in template.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type)
    for name, values in tensors:
        matrix = gguf.GGMLQuantizationType[quantisation]
        type_ = matrix if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(values, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_of(checkpoint: Path, template: str | None, cache: Path) -> Path:
    """Returns the GGUF file to serve for `checkpoint`, made once per content and kept in the cache.

    Args:
        checkpoint: a Hugging Face folder with safetensors, or a GGUF file, which is returned as is.
        template: the GGUF file of a Llama with the same tokenizer, chat template and
            hyper-parameters; None: llama.cpp's converter reads them from the folder.

    Raises:
        DataError: there is no checkpoint, or its tensors don't match the template's.
        SettingsError: as for `convert` and `write_gguf`.
    """
    if checkpoint.is_file():
        return checkpoint
    shards = _shards(checkpoint)
    if template:
        source = locate(template)
        path = cached_path(cache, [source, *shards])
        return build_once(path, lambda new: write_gguf(shards, source, new))
    rest = sorted(file for file in checkpoint.iterdir() if file.suffix in CONFIGURATION)
    path = cached_path(cache, [*shards, *rest])
    return build_once(path, lambda new: convert(checkpoint, new, "q8_0"))


@contextmanager
def unquantised(
    checkpoint: Path, template: str | None, folder: Path
) -> Iterator[tuple["GGUFReader", Callable[[], Iterator[tuple[str, Array]]]]]:
    """Yields what `write_tensors` needs for a checkpoint.

    Args:
        checkpoint, template: as for `gguf_of`, but the checkpoint is not a GGUF file.
        folder: on a disk that has room for the checkpoint in float32.

    Yields:
        A GGUF file with the checkpoint's key-values, and a function that iterates over its tensors
        in float32.

    Raises:
        DataError, SettingsError: as for `gguf_of`.
    """
    import gguf

    shards = _shards(checkpoint)
    if template:
        source = locate(template)
        reader = gguf.GGUFReader(source)
        yield reader, lambda: _renamed(shards, reader, source)
        return
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        convert(checkpoint, Path(temporary) / "f32.gguf", "f32")
        reader = gguf.GGUFReader(Path(temporary) / "f32.gguf")
        yield (
            reader,
            lambda: (
                (t.name, gguf.quants.dequantize(t.data, t.tensor_type)) for t in reader.tensors
            ),
        )


def _shards(checkpoint: Path) -> list[Path]:
    shards = sorted(checkpoint.glob("*.safetensors"))
    if not shards:
        raise DataError(f"{checkpoint}: holds no safetensors; name a checkpoint folder or a GGUF")
    return shards


def write_gguf(shards: list[Path], template: Path, path: Path, quantisation: str = "Q8_0") -> None:
    """Writes a GGUF file of the template's key-values and the shards' tensors, matrices quantised.

    Raises:
        DataError: the tensors don't match the template's.
        SettingsError: the template is not a Llama.
    """
    import gguf

    reader = gguf.GGUFReader(template)
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":  # others order the rows of q and k differently
        raise SettingsError(
            f"student.checkpoint: {template} holds the architecture {architecture}, and only llama "
            "can be written back to GGUF; set student.server.kind=auto"
        )
    write_tensors(reader, _renamed(shards, reader, template), path, quantisation)


def _renamed(
    shards: list[Path], reader: "GGUFReader", template: Path
) -> Iterator[tuple[str, Array]]:
    """Yields the shards' tensors with the template's names and order of rows.

    Source: llama.cpp's conversion of Llama (rows of the q and k projections go from Hugging Face's
    rotary order to llama.cpp's; a tied output matrix is left out).
    """
    import gguf

    heads = reader.fields["llama.attention.head_count"].contents()
    kv_heads = reader.fields["llama.attention.head_count_kv"].contents()
    blocks = reader.fields["llama.block_count"].contents()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, blocks)
    wanted = {tensor.name: tuple(reversed(tensor.shape.tolist())) for tensor in reader.tensors}
    for name, tensor in _tensors(shards):
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target not in wanted and name == "lm_head.weight":
            continue
        if target is None or wanted.pop(target, None) != tensor.shape:
            raise DataError(
                f"{shards[0].parent}: {name} {tensor.shape} does not fit {template}, which "
                "student.checkpoint names; if this is a different model, set "
                f"student.checkpoint={shards[0].parent}"
            )
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = _llama_cpp_rows(tensor, heads if "q_proj" in name else kv_heads)
        yield target, tensor
    if wanted:
        raise DataError(f"{shards[0].parent}: lacks {sorted(wanted)[0]} of {template}")


def _tensors(shards: list[Path]) -> Iterator[tuple[str, Array]]:
    """Yields name and float32 values of every tensor."""
    from safetensors import deserialize

    for shard in shards:
        views = deserialize(shard.read_bytes())  # type: ignore[no-untyped-call]
        for name, view in sorted(views, key=lambda item: item[0]):  # their order varies
            data, dtype = view["data"], view["dtype"]
            if dtype == "BF16":
                values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
            elif dtype in ("F32", "F16"):
                values = np.frombuffer(data, {"F32": np.float32, "F16": np.float16}[dtype])
            else:
                raise DataError(f"{shard}: {name} is {dtype}; F32, F16 and BF16 are read")
            yield name, values.astype(np.float32).reshape(view["shape"])


def _llama_cpp_rows(matrix: Array, heads: int) -> Array:
    """Reorders the rows of a q or k projection from Hugging Face's halves to llama.cpp's pairs.

    Args:
        matrix: (heads · head_dim, hidden).
    """
    rows, columns = matrix.shape
    return (
        matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )
