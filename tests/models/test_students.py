"""Each student's chat template, stop tokens and context, on a tiny model of its architecture.

The tokenizer is SmolLM2's with the student's special tokens added: what a template renders and what
ends an answer do not depend on the rest of the vocabulary.
"""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.checkpoints import CHECKOUT, default_settings, packaged_tokenizer, write_tiny
from torch.nn import functional
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    GlmConfig,
    LlamaConfig,
    Qwen3Config,
    SmolLM3Config,
)

from longwriter.config.schema import Settings
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.rows import Message, TrainingRow
from longwriter.llm.settings import ServerKind
from longwriter.models.checkpoint import materialise
from longwriter.models.server_kind import server_kind, template_of
from longwriter.models.settings import RopeScaling, RopeType
from longwriter.sft import attention
from longwriter.sft import trainer as sft
from longwriter.sft.packing import IGNORED, tokenize
from longwriter.sft.settings import Targets

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.2,
}
STUDENTS: dict[str, Any] = {  # architecture, context, begin, end of text, other special tokens
    "llama31_8b": (LlamaConfig, 131_072, "<|begin_of_text|>", "<|end_of_text|>", []),
    "qwen3_8b": (Qwen3Config, 32_768, None, "<|endoftext|>", ["<|im_end|>"]),
    "smollm2_360m": (LlamaConfig, 8_192, "<|endoftext|>", "<|im_end|>", []),
    "qwen3_0_6b": (Qwen3Config, 40_960, None, "<|im_end|>", []),
    "smollm3_3b": (SmolLM3Config, 65_536, None, "<|im_end|>", []),
    "gemma3_1b": (
        Gemma3TextConfig,
        32_768,
        "<bos>",
        "<eos>",
        ["<start_of_turn>", "<end_of_turn>"],
    ),
    "glm4_9b": (
        GlmConfig,
        8_192,
        None,
        "<|endoftext|>",
        ["[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"],
    ),
}
TURNS = [("user", "Hi."), ("assistant", "Ho."), ("user", "Again."), ("assistant", "Ho, ho.")]
CHATML = (
    "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\nHo.<|im_end|>\n"
    "<|im_start|>user\nAgain.<|im_end|>\n<|im_start|>assistant\nHo, ho.<|im_end|>\n"
)
RENDERED = {
    "llama31_8b": "<|begin_of_text|>User:\nHi.\n\nAssistant:\nHo.<|end_of_text|>User:\nAgain.\n\n"
    "Assistant:\nHo, ho.<|end_of_text|>",
    "qwen3_8b": CHATML,
    "smollm2_360m": "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by "
    f"Hugging Face<|im_end|>\n{CHATML}",
    "qwen3_0_6b": CHATML,
    "smollm3_3b": CHATML,
    "gemma3_1b": "<bos><start_of_turn>user\nHi.<end_of_turn>\n<start_of_turn>model\nHo.<end_of_turn>\n"
    "<start_of_turn>user\nAgain.<end_of_turn>\n<start_of_turn>model\nHo, ho.<end_of_turn>\n",
    "glm4_9b": "[gMASK]<sop><|user|>\nHi.<|assistant|>\nHo.<|user|>\nAgain.<|assistant|>\n"
    "Ho, ho.<|user|>",
}
TARGET = {
    "llama31_8b": "Ho, ho.<|end_of_text|>",
    **dict.fromkeys(
        ["qwen3_8b", "smollm2_360m", "qwen3_0_6b", "smollm3_3b"], "Ho, ho.<|im_end|>\n"
    ),
    "gemma3_1b": "Ho, ho.<end_of_turn>\n",
    "glm4_9b": "Ho, ho.<|user|>",
}
CONTEXT = {name: context for name, (_, context, *_) in STUDENTS.items()} | {"glm4_9b": 32_768}


def composed(name: str) -> Settings:
    return default_settings(f"student={name}", "sft=paper")


def write_base_model(name: str, folder: Path) -> None:
    """A checkpoint as the student's is: with its own end-of-text, and SmolLM2's chat template, which any
    student but SmolLM2 must replace."""
    kind, context, begin, end, others = STUDENTS[name]
    tokenizer = copy.deepcopy(packaged_tokenizer())
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [*filter(None, [begin]), end, *others]}
    )
    tokenizer.bos_token, tokenizer.eos_token = begin, end
    torch.manual_seed(7)
    config = kind(
        vocab_size=len(tokenizer),
        max_position_embeddings=context,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SIZES,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("name", list(STUDENTS))
def test_template_stop_tokens_and_context_of_a_student(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CHECKOUT)
    settings = composed(name)
    write_base_model(name, tmp_path / "hub")
    student = replace(settings.student, checkpoint=str(tmp_path / "hub"), revision=None)
    materialise(student, tmp_path / "base")
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "base")

    row = TrainingRow(id="r", messages=[Message(role=r, content=c) for r, c in TURNS])  # type: ignore[arg-type]
    tokens = tokenize(row, tokenizer, Targets.last)
    targets = [label for label in tokens.labels if label != IGNORED]
    assert tokenizer.decode(tokens.input_ids) == RENDERED[name]
    assert tokenizer.decode(targets) == TARGET[name]
    assert tokenizer.eos_token_id in targets
    assert len(tokenizer(tokenizer.eos_token, add_special_tokens=False)["input_ids"]) == 1

    stops = json.loads((tmp_path / "base/generation_config.json").read_text())["eos_token_id"]
    stops = stops if isinstance(stops, list) else [stops]
    own = tokenizer.convert_tokens_to_ids(STUDENTS[name][3])
    assert stops[0] == tokenizer.eos_token_id  # generation stops where training ends an answer
    assert own in stops
    config = json.loads((tmp_path / "base/config.json").read_text())
    assert config["max_position_embeddings"] == CONTEXT[name]
    if CONTEXT[name] >= 32_768:  # the paper's rows fit
        sft.check_context(tmp_path / "base", settings.sft)
    check_packing(tmp_path / "base", tokens.input_ids)


def check_packing(base: Path, tokens: list[int]) -> None:
    """Two rows in one pack give the logits that they give alone."""
    attention.register()
    alone = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    packed = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float64, attn_implementation=attention.NAME
    )
    ids = torch.tensor([tokens])
    n = ids.shape[1]
    both = torch.cat([ids.flip(1), ids], dim=1)
    with torch.no_grad():
        expected = alone(ids).logits
        found = packed(
            both,
            position_ids=torch.arange(n).repeat(2)[None],
            cu_seq_lens_q=torch.tensor([0, n, 2 * n], dtype=torch.int32),
            max_length_q=n,
            use_cache=False,
        ).logits[:, n:]
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(alone(both).logits[:, n:], expected, atol=0.01)  # it would show
    assert functional.mse_loss(found, expected) < 1e-20


def test_an_end_of_turn_that_the_tokenizer_does_not_know_is_an_error(tmp_path: Path) -> None:
    write_tiny(tmp_path / "hub", packaged_tokenizer())
    student = replace(
        composed("qwen3_8b").student, checkpoint=str(tmp_path / "hub"), eos_token="<|no|>"
    )
    with pytest.raises(
        SettingsError, match=r"^student\.eos_token: <\|no\|> is not in the checkpoint"
    ):
        materialise(student, tmp_path / "base")


def test_a_context_that_is_too_short_is_an_error_and_can_be_stretched(tmp_path: Path) -> None:
    write_tiny(tmp_path / "hub", packaged_tokenizer())  # a context of 512 tokens
    settings = composed("llama31_8b")
    short = replace(settings.sft, max_length=512)
    sft.check_context(tmp_path / "hub", short)
    with pytest.raises(SettingsError, match=r"513 tokens, and the context of .* is 512; .*yarn"):
        sft.check_context(tmp_path / "hub", replace(short, max_length=513))

    stretched = replace(
        settings.student,
        checkpoint=str(tmp_path / "hub"),
        revision=None,
        rope_scaling=RopeScaling(rope_type=RopeType.yarn, factor=4.0),
    )
    materialise(stretched, tmp_path / "base")
    sft.check_context(tmp_path / "base", replace(short, max_length=2048))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    # YaRN (arXiv 2309.00071, section 3.4): attention is scaled by 0.1 · ln(4) + 1
    assert model.model.rotary_emb.attention_scaling == pytest.approx(1.1386, abs=1e-4)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "hub")
    slowest = plain.model.rotary_emb.inv_freq[-1] / model.model.rotary_emb.inv_freq[-1]
    assert slowest == pytest.approx(4, rel=1e-4)  # positions of long waves are interpolated


def folder_of(model_type: str, folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "model.safetensors").touch()
    return folder


def test_what_serves_a_student_is_known_before_it_is_trained(tmp_path: Path) -> None:
    """The converter itself is asked in tests/llm/test_conversion.py."""
    student = default_settings().student
    assert student.server.kind is ServerKind.auto
    llama, phi = (folder_of(name, tmp_path / name) for name in ("llama", "phi3"))
    (tmp_path / "m.gguf").touch()
    assert server_kind(student, llama, tmp_path).kind is ServerKind.llama_cpp
    assert server_kind(student, tmp_path / "m.gguf", tmp_path).kind is ServerKind.llama_cpp
    kind, reason = server_kind(student, phi, tmp_path)
    assert kind is ServerKind.transformers
    assert reason == f"{phi}: llama.cpp is not known to reproduce the output of model type phi3"
    for kind in (ServerKind.vllm, ServerKind.endpoint, ServerKind.transformers):
        given = replace(student, server=replace(student.server, kind=kind))
        assert server_kind(given, phi, tmp_path).kind is kind
    fixed = replace(student, server=replace(student.server, kind=ServerKind.llama_cpp))
    with pytest.raises(
        SettingsError,
        match=r"^student\.server\.kind: llama_cpp, and .* of model type phi3; .*=auto$",
    ):
        server_kind(fixed, phi, tmp_path)
    (phi / "model.safetensors").unlink()
    with pytest.raises(DataError, match="holds no safetensors"):
        server_kind(student, phi, tmp_path)


def test_a_gguf_file_knows_nothing_of_a_stretched_context(tmp_path: Path) -> None:
    student, llama = default_settings().student, folder_of("llama", tmp_path / "llama")
    assert template_of(student, llama) == student.checkpoint
    assert template_of(replace(student, checkpoint=str(llama)), llama) is None
    assert template_of(student, folder_of("qwen3", tmp_path / "qwen3")) is None
    stretched = replace(student, rope_scaling=RopeScaling(rope_type=RopeType.yarn, factor=4.0))
    assert template_of(stretched, llama) is None


def test_vllm_serves_a_student_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    student, phi = default_settings().student, folder_of("phi3", tmp_path / "phi3")
    assert server_kind(student, phi, tmp_path).kind is ServerKind.vllm
    llama = folder_of("llama", tmp_path / "llama")
    assert server_kind(student, llama, tmp_path).kind is ServerKind.llama_cpp
