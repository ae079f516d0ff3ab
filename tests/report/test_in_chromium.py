"""A report in a real Chromium, opened from disk: it runs, asks nobody for anything, fits its window, and prints."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import time

import pytest

from neurofit.report.gathering import gather
from neurofit.report.writing import write

pytestmark = pytest.mark.process
PROGRAMS = {name: os.environ.get(name.upper(), name) for name in ("chromium", "chromedriver")}
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # needed by root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
)


def without_browser(reason: str) -> None:
    """Leave the test out, or fail it in continuous integration, which must have a browser."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; scripts/chromium installs it")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser(processes, tmp_path_factory):
    missing = [program for program in PROGRAMS.values() if shutil.which(program) is None]
    if missing:
        without_browser(f"{' and '.join(missing)} not found")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service
    except ModuleNotFoundError:
        without_browser("selenium is not installed")
    options = Options()
    options.binary_location = shutil.which(PROGRAMS["chromium"])
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(PROGRAMS["chromedriver"])))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def path(everything, tmp_path_factory):
    found = tmp_path_factory.mktemp("page") / "report.html"
    write(gather(everything.study, ["everything", "plain"]), found)
    return found


@pytest.fixture
def opened(browser, path):
    """The browser with the report, after what earlier pages logged was read."""
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(path.as_uri())
    return browser


TABLE = "experiment-1-runs"


def column(browser, name: str) -> list[str]:
    """The cells of a column of the table by run, of the rows that are shown."""
    return browser.execute_script(
        """const table = document.getElementById(arguments[0]);
        const place = [...table.tHead.rows[0].cells].findIndex(cell => cell.dataset.name === arguments[1]);
        return [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[place].textContent)""",
        TABLE,
        name,
    )


def write_filter(browser, text: str) -> None:
    field = browser.find_element("css selector", "[data-table=experiment-1-runs] input[type=search]")
    field.clear()
    field.send_keys(text)


def test_it_opens_from_disk_without_an_error_or_a_request(opened, path):
    assert opened.title == "everything, plain"
    requests = [
        message["params"]["request"]["url"]
        for entry in opened.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    own = [url for url in requests if not url.startswith("chrome:")]  # icons of the browser's own fields
    assert own == [path.as_uri()]
    assert opened.get_log("browser") == []


def test_the_policy_stops_what_a_page_could_be_made_to_load(opened):
    opened.execute_script(
        """window.stopped = [];
        document.addEventListener("securitypolicyviolation", event => window.stopped.push(event.effectiveDirective));
        document.body.insertAdjacentHTML("beforeend", '<img src="https://example.org/a.png" onerror="window.bad = 1">');
        const script = document.createElement("script"); script.textContent = "window.bad = 2";
        document.body.append(script);"""
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and len(opened.execute_script("return window.stopped")) < 2:
        time.sleep(0.02)
    assert {"img-src", "script-src-elem"} <= set(opened.execute_script("return window.stopped"))
    assert opened.execute_script("return window.bad") is None


def test_a_click_on_a_column_sorts_by_it_and_a_second_in_the_other_order(opened):
    head = opened.find_element("css selector", f"#{TABLE} th[data-name=rate] button")
    head.click()
    assert column(opened, "rate") == ["0.01"] * 4 + ["0.1"] * 4
    head.click()
    assert column(opened, "rate") == ["0.1"] * 4 + ["0.01"] * 4
    score = opened.find_element("css selector", f"#{TABLE} th[data-name='test/correlation'] button")
    score.click()  # metrics: the best first, runs without a number last
    scores = column(opened, "test/correlation")
    numbers = [float(text.partition(" ")[0]) for text in scores[:6]]
    assert numbers == sorted(numbers, reverse=True) and scores[6:] == ["", ""]
    score.click()
    assert column(opened, "test/correlation") == [*scores[5::-1], "", ""]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("script", {1, 3, 5, 7}),
        ("width=8 rate<0.05", {2, 3}),
        ("kind=plain rate>=0.1", {4, 6}),
        ('<script>alert("x")</script> width!=8', {1, 5}),
        ("nothing has this", set()),
    ],
)
def test_the_filter_keeps_rows_with_a_text_or_a_condition(opened, text, runs):
    write_filter(opened, text)
    assert set(map(int, column(opened, "run"))) == runs
    assert opened.find_element("css selector", ".tools output").text == f"{len(runs)} of 8 rows"


def test_columns_can_be_shown_and_hidden(opened):
    def shown(name: str) -> bool:
        head = opened.find_element("css selector", f"#{TABLE} th[data-name='{name}']")
        return head.is_displayed()

    assert shown("rate") and not shown("test/correlation median")
    opened.find_element("css selector", ".tools summary").click()
    for label in opened.find_elements("css selector", ".choice label"):
        if label.text in ("rate", "test/correlation median"):
            label.click()
    assert not shown("rate") and shown("test/correlation median")


def test_the_csv_files_are_saved_as_they_are(opened, everything, tmp_path):
    opened.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    opened.find_element("css selector", "[data-name='everything-tasks.csv']").click()
    target = tmp_path / "everything-tasks.csv"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not target.exists():
        time.sleep(0.02)
    assert target.read_text() == gather(everything.study, ["everything"]).experiments[0].csv
    assert opened.get_log("browser") == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(opened, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert opened.execute_script("return innerWidth") == width
        wide = opened.execute_script(
            """return [...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right >
            innerWidth + 1 && !one.closest(".scroll, details")).map(one => one.outerHTML.slice(0, 80))"""
        )
        assert wide == [] and opened.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_texts_are_readable_in_light_and_dark(opened):
    """The contrast of every text with its background is at least 4.5, as WCAG asks for."""
    for scheme in ("light", "dark"):
        scheme_of = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme_of)
        pairs = opened.execute_script(
            """const found = new Set();
            for (const one of document.querySelectorAll("p, li, td, th, dt, dd, a, summary, strong, code, text")) {
              if (!one.textContent.trim()) continue;
              const style = getComputedStyle(one);
              let under = one, back = "rgba(0, 0, 0, 0)";
              while (under && back === "rgba(0, 0, 0, 0)") {
                back = getComputedStyle(under).backgroundColor; under = under.parentElement;
              }
              found.add(JSON.stringify([one.tagName === "text" ? style.fill : style.color, back]));
            }
            return [...found].map(JSON.parse)"""
        )
        contrasts = {tuple(pair): _contrast(*pair) for pair in pairs}
        assert len(contrasts) > 3 and min(contrasts.values()) >= 4.5, (scheme, contrasts)
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def _contrast(ink: str, paper: str) -> float:
    light, dark = sorted((_luminance(ink), _luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_prints_in_light_colours_with_what_is_folded(opened):
    scheme = {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    paper = {"width": 688, "height": 1000, "deviceScaleFactor": 1, "mobile": False}  # A4 without its margins
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", paper)
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    assert (
        opened.execute_script("return getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    opened.execute_script(
        """window.folded = null; addEventListener("beforeprint", () => {
        window.folded = document.querySelectorAll("main details:not([open]):not(.tools *)").length; })"""
    )
    pdf = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert pdf.startswith(b"%PDF-") and len(pdf) > 20_000
    assert opened.execute_script("return window.folded") == 0
    assert opened.execute_script("return document.querySelectorAll('main details[open]').length") == 0
