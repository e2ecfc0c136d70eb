"""Loads and saves checkpoints of the student, and creates the starting one."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longwriter.core.errors import SettingsError, TrainingError
from longwriter.core.files import locate
from longwriter.models.settings import Dtype, StudentSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def quiet_unless_terminal() -> None:
    """Hides the progress bars of transformers and datasets unless stderr is a terminal."""
    if sys.stderr.isatty():
        return
    # For tqdm's own bars; tqdm reads the variable when it is imported.
    os.environ.setdefault("TQDM_DISABLE", "1")

    import datasets
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()


def load(
    checkpoint: Path, student: StudentSettings, **more: Any
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Returns the model, with weights in student.dtype, and the tokenizer of a checkpoint folder.

    Args:
        more: further arguments of the model's `from_pretrained`, such as `attn_implementation`, or
            a `dtype` that overrides student.dtype.

    Raises:
        TrainingError: the folder is not a checkpoint, or has no chat template.
    """
    quiet_unless_terminal()
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint, **{"dtype": student.dtype.value, **_local(student), **more}
        )
    except (OSError, ValueError) as error:
        raise _unreadable(checkpoint, error) from None
    return model, load_tokenizer(checkpoint, student)


def load_tokenizer(checkpoint: Path, student: StudentSettings) -> "PreTrainedTokenizerBase":
    """Returns the tokenizer of a checkpoint folder.

    Raises:
        TrainingError: the folder is not a checkpoint, or has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, **_local(student))
    except (OSError, ValueError) as error:
        raise _unreadable(checkpoint, error) from None
    if not tokenizer.chat_template:
        raise TrainingError(f"{checkpoint}: has no chat template; add one to its tokenizer")
    return tokenizer


def _local(student: StudentSettings) -> dict[str, Any]:
    return {"trust_remote_code": student.trust_remote_code, "local_files_only": True}


def _unreadable(checkpoint: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{checkpoint}: cannot be read as a checkpoint: {error}")


def save(model: Any, tokenizer: Any, path: Path) -> None:
    """Writes weights (safetensors), configuration and tokenizer to the folder `path`."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def finish(
    start: Path, path: Path, student: StudentSettings, *, adapter: bool, merge: bool
) -> None:
    """Turns what a trainer wrote to the folder `path` into a checkpoint in student.dtype.

    Call it only in a process that accelerate did not start; in one that it did, loading a model may
    wait for all the other processes.

    Args:
        start: the checkpoint that was trained.
        adapter: whether an adapter was trained instead of all weights.
        merge: whether to merge the adapter into `start`, in float32; else it stays as it is.
    """
    import torch
    from peft import PeftModel

    (path / "training_args.bin").unlink()  # a pickle that holds this machine's paths
    if adapter and not merge:
        return
    if not adapter:
        model, tokenizer = load(path, student)
    else:
        plain, tokenizer = load(start, student, dtype="float32")
        model = PeftModel.from_pretrained(plain, path).merge_and_unload()
        shutil.rmtree(path)
    if adapter or student.dtype is not Dtype.float32:
        save(model.to(getattr(torch, student.dtype.value)), tokenizer, path)


def materialise(student: StudentSettings, path: Path) -> int:
    """Writes the student's starting checkpoint to `path` as a Hugging Face folder.

    Returns:
        Number of parameters.

    Raises:
        SettingsError: student.checkpoint names nothing that can be loaded, the chat template's file
            is missing, or eos_token or rope_scaling does not fit the checkpoint.
    """
    quiet_unless_terminal()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = getattr(torch, student.dtype.value)
    source: dict[str, Any] = {"trust_remote_code": student.trust_remote_code}
    if student.checkpoint.endswith(".gguf"):
        gguf = locate(student.checkpoint)
        name, source = str(gguf.parent), source | {"gguf_file": gguf.name}
    else:
        name, source = student.checkpoint, source | {"revision": student.revision}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **source)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **source)
    except (OSError, ValueError) as error:
        raise SettingsError(f"student.checkpoint: {student.checkpoint}: {error}") from None
    if student.chat_template_path:
        tokenizer.chat_template = locate(student.chat_template_path).read_text(encoding="utf-8")
    if student.eos_token:
        _end_turns_with(student.eos_token, tokenizer, model)
    if student.rope_scaling:
        _stretch(model.config, student)
    if student.checkpoint.endswith(".gguf"):
        del model.config.quantization_config  # the weights are dequantised now
        plain = type(model)(model.config)  # save_pretrained refuses a model read from GGUF
        plain.load_state_dict(model.state_dict())
        plain.generation_config = model.generation_config
        model = plain.to(dtype)
    save(model, tokenizer, path)
    return int(model.num_parameters())


def _end_turns_with(token: str, tokenizer: Any, model: Any) -> None:
    """Makes `token` the tokenizer's end-of-text and the first of the tokens that stop generation.

    Raises:
        SettingsError: it is not in the tokenizer's vocabulary.
    """
    if token not in tokenizer.get_vocab():
        raise SettingsError(f"student.eos_token: {token} is not in the checkpoint's vocabulary")
    tokenizer.eos_token = token
    stops = model.generation_config.eos_token_id
    others = stops if isinstance(stops, list) else [stops] if stops is not None else []
    last = tokenizer.eos_token_id
    stops = [last, *(stop for stop in others if stop != last)]
    model.config.eos_token_id = model.generation_config.eos_token_id = stops


def _stretch(config: Any, student: StudentSettings) -> None:
    """Writes student.rope_scaling and the resulting context length into the configuration.

    Raises:
        SettingsError: the model has no rotary positions.
    """
    scaling = student.rope_scaling
    assert scaling is not None
    if not getattr(config, "rope_parameters", None):
        raise SettingsError(f"student.rope_scaling: {config.model_type} has no rotary positions")
    context = config.max_position_embeddings
    config.rope_parameters = {
        **config.rope_parameters,
        "rope_type": scaling.rope_type.value,
        "factor": scaling.factor,
        "original_max_position_embeddings": context,
    }
    config.max_position_embeddings = int(context * scaling.factor)
