"""The page in a real browser: no console error, no request, nothing wider than the screen."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.finished_pipeline import write_finished
from omegaconf import DictConfig, OmegaConf
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from longwriter.config.load import compose_params, validate
from longwriter.report.figures import draw
from longwriter.report.intervals import with_intervals
from longwriter.report.load import compare_models, read_results
from longwriter.report.render import ReportProvenance, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
SCREENS = {"laptop": (1366, 768), "phone": (390, 844)}
"""CSS pixels."""

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="chromium and chromedriver are not on the PATH (Debian: apt install chromium-driver)",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_finished(tmp_path_factory.mktemp("finished"))
    config = OmegaConf.create(compose_params(Path(__file__).parents[2]))
    assert isinstance(config, DictConfig)
    settings = validate(config)
    results = with_intervals(read_results(root), root, settings.statistics)
    figures = draw(root / "reports/figures", results.evals, results.judgements, results.metrics)
    comparisons = compare_models(results, settings.bench, settings.statistics)
    path = root / "reports/index.html"
    origin = ReportProvenance("abc", "http://x", [], "params: {}\n")
    path.write_text(render(results, comparisons, figures, {}, origin), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def shown(browser: webdriver.Chrome, page: Path, screen: str) -> None:
    """Opens `page` on a screen of exactly that width, every fold open."""
    width, height = SCREENS[screen]
    phone = screen == "phone"
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_wider_than_the_screen(
    browser: webdriver.Chrome, page: Path, screen: str
) -> None:
    shown(browser, page, screen)
    width = SCREENS[screen][0]
    assert browser.execute_script("return window.innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    # What scrolls sideways lies in a box that does not stick out itself.
    wide = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => "
        "e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest('.wide, pre'))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


@pytest.mark.parametrize("screen", SCREENS)
def test_every_figure_is_drawn_and_readable(
    browser: webdriver.Chrome, page: Path, screen: str
) -> None:
    shown(browser, page, screen)
    images = browser.find_elements(By.TAG_NAME, "img")
    sizes = browser.execute_script(
        "return [...document.images].map(i => [i.naturalWidth, i.width])"
    )
    assert len(images) == len(sizes) == 12
    # 9 pt at 6.4 inches: 12 px at 614 px, and from 8 px on at 410 px.
    assert all(natural > 0 and width >= 410 for natural, width in sizes)
    assert all(image.get_attribute("alt") for image in images)


def test_no_console_error_and_no_request(browser: webdriver.Chrome, page: Path) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    shown(browser, page, "laptop")
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    sent = [
        entry["message"]
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert len(sent) >= 1  # the page itself, and the figures inside it
    assert not [message for message in sent if '"url":"http' in message]


def test_an_error_on_the_page_would_be_seen(
    browser: webdriver.Chrome, page: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.html"
    text = page.read_text(encoding="utf-8")
    broken.write_text(text.replace("</body>", "<script>missing()</script></body>"))
    browser.get_log("browser")
    browser.get(broken.as_uri())
    [entry] = WebDriverWait(browser, 10).until(lambda it: it.get_log("browser"))
    assert entry["level"] == "SEVERE"
    assert "missing is not defined" in entry["message"]


def test_a_fold_opens_by_keyboard(browser: webdriver.Chrome, page: Path) -> None:
    browser.get(page.as_uri())
    fold = WebDriverWait(browser, 10).until(lambda it: it.find_elements(By.TAG_NAME, "details"))[-1]
    assert not fold.get_attribute("open")
    fold.find_element(By.TAG_NAME, "summary").send_keys("\n")
    assert fold.get_attribute("open")


def test_answers_are_filtered_by_model_and_mark(browser: webdriver.Chrome, page: Path) -> None:
    shown(browser, page, "laptop")
    visible = "return [...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"
    assert browser.execute_script(visible.format(".of-base")) == 6
    browser.find_element(By.ID, "model-base").click()
    assert browser.execute_script(visible.format(".of-base")) == 0
    assert browser.execute_script(visible.format(".of-dpo")) == 6
    browser.find_element(By.ID, "mark-cut-off").click()
    assert (
        browser.execute_script(visible.format(".request")) == 5
    )  # base finished the shortest only
