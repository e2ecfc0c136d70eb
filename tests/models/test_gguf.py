"""A checkpoint as GGUF: the real student once, and a Llama of one small layer for the rest."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import locate
from longwriter.llm.client import ChatClient, Completion
from longwriter.llm.gguf import QUANTISATIONS, gguf_of, write_gguf
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import ServerKind
from longwriter.models.export import export_gguf
from longwriter.models.settings import StudentSettings

SRC = Path(__file__).parent.parent.parent / "src"

pytestmark = pytest.mark.xdist_group("embedded")


@cache
def read(path: Path) -> gguf.GGUFReader:
    return gguf.GGUFReader(path)  # takes seconds where there is a vocabulary


def llama_cpp_rows(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a q or k projection as llama.cpp wants them.

    Rotary embedding turns pairs of dimensions. In Hugging Face's order the pair i of a head is
    rows i and i + head_dim/2; in llama.cpp's it is rows 2i and 2i + 1.
    """
    head_dim = len(matrix) // heads
    rows = np.empty_like(matrix)
    for head in range(heads):
        for pair in range(head_dim // 2):
            for half in range(2):
                source = head * head_dim + half * head_dim // 2 + pair
                rows[head * head_dim + 2 * pair + half] = matrix[source]
    return rows


def expected(name: str, tensors: dict[str, np.ndarray], heads: int, kv_heads: int) -> np.ndarray:
    """Values of the GGUF tensor `name` from those of the checkpoint."""
    parts = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    if name == "token_embd.weight":
        return tensors["model.embed_tokens.weight"]
    if name == "output_norm.weight":
        return tensors["model.norm.weight"]
    _, block, part, _ = name.split(".")
    values = tensors[f"model.layers.{block}.{parts[part]}.weight"]
    if part in ("attn_q", "attn_k"):
        return llama_cpp_rows(values, heads if part == "attn_q" else kv_heads)
    return values


def check_tensors(
    path: Path, template: Path, tensors: dict[str, np.ndarray], heads: int, kv_heads: int
) -> None:
    """The GGUF `path` has each tensor of `template` once, with the values of `tensors`."""
    written = read(path).tensors
    shapes = {tensor.name: tensor.shape.tolist() for tensor in read(template).tensors}
    assert len(written) == len(shapes)
    assert {tensor.name: tensor.shape.tolist() for tensor in written} == shapes
    for tensor in written:
        values = expected(tensor.name, tensors, heads, kv_heads)
        if values.ndim == 1:
            assert tensor.tensor_type == gguf.GGMLQuantizationType.F32
            assert np.array_equal(tensor.data, values), tensor.name
            continue
        assert tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0
        # Q8_0: blocks of 32 values, each an integer of -127 to 127 times the block's step, which
        # is a float16. Rounding costs half a step, the step's own rounding 127 · 2⁻¹¹ of one.
        found = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(-1, 32)
        blocks = values.reshape(-1, 32)
        step = np.abs(blocks).max(axis=1, keepdims=True) / 127
        assert (np.abs(found - blocks) <= (0.5 + 127 / 2048) * step + 1e-7).all(), tensor.name


# The real student


@pytest.fixture(scope="module")
def served(student: StudentSettings, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_of(base, student.checkpoint, tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_student_s_tensors_are_those_of_its_checkpoint(
    student: StudentSettings, base: Path, served: Path
) -> None:
    tensors = load_file(base / "model.safetensors")
    check_tensors(served, locate(student.checkpoint), tensors, heads=9, kv_heads=3)


@pytest.mark.slow
def test_student_s_key_values_are_the_template_s(student: StudentSettings, served: Path) -> None:
    template, written = (
        {
            key: field.contents()
            for key, field in read(path).fields.items()
            if not key.startswith("GGUF.") and key != "general.file_type"
        }
        for path in (locate(student.checkpoint), served)
    )
    assert written == template
    assert written["tokenizer.chat_template"]


@pytest.mark.slow
def test_exported_it_writes_what_the_checkpoint_writes(
    student: StudentSettings, base: Path, tmp_path: Path
) -> None:
    """Each of 200 tokens that llama.cpp takes is the one that transformers find the likeliest there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = tmp_path / "base-F32.gguf"
    assert export_gguf(base, student.checkpoint, file, "F32") == 0
    messages = [{"role": "user", "content": "Write a 300-word story about a lighthouse keeper."}]

    async def ask(client: ChatClient) -> Completion:
        return await client.complete(messages, temperature=0, max_tokens=200)

    answer, _ = with_client(
        ask,
        replace(student.server, kind=ServerKind.llama_cpp, context=512),
        CallContext(tmp_path, seed=0, threads=2),
        name="teacher",
        checkpoint=file,
    )
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(base)
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    prompt_ids, ids = (tokenizer(text)["input_ids"] for text in (prompt, prompt + answer.text))
    assert len(ids) - len(prompt_ids) == answer.completion_tokens == 200
    with torch.no_grad():
        likeliest = model(torch.tensor([ids])).logits[0].argmax(-1)
    assert likeliest[len(prompt_ids) - 1 : -1].tolist() == ids[len(prompt_ids) :]
    assert answer.prompt_tokens == len(prompt_ids)
    assert answer.finish_reason == "length"


# A Llama of one layer: 2 heads of 16, one of them for keys and values

Tensors = dict[str, np.ndarray]


def one_layer() -> Tensors:
    """A checkpoint's tensors, the output matrix tied."""
    values = np.random.default_rng(7)
    layer = "model.layers.0"
    shapes = {
        "model.embed_tokens": (64, 32),
        "model.norm": (32,),
        f"{layer}.input_layernorm": (32,),
        f"{layer}.self_attn.q_proj": (32, 32),
        f"{layer}.self_attn.k_proj": (16, 32),
        f"{layer}.self_attn.v_proj": (16, 32),
        f"{layer}.self_attn.o_proj": (32, 32),
        f"{layer}.post_attention_layernorm": (32,),
        f"{layer}.mlp.gate_proj": (96, 32),
        f"{layer}.mlp.up_proj": (96, 32),
        f"{layer}.mlp.down_proj": (32, 96),
    }
    return {
        f"{name}.weight": values.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The GGUF that the small student came as: key-values, and tensors of zeros."""
    path = tmp_path / "template.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("one layer")
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_token_list(["a", "b"])
    tensors = one_layer()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    for name, tensor in tensors.items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.zeros_like(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def small(template: Path) -> str:
    return str(template)


def write_checkpoint(path: Path, *shards: Tensors) -> Path:
    path.mkdir()
    for number, tensors in enumerate(shards, start=1):
        save_file(tensors, path / f"model-{number:05}-of-{len(shards):05}.safetensors")
    return path


def test_sharded_checkpoint_is_read(small: str, template: Path, tmp_path: Path) -> None:
    tensors = one_layer()
    names = sorted(tensors)
    halves = ({n: tensors[n] for n in part} for part in (names[::2], names[1::2]))
    path = gguf_of(write_checkpoint(tmp_path / "sharded", *halves), small, tmp_path / "cache")
    check_tensors(path, template, tensors, heads=2, kv_heads=1)


def test_tied_output_matrix_is_left_out(small: str, template: Path, tmp_path: Path) -> None:
    tensors = one_layer()
    saved = tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]}
    path = gguf_of(write_checkpoint(tmp_path / "tied", saved), small, tmp_path / "cache")
    check_tensors(path, template, tensors, heads=2, kv_heads=1)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_checkpoint_of_16_bits_is_read(
    small: str, template: Path, tmp_path: Path, dtype: str
) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    rounded = {n: torch.from_numpy(t).to(getattr(torch, dtype)) for n, t in one_layer().items()}
    (tmp_path / "half").mkdir()
    save_torch(rounded, tmp_path / "half/model.safetensors")
    path = gguf_of(tmp_path / "half", small, tmp_path / "cache")
    tensors = {name: tensor.to(torch.float32).numpy() for name, tensor in rounded.items()}
    check_tensors(path, template, tensors, heads=2, kv_heads=1)


# The root of the mean squared error of a weight over the root of its mean square, about: a block of 32
# weights has 2ⁿ steps between its ends, and rounding leaves 1/√12 of one.
ERRORS = {
    "F32": 0, "F16": 2e-4, "BF16": 2e-3, "Q8_0": 0.005, "Q5_1": 0.03, "Q5_0": 0.04, "Q4_1": 0.06, "Q4_0": 0.08,
}  # fmt: skip


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_a_quantisation_stays_near_the_weights(
    quantisation: str, small: str, tmp_path: Path
) -> None:
    checkpoint, file = write_checkpoint(tmp_path / "sft", one_layer()), tmp_path / "sft.gguf"
    error = export_gguf(checkpoint, small, file, quantisation)
    assert ERRORS[quantisation] / 2 <= error <= 2 * ERRORS[quantisation]
    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}
    assert kinds == {quantisation, "F32"}


def test_file_is_written_once_for_each_content(small: str, tmp_path: Path) -> None:
    checkpoint, cache = write_checkpoint(tmp_path / "sft", one_layer()), tmp_path / "cache"
    first = gguf_of(checkpoint, small, cache)
    assert [path.name for path in first.parent.glob("*.gguf")] == [first.name]
    os.utime(first, ns=(1, 1))
    same = write_checkpoint(tmp_path / "copy", one_layer())
    assert gguf_of(checkpoint, small, cache) == gguf_of(same, small, cache) == first
    assert first.stat().st_mtime_ns == 1

    tuned = one_layer()
    tuned["model.norm.weight"] += 1
    assert gguf_of(write_checkpoint(tmp_path / "tuned", tuned), small, cache) != first


def test_gguf_file_is_served_as_it_is(small: str, template: Path, tmp_path: Path) -> None:
    assert gguf_of(template, small, tmp_path / "cache") == template
    assert not (tmp_path / "cache").exists()


def drop(tensors: Tensors) -> None:
    del tensors["model.layers.0.mlp.up_proj.weight"]


def reshape(tensors: Tensors) -> None:
    tensors["model.layers.0.mlp.up_proj.weight"] = np.zeros((32, 96), np.float32)


def add_layer(tensors: Tensors) -> None:
    tensors["model.layers.1.mlp.up_proj.weight"] = np.zeros((96, 32), np.float32)


def add_unknown(tensors: Tensors) -> None:
    tensors["model.layers.0.memory.weight"] = np.zeros((32, 32), np.float32)


def store_integers(tensors: Tensors) -> None:
    tensors["model.norm.weight"] = np.zeros(32, np.int8)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop, r"lacks blk\.0\.ffn_up\.weight"),
        (reshape, r"layers\.0\.mlp\.up_proj\.weight \(32, 96\) does not fit"),
        (add_layer, r"layers\.1\.mlp\.up_proj\.weight \(96, 32\) does not fit"),
        (add_unknown, r"layers\.0\.memory\.weight \(32, 32\) does not fit"),
        (store_integers, r"model\.norm\.weight is I8"),
    ],
)
def test_checkpoint_of_another_model_is_an_error_and_leaves_no_file(
    small: str, tmp_path: Path, spoil: Callable[[Tensors], None], message: str
) -> None:
    tensors = one_layer()
    spoil(tensors)
    checkpoint = write_checkpoint(tmp_path / "other", tensors)
    with pytest.raises(DataError, match=message) as raised:
        gguf_of(checkpoint, small, tmp_path / "cache")
    assert str(checkpoint) in str(raised.value)
    assert not [path for path in (tmp_path / "cache/gguf").iterdir() if path.suffix != ".lock"]


def test_a_template_that_is_no_llama_is_an_error(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "qwen2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(SettingsError, match=r"other\.gguf holds the architecture qwen2"):
        write_gguf([], tmp_path / "other.gguf", tmp_path / "student.gguf")


def test_what_is_no_checkpoint_is_an_error(small: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no safetensors"):
        gguf_of(tmp_path, small, tmp_path / "cache")
    with pytest.raises(DataError, match="holds no safetensors"):
        gguf_of(tmp_path / "nowhere", small, tmp_path / "cache")


def test_writing_loads_no_torch(template: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "sft", one_layer())
    code = (
        "import sys\nfrom pathlib import Path\nfrom longwriter.llm.gguf import write_gguf\n"
        "shards, template, path = sorted(Path(sys.argv[1]).iterdir()), *map(Path, sys.argv[2:])\n"
        "write_gguf(shards, template, path)\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    arguments = [str(path) for path in (checkpoint, template, tmp_path / "out.gguf")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
