"""The page in a real browser: what it shows while a text comes, and that it stays quick."""

import json
import random
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from longwriter.llm.settings import Address
from longwriter.serve.app import Served, application
from longwriter.text.plan_tags import split_plan
from longwriter.text.words import count_words

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
SCREENS = {"laptop": (1366, 768), "phone": (390, 844)}

pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="chromium and chromedriver are not on the PATH (Debian: apt install chromium-driver)",
    ),
    pytest.mark.xdist_group("page"),
]

Until = Callable[[Callable[[], bool], float], None]

ODD = [
    "Tea", "don't", "GPT-4", "3D", "naïve", "été", "a_b", "I", "x", "<b>bold</b>", "&amp;", "茶道", "中文and English",
    "かな", "한글", "слово", "word。", "（茶）", "\"quoted\"", "emoji🍵tea", "²cm", "e\u0301e", "ﬁne", "１２tea", "\u200btea",
]  # fmt: skip
"""What a count of words can get wrong."""


def long_text(words: int) -> str:
    source = random.Random(1)
    parts = []
    for number in range(words):
        parts.append(
            source.choice(ODD) if number % 5 == 0 else source.choice(["the", "tea", "leaf"])
        )
        parts.append("\n\n" if number % 90 == 89 else "\n" if number % 61 == 0 else " ")
    return "".join(parts)


class Writer:
    """An OpenAI-compatible server that streams `text` in pieces of some characters."""

    def __init__(self) -> None:
        self.text, self.pause, self.asked = "", 0.0, list[dict[str, Any]]()
        self.finish, self.refuses, self.gone = "stop", "", threading.Event()

    async def answer(self, request: Request) -> Response:
        self.asked.append(await request.json())
        if self.refuses:
            return JSONResponse({"error": {"message": self.refuses}}, 400)
        return StreamingResponse(self.events(), media_type="text/event-stream")

    async def events(self) -> AsyncIterator[bytes]:
        import asyncio

        source = random.Random(2)
        try:
            place = 0
            while place < len(self.text):
                piece = self.text[place : place + source.randint(1, 9)]
                place += len(piece)
                yield event({"delta": {"content": piece}, "finish_reason": None})
                if self.pause:
                    await asyncio.sleep(self.pause)
            yield event({"delta": {}, "finish_reason": self.finish})
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.gone.set()
            raise


def event(choice: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def run(app: Any) -> tuple[uvicorn.Server, int]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server, server.servers[0].sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Writer, str]]:
    """The writer, and the address of a page that shows it under two names."""
    writer = Writer()
    upstream, port = run(
        Starlette(routes=[Route("/v1/chat/completions", writer.answer, methods=["POST"])])
    )
    address = Address(f"http://127.0.0.1:{port}/v1", "m", "m", "none")
    served, page = run(application([Served("base", address), Served("sft", address)]))
    yield writer, f"http://127.0.0.1:{page}/"
    served.should_exit = upstream.should_exit = True


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    folder = tmp_path_factory.mktemp("chromium")
    options = Options()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        f"--user-data-dir={folder}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(folder / "downloads")}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = folder / "downloads"  # type: ignore[attr-defined]
    yield driver
    driver.quit()


@pytest.fixture
def page(site: tuple[Writer, str], chrome: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The page, just opened; at the end nothing may be in the browser's console."""
    show(chrome, "laptop")
    opened(chrome, site[1])
    yield chrome
    assert [line for line in chrome.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.fixture
def writer(site: tuple[Writer, str]) -> Writer:
    writer = site[0]
    writer.__init__()  # type: ignore[misc]
    return writer


def show(chrome: webdriver.Chrome, screen: str) -> None:
    width, height = SCREENS[screen]
    metrics = {
        "width": width,
        "height": height,
        "deviceScaleFactor": 2,
        "mobile": screen == "phone",
    }
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def text_of(chrome: webdriver.Chrome, pane: int = 0) -> str:
    script = "return [...(document.querySelectorAll('.text')[arguments[0]]?.children ?? [])].map(p => p.textContent).join('\\n')"
    return str(chrome.execute_script(script, pane))


def line_of(chrome: webdriver.Chrome, pane: int = 0) -> str:
    lines = chrome.find_elements(By.CSS_SELECTOR, ".count")
    return lines[pane].text if len(lines) > pane else ""


def done(chrome: webdriver.Chrome) -> bool:
    return chrome.find_element(By.ID, "write").is_enabled()


def opened(chrome: webdriver.Chrome, address: str) -> None:
    """Until the models can be chosen, which the page asks the server for."""
    chrome.get(address)
    WebDriverWait(chrome, 10).until(
        lambda page: page.find_elements(By.CSS_SELECTOR, "#second option")
    )


def alone(chrome: webdriver.Chrome) -> None:
    Select(chrome.find_element(By.ID, "second")).select_by_visible_text("—")


def write(chrome: webdriver.Chrome, prompt: str) -> None:
    """By the keyboard alone."""
    field = chrome.find_element(By.ID, "prompt")
    field.clear()
    field.send_keys(prompt, Keys.CONTROL, Keys.ENTER)


def test_ten_thousand_words_stay_quick_and_are_counted_exactly(
    page: webdriver.Chrome, writer: Writer, until: Until
) -> None:
    writer.text = long_text(10_000)
    alone(page)
    page.execute_script(
        "window.frames_ = []; let before = performance.now();"
        "(function tick() { const now = performance.now(); frames_.push(now - before); before = now;"
        " requestAnimationFrame(tick); })();"
    )
    write(page, "Write a 9000-word history of tea.")
    until(lambda: done(page), 120)
    words = count_words(writer.text)
    assert line_of(page).startswith(f"{words:,} of 9,000 words")
    assert text_of(page) == writer.text
    frames = sorted(page.execute_script("return frames_"))
    print(f"{words} words, {len(frames)} frames, the slowest {frames[-1]:.0f} ms")
    assert frames[len(frames) // 2] < 100  # beside other tests the slowest can be any


def test_text_after_text_takes_no_more_memory(
    page: webdriver.Chrome, writer: Writer, until: Until
) -> None:
    """A text of 10,000 words has 60 kB; all that a second one leaves behind is less than one MB."""
    writer.text = long_text(10_000)
    alone(page)
    used = []
    for number in range(3):
        write(page, f"Write a {9000 + number}-word history of tea.")
        until(lambda: done(page) and f"{9000 + number:,}" in line_of(page), 120)  # noqa: B023
        page.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        used.append(page.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])
    assert used[2] - used[1] < 1_000_000


def test_a_text_shows_as_it_comes_and_stops(
    page: webdriver.Chrome, writer: Writer, until: Until
) -> None:
    writer.text, writer.pause = long_text(3000), 0.02
    alone(page)
    started = time.monotonic()
    write(page, "Write a 2000-word history of tea.")
    until(lambda: len(text_of(page)) > 0, 10)
    assert time.monotonic() - started < 5
    until(lambda: "left" in line_of(page), 20)
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    until(lambda: done(page), 5)
    assert line_of(page).endswith("stopped")
    assert writer.text.startswith(text_of(page).rstrip("\n"))
    assert writer.gone.wait(5)  # the writer has noticed
    shown = count_words(text_of(page))
    assert line_of(page).startswith(f"{shown:,} of 2,000 words")


def test_two_models_side_by_side_with_the_length_that_is_wanted(
    page: webdriver.Chrome, writer: Writer, until: Until
) -> None:
    writer.text = "Tea is hot."
    page.find_element(By.ID, "words").send_keys("1500")
    write(page, "Write about tea.")
    until(lambda: done(page), 10)
    assert [text_of(page, pane) for pane in (0, 1)] == ["Tea is hot."] * 2
    titles = [title.text for title in page.find_elements(By.TAG_NAME, "h2")]
    assert titles == ["base", "sft"]
    assert line_of(page, 1).startswith("3 of 1,500 words")
    sent = {request["messages"][0]["content"] for request in writer.asked}
    assert sent == {"Write about tea.\n\nWrite about 1500 words."}
    page.find_element(By.ID, "words").send_keys(Keys.CONTROL, "a")
    page.find_element(By.ID, "words").send_keys("700")
    write(page, "写一篇关于茶的文章。")
    until(lambda: len(writer.asked) == 4 and done(page), 10)
    assert writer.asked[-1]["messages"][0]["content"] == "写一篇关于茶的文章。\n\n字数约700字。"


@pytest.mark.parametrize(
    "answer",
    [
        "<plan>\n1. Leaves (5 words)\n2. Water (5 words)\n</plan>\n\nTea is hot.",
        "<plan>\n1. Leaves",
        "<pl is no plan.",
        "<think>\nHow long?\n</think>\n\nTea is hot.",
    ],
    ids=["a plan", "half a plan", "no plan", "thinking"],
)
def test_a_plan_is_not_the_text(
    answer: str, page: webdriver.Chrome, writer: Writer, until: Until
) -> None:
    writer.text = answer
    alone(page)
    write(page, "Write 50 words about tea.")
    until(lambda: done(page), 10)
    plan, text = split_plan(answer)
    if answer.startswith("<think>"):
        plan, text = "How long?", "Tea is hot."
    assert text_of(page) == text
    asides = [
        str(aside.get_attribute("textContent"))
        for aside in page.find_elements(By.CSS_SELECTOR, ".pane details:not([hidden])")
    ]
    name = "Thinking" if answer.startswith("<think>") else "Plan"
    assert asides == ([name + plan] if plan else [])
    assert line_of(page).startswith(f"{count_words(text)} of 50 words")


def test_markup_in_a_text_is_text(page: webdriver.Chrome, writer: Writer, until: Until) -> None:
    writer.text = "<img src=x onerror=alert(1)> <script>alert(2)</script> & tea"
    alone(page)
    write(page, "Write 50 words about tea.")
    until(lambda: done(page), 10)
    assert text_of(page) == writer.text
    assert page.find_elements(By.CSS_SELECTOR, ".text img, .text script") == []


def test_copy_and_download(
    page: webdriver.Chrome, writer: Writer, site: tuple[Writer, str], until: Until
) -> None:
    writer.text = "Tea 茶.\n\nMore tea."
    alone(page)
    origin = {"origin": site[1], "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.execute_cdp_cmd("Browser.grantPermissions", origin)
    write(page, "Write 50 words about tea.")
    until(lambda: done(page), 10)
    page.find_element(By.CSS_SELECTOR, ".copy").click()
    until(lambda: page.find_element(By.ID, "said").text == "Copied.", 5)
    assert page.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == (
        writer.text
    )
    page.find_element(By.CSS_SELECTOR, ".save").click()
    file: Path = page.downloads / "base.md"  # type: ignore[attr-defined]
    until(file.exists, 5)
    assert file.read_text(encoding="utf-8") == writer.text + "\n"


def test_a_refusal_and_a_cut_are_said(
    site: tuple[Writer, str], chrome: webdriver.Chrome, writer: Writer, until: Until
) -> None:
    opened(chrome, site[1])
    alone(chrome)
    writer.text, writer.finish = "Tea is", "length"
    write(chrome, "Write 50 words about tea.")
    until(lambda: done(chrome), 10)
    assert line_of(chrome).endswith("cut off: no room left")
    writer.refuses = "the prompt is longer than the context"
    write(chrome, "Write 60 words about tea.")
    until(lambda: done(chrome) and len(writer.asked) == 2, 10)
    assert line_of(chrome).endswith("the prompt is longer than the context")
    [refused] = chrome.get_log("browser")
    assert "400 (Bad Request)" in refused["message"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_fits_the_screen(
    screen: str, scheme: str, page: webdriver.Chrome, writer: Writer, until: Until, tmp_path: Path
) -> None:
    show(page, screen)
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    writer.text = long_text(400) + "a" * 300
    write(page, "Write a 300-word history of tea.")
    until(lambda: done(page), 10)
    wide = page.execute_script(
        "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not wide
    page.save_screenshot(str(tmp_path / f"{screen}-{scheme}.png"))
