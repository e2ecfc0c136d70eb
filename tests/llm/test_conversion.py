"""llama.cpp's converter: the text of what it writes is the checkpoint's, family by family."""

import json
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from helpers.checkpoints import default_settings, packaged_tokenizer, write_tiny
from helpers.families import CONVERTED, write_model

from longwriter.core.errors import SettingsError
from longwriter.llm.conversion import FAMILIES, convert, difference
from longwriter.llm.servers import serve
from longwriter.llm.settings import ServerKind
from longwriter.models.export import export_gguf, export_ollama
from longwriter.models.server_kind import server_kind

pytestmark = pytest.mark.xdist_group("embedded")

PROMPT = (
    "The keeper of the lighthouse wrote long letters to the sea, which cannot read, and sent none."
)
TOKENS = 200


def check_greedy_text(folder: Path, file: Path) -> None:
    """Each of 200 tokens that llama.cpp takes is the likeliest one by transformers, or as likely but for
    rounding."""
    import torch

    tokenizer = packaged_tokenizer()
    prompt, banned = tokenizer.encode(PROMPT), tokenizer.all_special_ids  # some end a text
    request = {
        "prompt": prompt,
        "n_predict": TOKENS,
        "temperature": 0,
        "return_tokens": True,
        "logit_bias": [[token, False] for token in banned],
    }
    server = replace(default_settings().student.server, kind=ServerKind.llama_cpp, concurrency=1)
    with serve(server, checkpoint=file, threads=1) as address:
        url = address.base_url.removesuffix("/v1") + "/completion"
        with urllib.request.urlopen(url, json.dumps(request).encode()) as answer:
            taken = json.load(answer)["tokens"]
    assert len(taken) == TOKENS
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits = model(torch.tensor([prompt + taken])).logits[0, len(prompt) - 1 : -1]
    logits[:, banned] = -torch.inf
    behind = logits.max(dim=1).values - logits[torch.arange(TOKENS), taken]
    assert behind.max() < 0.05  # of logits whose standard deviation is 1.6
    assert (behind == 0).sum() > 0.95 * TOKENS


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERTED)
def test_the_text_is_the_checkpoint_s(name: str, tmp_path: Path) -> None:
    folder = write_model(name, tmp_path / "model")
    assert json.loads((folder / "config.json").read_bytes())["model_type"] == name.split(",")[0]
    convert(folder, tmp_path / "model.gguf", "f32")
    check_greedy_text(folder, tmp_path / "model.gguf")


def test_every_family_has_a_model() -> None:
    assert {name.split(",")[0] for name in CONVERTED} == FAMILIES


@pytest.mark.slow
def test_a_student_that_came_as_a_folder_is_served_and_exported(tmp_path: Path) -> None:
    folder = write_model("qwen3", tmp_path / "model")
    student = replace(default_settings().student, checkpoint=str(folder))
    assert server_kind(student, folder, tmp_path / "cache").kind is ServerKind.llama_cpp
    [served] = (tmp_path / "cache/gguf").glob("*.gguf")
    assert export_gguf(folder, None, tmp_path / "model-F32.gguf", "F32") == 0
    assert served.stat().st_size < (tmp_path / "model-F32.gguf").stat().st_size / 2
    assert 0.03 < export_gguf(folder, None, tmp_path / "model-Q4_0.gguf", "Q4_0") < 0.16
    check_greedy_text(folder, tmp_path / "model-F32.gguf")
    modelfile = export_ollama(tmp_path / "model-F32.gguf", tmp_path, student.server)
    assert "PARAMETER num_ctx 2048" in modelfile
    assert 'PARAMETER stop "<|im_end|>"' in modelfile
    assert "<|im_start|>assistant" in modelfile


def test_a_tokenizer_that_llama_cpp_does_not_know_leaves_the_student_to_transformers(
    tmp_path: Path,
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "<end>": 2}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>"
    )
    folder = write_tiny(tmp_path / "model", tokenizer)
    student = replace(default_settings().student, checkpoint=str(folder))
    kind, reason = server_kind(student, folder, tmp_path)
    assert kind is ServerKind.transformers
    assert reason.startswith(f"{folder}: llama.cpp's converter refuses it (")
    assert not [path for path in (tmp_path / "gguf").iterdir() if path.suffix != ".lock"]


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "another family": (
        {"model_type": "phi3"},
        "not known to reproduce the output of model type phi3",
    ),
    "a window": ({"model_type": "mistral", "sliding_window": 4096}, "ignores the sliding window"),
    "scaled attention": (
        {"model_type": "gemma3_text", "query_pre_attn_scalar": 168, "head_dim": 128},
        "scales attention by head_dim",
    ),
    "layers without positions": (
        {"model_type": "smollm3", "no_rope_layers": [1, 0, 1, 0]},
        "every fourth layer",
    ),
    "rotary positions": (
        {"model_type": "llama", "rope_parameters": {"rope_type": "dynamic"}},
        "no rotary positions of the type dynamic",
    ),
    "those of a layer": (
        {"model_type": "olmo3", "rope_parameters": {"full_attention": {"rope_type": "longrope"}}},
        "of the type longrope",
    ),
}


@pytest.mark.parametrize(("config", "words"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_llama_cpp_would_write_otherwise_is_not_converted(
    config: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SettingsError, match=words):
        convert(tmp_path, tmp_path / "model.gguf", "q8_0")


def test_code_of_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert difference(tmp_path) == ""
    (tmp_path / "tokenization_own.py").touch()
    assert difference(tmp_path) == "the converter would run its code, tokenization_own.py"
