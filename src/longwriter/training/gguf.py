"""A checkpoint as a GGUF file, so that llama.cpp serves what was trained. Needs no torch."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from longwriter.chat.calls import with_client
from longwriter.chat.client import ChatClient
from longwriter.chat.servers import digest, locate
from longwriter.chat.settings import ServerKind
from longwriter.errors import DataError, SettingsError
from longwriter.records import replacing
from longwriter.training.settings import StudentSettings

Array = NDArray[np.float32]
T = TypeVar("T")


def with_student(
    work: Callable[[ChatClient], Awaitable[T]],
    checkpoint: Path,
    student: StudentSettings,
    cache: Path,
    *,
    seed: int,
    threads: int | None,
) -> T:
    """Runs `work` on `checkpoint`, served by llama.cpp or at the student's endpoint.

    An endpoint is asked for student.model, or, where that is null, for the checkpoint as the DAG
    calls it (`models/sft`): serve it under that name.

    Raises:
        DataError, SettingsError: as `gguf_of`.
    """
    if student.server is ServerKind.llama_cpp:
        gguf = gguf_of(checkpoint, student, cache)
        return with_client(work, student, cache, seed=seed, threads=threads, gguf=gguf)
    name = student.model or f"{checkpoint.parent.name}/{checkpoint.name}"
    version = "".join(map(digest, sorted(checkpoint.glob("*.safetensors"))))
    named = replace(student, model=name)
    return with_client(work, named, cache, seed=seed, threads=threads, version=version)


def gguf_of(checkpoint: Path, student: StudentSettings, cache: Path) -> Path:
    """The GGUF file to serve for `checkpoint`, made once for each content and kept in the cache.

    Args:
        checkpoint: a Hugging Face folder with safetensors, or a GGUF file, returned as it is.
        student: its `checkpoint` setting names the GGUF that gives tokenizer, chat template and
            hyper-parameters.

    Raises:
        DataError: there is no checkpoint, or its tensors are not those of the student.
        SettingsError: the student did not come as a GGUF file.
    """
    if checkpoint.is_file():
        return checkpoint
    shards = sorted(checkpoint.glob("*.safetensors"))
    if not shards:
        raise DataError(f"{checkpoint}: holds no safetensors; name a checkpoint folder or a GGUF")
    if not student.checkpoint.endswith(".gguf"):
        raise SettingsError(
            f"student.checkpoint: {student.checkpoint} is no GGUF file, which llama_cpp needs as "
            "template; serve the checkpoint elsewhere and set student.server=endpoint"
        )
    template = locate(student.checkpoint)
    content = "".join(map(digest, [template, *shards]))
    path = cache / "gguf" / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # two stages may want the same file at once
        if not path.exists():
            with replacing(path) as (temporary,):
                write_gguf(shards, template, temporary)
    return path


def write_gguf(shards: list[Path], template: Path, path: Path) -> None:
    """Writes a GGUF with the template's key-values and the shards' tensors, matrices as Q8_0.

    Source: the GGUF specification and llama.cpp's conversion of Llama (q and k projections go from
    Hugging Face's rotary order of rows to llama.cpp's; a tied output matrix is left out).

    Raises:
        DataError: the tensors are not those of the template.
        SettingsError: the template is no Llama.
    """
    import gguf

    logging.getLogger("gguf").setLevel(logging.ERROR)
    reader = gguf.GGUFReader(template)
    settings = {
        key: field
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type")
    }
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":  # others keep their rows of q and k in another order
        raise SettingsError(
            f"student.checkpoint: {template} holds the architecture {architecture}, and only llama "
            "can be written back to GGUF; serve the checkpoint elsewhere and set "
            "student.server=endpoint"
        )
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for key, field in settings.items():
        sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type)

    heads = reader.fields[f"{architecture}.attention.head_count"].contents()
    kv_heads = reader.fields[f"{architecture}.attention.head_count_kv"].contents()
    blocks = reader.fields[f"{architecture}.block_count"].contents()
    kind = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    names = gguf.get_tensor_name_map(kind, blocks)
    wanted = {tensor.name: tuple(reversed(tensor.shape.tolist())) for tensor in reader.tensors}
    for name, tensor in _tensors(shards):
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target not in wanted and name == "lm_head.weight":
            continue
        if target is None or wanted.pop(target, None) != tensor.shape:
            raise DataError(f"{shards[0].parent}: {name} {tensor.shape} does not fit {template}")
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = _llama_cpp_rows(tensor, heads if "q_proj" in name else kv_heads)
        matrix = gguf.GGMLQuantizationType.Q8_0
        type_ = matrix if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(target, gguf.quants.quantize(tensor, type_), raw_dtype=type_)
    if wanted:
        raise DataError(f"{shards[0].parent}: lacks {sorted(wanted)[0]} of {template}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(shards: list[Path]) -> Iterator[tuple[str, Array]]:
    """Name and float32 values of every tensor."""
    from safetensors import deserialize

    for shard in shards:
        views = deserialize(shard.read_bytes())  # type: ignore[no-untyped-call]
        for name, view in sorted(views, key=lambda item: item[0]):  # its order varies
            data, dtype = view["data"], view["dtype"]
            if dtype == "BF16":
                values = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
            elif dtype in ("F32", "F16"):
                values = np.frombuffer(data, {"F32": np.float32, "F16": np.float16}[dtype])
            else:
                raise DataError(f"{shard}: {name} is {dtype}; F32, F16 and BF16 are read")
            yield name, values.astype(np.float32).reshape(view["shape"])


def _llama_cpp_rows(matrix: Array, heads: int) -> Array:
    """Rows of a q or k projection from Hugging Face's order (halves) to llama.cpp's (pairs).

    Args:
        matrix: (heads · head_dim, hidden).
    """
    rows, columns = matrix.shape
    return (
        matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )
