"""A checkpoint as a GGUF file, so that llama.cpp serves what was trained. Needs no torch."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from longwriter.chat.calls import with_client
from longwriter.chat.client import ChatClient
from longwriter.chat.quantised import Array, build_once, cached_path, write_q8_0
from longwriter.chat.servers import locate, weights_digest
from longwriter.chat.settings import ServerKind
from longwriter.errors import DataError, SettingsError
from longwriter.training.settings import StudentSettings

if TYPE_CHECKING:
    from gguf import GGUFReader

T = TypeVar("T")


def with_student(
    work: Callable[[ChatClient], Awaitable[T]],
    checkpoint: Path,
    student: StudentSettings,
    cache: Path,
    *,
    seed: int,
    threads: int | None,
) -> tuple[T, dict[str, float]]:
    """Runs `work` on `checkpoint`, served by llama.cpp, by vLLM or at the student's endpoint.

    An endpoint is asked for student.model, or, where that is null, for the checkpoint as the DAG
    calls it (`models/sft`): serve it under that name. vLLM serves the folder itself, so named.

    Returns:
        As `with_client`.

    Raises:
        DataError, SettingsError: as `gguf_of` and `serve`.
    """
    if student.server is ServerKind.llama_cpp:
        gguf = gguf_of(checkpoint, student, cache)
        return with_client(work, student, cache, seed=seed, threads=threads, checkpoint=gguf)
    name = student.model or f"{checkpoint.parent.name}/{checkpoint.name}"
    named = replace(student, model=name)
    if student.server is ServerKind.vllm:
        return with_client(work, named, cache, seed=seed, threads=threads, checkpoint=checkpoint)
    version = weights_digest(checkpoint)
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
    path = cached_path(cache, [template, *shards])
    return build_once(path, lambda new: write_gguf(shards, template, new))


def write_gguf(shards: list[Path], template: Path, path: Path) -> None:
    """Writes a GGUF with the template's key-values and the shards' tensors, matrices as Q8_0.

    Raises:
        DataError: the tensors are not those of the template.
        SettingsError: the template is no Llama.
    """
    import gguf

    reader = gguf.GGUFReader(template)
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":  # others keep their rows of q and k in another order
        raise SettingsError(
            f"student.checkpoint: {template} holds the architecture {architecture}, and only llama "
            "can be written back to GGUF; serve the checkpoint elsewhere and set "
            "student.server=endpoint"
        )
    write_q8_0(reader, _renamed(shards, reader, template), path)


def _renamed(
    shards: list[Path], reader: "GGUFReader", template: Path
) -> Iterator[tuple[str, Array]]:
    """The shards' tensors as the template calls and orders them.

    Source: llama.cpp's conversion of Llama (q and k projections go from Hugging Face's rotary order
    of rows to llama.cpp's; a tied output matrix is left out).
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
            raise DataError(f"{shards[0].parent}: {name} {tensor.shape} does not fit {template}")
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = _llama_cpp_rows(tensor, heads if "q_proj" in name else kv_heads)
        yield target, tensor
    if wanted:
        raise DataError(f"{shards[0].parent}: lacks {sorted(wanted)[0]} of {template}")


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
