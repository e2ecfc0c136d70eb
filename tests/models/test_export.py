"""A trained model for llama.cpp, Ollama and vLLM."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.checkpoints import default_settings

from longwriter.core.errors import DataError
from longwriter.core.files import locate
from longwriter.models.export import Chat, export_ollama, pieces_of, vllm_command
from longwriter.models.settings import StudentSettings
from longwriter.text.chat_template import chat_environment

SYSTEM = {"role": "system", "content": "You write."}
ASK = {"role": "user", "content": "Write about tea."}
ANSWER = {"role": "assistant", "content": "Tea is hot."}
AGAIN = {"role": "user", "content": "More {{ .Content }}."}
CHATS = [[ASK], [SYSTEM, ASK], [ASK, ANSWER, AGAIN], [SYSTEM, ASK, ANSWER, AGAIN]]


@pytest.fixture(scope="module")
def student() -> StudentSettings:
    return default_settings().student


def go(template: str, messages: Chat) -> str:
    """What Ollama makes of the template, of which it knows `if`, `range`, `.Role` and `.Content`."""
    system = next((m["content"] for m in messages if m["role"] == "system"), "")
    head, body, answer = re.fullmatch(
        r"(?:\{\{ if not \.System \}\}(.*?)\{\{ end \}\})?\{\{ range \.Messages \}\}(.*)\{\{ end \}\}\{\{ end \}\}(.*)",
        template,
        re.DOTALL,
    ).groups()  # type: ignore[union-attr]
    roles = dict(re.findall(r'if eq \.Role "(\w+)" \}\}(.*?)(?=\{\{ else|\Z)', body, re.DOTALL))
    turns = [roles[m["role"]].replace("{{ .Content }}", m["content"]) for m in messages]
    return ("" if system else head or "") + "".join(turns) + answer


def test_ollama_s_folder(student: StudentSettings, tmp_path: Path) -> None:
    """SmolLM2's template puts a system message of its own before the user's."""
    file = tmp_path / "smol.gguf"
    file.symlink_to(locate(student.checkpoint))
    modelfile = export_ollama(file, tmp_path, student.server)
    assert (tmp_path / "Modelfile").read_text() == modelfile
    [template] = re.findall(r'TEMPLATE """(.*?)"""', modelfile, re.DOTALL)
    assert modelfile.startswith("FROM ./smol.gguf\n")
    assert re.findall("PARAMETER (.*)", modelfile) == [
        "num_ctx 8192",  # llama.context_length of the file
        "num_predict 8192",
        'stop "<|im_end|>"',
        "temperature 0.9",
        "top_p 1.0",
    ]
    own = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    ask = "<|im_start|>user\nWrite about tea.<|im_end|>\n"
    assert go(template, [ASK]) == own + ask + "<|im_start|>assistant\n"
    assert go(template, [SYSTEM, ASK]) == (
        "<|im_start|>system\nYou write.<|im_end|>\n" + ask + "<|im_start|>assistant\n"
    )


TEMPLATES = {
    name: (Path(__file__).parents[2] / f"conf/student/{name}.jinja").read_text()
    for name in ("chatml", "glm4", "llama31")
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_students_templates_in_ollama_s_language(name: str) -> None:
    template = chat_environment().from_string(TEMPLATES[name])

    def render(messages: Chat, answer_follows: bool) -> str:
        return str(
            template.render(
                messages=messages,
                add_generation_prompt=answer_follows,
                bos_token="<s>",
                eos_token="</s>",
            )
        )

    pieces = pieces_of(render)
    for chat in CHATS:
        assert go(pieces.as_go, chat) == render(chat, True)


def test_a_template_that_does_more_is_refused() -> None:
    def render(messages: Chat, answer_follows: bool) -> str:
        return "".join(f"{number}{m['content']}" for number, m in enumerate(messages))

    with pytest.raises(DataError, match="does more than add fixed text around messages"):
        pieces_of(render)


def test_vllm_s_command(student: StudentSettings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        vllm_command(tmp_path, "x", student.server)
    for file in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (tmp_path / file).touch()
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 8192}')
    words = shlex.split(vllm_command(tmp_path, "base", student.server))
    assert words[:3] == ["vllm", "serve", str(tmp_path)]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    sampling = json.loads(options.pop("--override-generation-config"))
    assert sampling == {"temperature": 0.9, "top_p": 1.0}
    assert options == {
        "--served-model-name": "base",
        "--max-model-len": "8192",
        "--generation-config": "vllm",
    }


def exported(cwd: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", "export", *arguments],
        cwd=cwd, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.strip()


def test_the_command(student: StudentSettings, tmp_path: Path) -> None:
    (tmp_path / "smol.gguf").symlink_to(locate(student.checkpoint))
    assert exported(tmp_path, "smol.gguf", "ollama") == (
        0,
        "ollama create smol -f smol-ollama/Modelfile\n",
        "",
    )
    assert {file.name for file in (tmp_path / "smol-ollama").iterdir()} == {
        "Modelfile",
        "smol.gguf",
    }
    again = exported(tmp_path, "smol.gguf", "ollama")
    assert again == (
        1,
        "",
        "error: smol-ollama: exists already; remove it, or name another by --output",
    )
    assert exported(tmp_path, "smol.gguf", "gguf")[2] == "error: smol.gguf: is a GGUF file already"
    (tmp_path / "empty").mkdir()
    status, out, err = exported(tmp_path, "empty", "ollama")
    assert (status, out) == (1, "")
    assert err.startswith("error: empty: holds no safetensors")
    assert not (tmp_path / "empty-ollama").exists()
