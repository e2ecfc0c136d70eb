"""The student: where its starting checkpoint comes from, and how a checkpoint is read."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longwriter.chat.servers import locate
from longwriter.errors import SettingsError, TrainingError
from longwriter.training.settings import StudentSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def quiet_unless_terminal() -> None:
    """Takes away the progress bars of transformers and datasets where no one watches."""
    if sys.stderr.isatty():
        return
    # For the bars that these two do not know of; read when tqdm is imported.
    os.environ.setdefault("TQDM_DISABLE", "1")

    import datasets
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()


def load(
    checkpoint: Path, student: StudentSettings
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Model (weights in student.dtype) and tokenizer of a checkpoint folder.

    Raises:
        TrainingError: the folder is no checkpoint, or has no chat template.
    """
    quiet_unless_terminal()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"trust_remote_code": student.trust_remote_code, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, **source)
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=student.dtype.value, **source
        )
    except (OSError, ValueError) as error:
        raise TrainingError(f"{checkpoint}: cannot be read as a checkpoint: {error}") from None
    if not tokenizer.chat_template:
        raise TrainingError(f"{checkpoint}: has no chat template; add one to its tokenizer")
    return model, tokenizer


def save(model: Any, tokenizer: Any, path: Path) -> None:
    """Writes weights as safetensors, configuration and tokenizer to the folder `path`."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def materialise(student: StudentSettings, path: Path) -> int:
    """Writes the student's starting checkpoint to `path` as a Hugging Face folder.

    Returns:
        Number of parameters.

    Raises:
        SettingsError: student.checkpoint names nothing that can be loaded, or the chat template's
            file is not there.
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
    if student.checkpoint.endswith(".gguf"):
        del model.config.quantization_config  # the weights are plain numbers now
        plain = type(model)(model.config)  # save_pretrained refuses a model read from GGUF
        plain.load_state_dict(model.state_dict())
        plain.generation_config = model.generation_config
        model = plain.to(dtype)
    save(model, tokenizer, path)
    return int(model.num_parameters())
