"""What a reader meets: the report and JupyterLab, opened in headless Chromium."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from lib.config.paths import LIB, NOTEBOOKS, PARAMS, StudyPaths
from lib.report import compare
from tests.explore import conftest as small
from tests.report.made_study import FAILED, PAPER, make_report, write_study

drawn, study = small.drawn, small.study  # a small study with trained models, and its images

CHROMIUM, CHROMEDRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
if CHROMIUM is None or CHROMEDRIVER is None:
    pytest.skip("needs a browser: apt-get install chromium chromium-driver", allow_module_level=True)

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
VIEWS = {"desk": (1440, "light"), "telephone": (390, "light"), "dark": (1440, "dark")}
PREDICTIONS = "predictions_transfer.parquet"
LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def chromium(profile: Path):
    """A browser that has never been used; its profile goes to an empty folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
    try:
        driver.set_script_timeout(300)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def opened(browser, page):
    """The report as it is on a desk, just loaded."""
    return visit(browser, page.as_uri())


def visit(driver, address: str, view: str = "desk"):
    """The driver, with a page just loaded and nothing of pages before in its logs."""
    look(driver, view)
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get("about:blank")  # a second visit of the same page with another fragment would not load it
    driver.get(address)
    return driver


def look(driver, view: str) -> None:
    width, scheme = VIEWS[view]
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}  # no click while a page still glides
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def addresses(driver) -> list[str]:
    """Of everything that was requested since the last visit."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def violations(driver, within: dict | None = None) -> list[str]:
    """What axe-core finds to be serious or critical, a line a rule; contrast must have been measured."""
    driver.execute_script(AXE)
    run = "axe.run(arguments[0], {resultTypes: ['violations']}).then(arguments[1])"
    found = driver.execute_async_script(run, within or {"include": [["html"]]})
    crashed = [rule["id"] for rule in found["incomplete"] if rule.get("error")]
    measured = [rule for rule in found["passes"] if rule["id"] == "color-contrast"]
    assert not crashed and measured, f"axe could not apply {crashed or 'color-contrast'}"
    return [
        f"{rule['id']}: {[node['html'][:200] for node in rule['nodes'][:5]]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


def cells(driver, table: str, hidden: bool = False) -> list[list[str]]:
    """The text of a table's body as it is shown, row by row."""
    rows = f"document.querySelectorAll('#{table} tbody tr{'' if hidden else ':not([hidden])'}')"
    return driver.execute_script(f"return [...{rows}].map(r => [...r.cells].map(c => c.innerText.trim()))")


def number(text: str) -> float | None:
    """What a cell says first: 36.11 [22.5, 52.4] is 36.11; None where it holds no number."""
    found = re.match(r"[-+−]?[\d,]*\.?\d+", text)
    return float(found[0].replace("−", "-").replace(",", "")) if found else None


def sound(driver) -> None:
    """The page is whole: no error, nothing asked of any host, no picture missing or unnamed, no link to nowhere."""
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors
    asked = addresses(driver)
    assert asked and {urlparse(address).scheme for address in asked} <= {"file", "data", "blob"}, asked
    images = driver.execute_script(
        "return [...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt, i.currentSrc.slice(0, 80)])"
    )
    assert not [image for image in images if not image[0] or not image[1].strip()]
    nowhere = driver.execute_script(
        "return [...document.links].map(a => a.getAttribute('href')).filter(h => h.startsWith('#') && h.length > 1"
        " && !document.getElementById(decodeURIComponent(h.slice(1))))"
    )
    assert not nowhere
    here = Path(unquote(urlparse(driver.current_url).path))
    for link in driver.execute_script("return [...document.links].map(a => a.getAttribute('href'))"):
        parts = urlparse(link)
        if not parts.scheme and parts.path:
            assert (here.parent / unquote(parts.path)).is_file(), link


def readable(driver, address: str, view: str) -> None:
    """At this width and in these colours: nothing to scroll sideways, nothing that axe calls serious."""
    visit(driver, address, view)
    wide, shown = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert shown == VIEWS[view][0] and wide <= shown
    colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", colour)[:3])) > 3 * 128
    assert light == (VIEWS[view][1] == "light")
    assert violations(driver) == []


# the report


def test_the_report_is_whole_and_asks_nothing_of_any_host(opened):
    sound(opened)


@pytest.mark.parametrize("view", ["desk", "telephone", pytest.param("dark", marks=pytest.mark.slow)])
def test_the_report_can_be_read_at_this_width_and_in_these_colours(browser, page, view):
    readable(browser, page.as_uri(), view)


def test_a_click_on_a_heading_sorts_its_column_and_another_reverses_it(opened):
    given = cells(opened, "table-1")
    buttons = opened.find_elements(By.CSS_SELECTOR, "#table-1 thead tr:last-child button")
    assert len(buttons) == len(given[0])
    for column in (0, 3, 8, 9):  # names, counts, accuracies with intervals, signed differences
        for descending in (False, True):
            buttons[column].click()
            rows = cells(opened, "table-1")
            assert Counter(map(tuple, rows)) == Counter(map(tuple, given))
            shown = [row[column] for row in rows]
            values = shown if column == 0 else [number(text) for text in shown]
            filled = [value for value in values if value is not None]
            assert filled == sorted(filled, reverse=descending)
            assert values == filled + [None] * (len(values) - len(filled)), "what has no number is last"
            order = opened.execute_script(
                "return arguments[0].closest('th').getAttribute('aria-sort')", buttons[column]
            )
            assert order == ("descending" if descending else "ascending")
    buttons[0].send_keys(Keys.ENTER)  # by keyboard as well
    assert [row[0] for row in cells(opened, "table-1")] == sorted(row[0] for row in given)


def test_filters_keep_the_matching_rows_and_no_others(opened):
    rows = every = cells(opened, "table-1")
    boxes = [Select(box) for box in opened.find_elements(By.CSS_SELECTOR, "#table-1 .tools select")]
    columns = [int(box._el.get_attribute("data-column")) for box in boxes]
    assert sorted(columns) == [0, 1, 2]  # backbone, phase, protocol
    for box, column in zip(boxes, columns):  # one after the other, then all three together
        values = [option.get_attribute("value") for option in box.options]
        assert set(values) == {"", *(row[column] for row in every)}
        box.select_by_visible_text(values[2])
        rows = [row for row in rows if row[column] == values[2]]
        assert cells(opened, "table-1") == rows
    boxes[0].select_by_visible_text("all")
    assert len(cells(opened, "table-1")) > len(rows)
    assert len(cells(opened, "table-1", hidden=True)) == len(every)


def test_the_csv_button_saves_the_file_of_the_study(opened, results, tmp_path):
    opened.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    opened.find_element(By.CSS_SELECTOR, "#table-5 a.download").click()
    saved = tmp_path / "table-5.csv"
    WebDriverWait(opened, 60).until(lambda _: saved.is_file())
    assert saved.read_bytes() == StudyPaths(results).table(5).read_bytes()


def test_the_report_prints_with_heads_that_repeat(opened):
    printed = base64.b64decode(opened.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", printed)) > 3
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        style = "return [...document.querySelectorAll(arguments[0])].map(e => getComputedStyle(e)[arguments[1]])"
        rules = {
            ("main details:not([open])", "display"): "none", ("thead", "display"): "table-header-group",
            ("thead button", "display"): "contents",  # Chromium repeats no button
            ("figure", "breakInside"): "avoid", ("main h2, main h3", "breakAfter"): "avoid",
        }  # fmt: skip
        assert {rule: set(opened.execute_script(style, *rule)) for rule in rules} == {r: {v} for r, v in rules.items()}
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_on_a_telephone_verdicts_and_our_numbers_are_in_view(browser, page):
    visit(browser, page.as_uri(), "telephone")
    right = """return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect())
    .filter(b => b.width).map(b => Math.ceil(b.right))"""
    for shown in ("#claims .chip", *(f"#table-{n} td:not(.extra)" for n in (1, 2, 3, 4))):
        ends = browser.execute_script(right, shown)
        assert len(ends) > 10 and max(ends) <= 390, shown
    assert browser.execute_script(right, "#table-1 td.extra") == []
    browser.find_element(By.CSS_SELECTOR, "#table-1 .every input").click()
    assert browser.execute_script(right, "#table-1 td.extra")


def test_links_look_like_links(opened):
    style = "return [...document.querySelectorAll('main :is(td, figcaption, p, caption) a[href]')].map(a => "
    style += "[getComputedStyle(a).textDecorationLine, getComputedStyle(a).color])"
    looks = {tuple(look) for look in opened.execute_script(style)}
    text = opened.execute_script("return getComputedStyle(document.body).color")
    assert {line for line, _ in looks} == {"underline"} and text not in {colour for _, colour in looks}


def test_a_keyboard_passes_every_table_in_a_few_stops(opened):
    stops = """const at = 'a[href], button, select, input, summary, [tabindex="0"]';
    const seen = (box) => [...box.querySelectorAll(at)].filter(e => e.checkVisibility() && e.tabIndex >= 0);
    return [...document.querySelectorAll('.table')].filter(t => t.checkVisibility())
        .map(t => [t.id, seen(t).length, seen(t)[0].hash ?? ''])"""
    tables = opened.execute_script(stops)
    assert len(tables) > 20
    for name, count, first in tables:
        assert count <= 20 or first == f"#after-{name}", name
    assert sum(1 if first.startswith("#after-") else count for _, count, first in tables) < 200
    assert sum(count for _, count, _ in tables) < 500
    skip = opened.find_element(By.CSS_SELECTOR, "#table-1 .skip")
    skip.send_keys(Keys.ENTER)
    opened.switch_to.active_element.send_keys(Keys.TAB)
    box = opened.execute_script("return document.activeElement.closest('.table')?.id ?? ''")
    assert box != "table-1"


@pytest.mark.slow
def test_the_report_of_the_papers_whole_matrix_is_whole_and_light(browser, tmp_path):
    write_study(tmp_path, PAPER)
    report = make_report(tmp_path, PAPER)
    visit(browser, report.as_uri())
    sound(browser)
    drawn = browser.execute_script("return document.querySelectorAll('figure').length")
    assert drawn >= 28 and report.stat().st_size <= 8e6
    rows = len(cells(browser, "table-1"))
    assert rows == 6 * 2 * 3


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_of_a_failed_notebook_is_whole_and_can_be_read(browser, page, results, view):
    failed = StudyPaths(results).notebook_page(FAILED)  # it has code, tables and a traceback
    sound(visit(browser, failed.as_uri(), view))
    readable(browser, failed.as_uri(), view)
    browser.find_element(By.LINK_TEXT, "To the traceback").click()
    assert browser.execute_script("return document.querySelector(':target')").text.startswith("Traceback")


@pytest.mark.parametrize("view", VIEWS)
def test_the_comparison_of_two_results_is_whole_and_can_be_read(browser, results, page, tmp_path, view, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(StudyPaths(results).tables, other / "tables")
    shutil.copy(StudyPaths(results).claims, other)
    table = pd.read_csv(other / "tables" / "table_1.csv")
    table["test_accuracy"] += 0.2
    table.iloc[1:].to_csv(other / "tables" / "table_1.csv", index=False)
    verdicts = json.loads((other / "claims.json").read_text())
    for claim in verdicts[::9]:
        claim["verdict"] = "contradicted by the paper itself"
    (other / "claims.json").write_text(json.dumps(verdicts))
    monkeypatch.setattr("lib.config.paths.RESULTS", tmp_path)
    compared, _ = compare.write_page(compare.load_results(str(results)), compare.load_results(str(other)))
    sound(visit(browser, compared.as_uri(), view))
    readable(browser, compared.as_uri(), view)
    assert {row[5] for row in cells(browser, "numbers")} <= {"yes", "no", ""} and len(cells(browser, "verdicts")) > 9


# JupyterLab


@pytest.fixture(scope="module")
def lab(study, tmp_path_factory):
    """The address of a JupyterLab on a copy of the notebooks, with the small study as its demo; and the copy."""
    folder = tmp_path_factory.mktemp("lab")
    repository = folder / "repository"
    for part in (LIB, PARAMS, NOTEBOOKS):
        shutil.copytree(part, repository / part.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(study.root, repository / "results" / "demo")
    # no question about news, which would be asked of a host
    (folder / "config" / "labconfig").mkdir(parents=True)
    disabled = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (folder / "config" / "labconfig" / "page_config.json").write_text(json.dumps(disabled))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = os.environ | {name: str(folder / value) for name, value in own.items()}
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    environment.pop("SKINCAS_WEIGHTS", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.root_dir={repository}"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=secret", "--LabApp.extension_manager=readonly"]
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=repository, env=environment, stdout=output, stderr=output)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 300
        while True:
            try:
                LOOPBACK.open(f"{address}/api?token=secret", timeout=10)
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        yield address, repository
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="module")
def window(lab, tmp_path_factory):
    """A browser for JupyterLab, which keeps what it has opened."""
    with chromium(tmp_path_factory.mktemp("window")) as driver:
        yield driver


@pytest.fixture(scope="module")
def explored(lab, window):
    """explore.ipynb in JupyterLab, run to its end."""
    open_notebook(window, lab[0], "explore.ipynb")
    choose_in_menu(window, "Run", "Run All Cells")
    until(window, lambda: window.find_elements(By.CSS_SELECTOR, ".explore .small img"))
    return window


def open_notebook(driver, address: str, name: str) -> None:
    """A notebook alone in JupyterLab, once its first heading is drawn."""
    visit(driver, f"{address}/lab/tree/notebooks/{name}?reset&token=secret")
    until(driver, lambda: driver.find_element(By.CSS_SELECTOR, ".jp-NotebookPanel h1").text)


def choose_in_menu(driver, *path: str) -> None:
    for place, name in enumerate(path):
        label = f"//*[contains(@class, '{'lm-Menu-itemLabel' if place else 'lm-MenuBar-itemLabel'}') and .='{name}']"
        until(driver, lambda label=label: driver.find_element(By.XPATH, label).is_displayed())
        driver.find_element(By.XPATH, label).click()


def until(driver, condition, seconds: int = 300):
    """The first true answer; an element that is not there, or no longer, is no answer yet."""
    waiting = WebDriverWait(driver, seconds, 0.1, [NoSuchElementException, StaleElementReferenceException])
    return waiting.until(lambda _: condition())


def sessions(address: str, name: str) -> list[dict]:
    """The kernels that run for a notebook, as the server says."""
    return [session for session in ask(address, "sessions") if session["path"] == f"notebooks/{name}"]


def ask(address: str, what: str, method: str = "GET"):
    request = urllib.request.Request(f"{address}/api/{what}", headers={"Authorization": "token secret"}, method=method)
    with LOOPBACK.open(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_a_notebook_opens_in_jupyterlab_without_a_complaint(lab, window, name):
    address, _ = lab
    open_notebook(window, address, name)
    until(window, lambda: [s["kernel"]["execution_state"] for s in sessions(address, name)] == ["idle"])
    assert window.find_elements(By.CSS_SELECTOR, ".jp-Dialog") == []
    assert {urlparse(url).netloc for url in addresses(window)} <= {urlparse(address).netloc, ""}
    for session in sessions(address, name):
        ask(address, f"sessions/{session['id']}", "DELETE")


@pytest.mark.slow
def test_explore_shows_what_its_widgets_choose(explored, study):
    """In JupyterLab, whose keys and themes are not those of the page."""

    def choose(label: str) -> Select:
        found = explored.find_element(By.XPATH, f"//*[contains(@class, 'explore')]//label[.='{label}']")
        return Select(explored.find_element(By.ID, found.get_attribute("for")))

    def pictures() -> list[str]:
        return [image.get_attribute("src") for image in explored.find_elements(By.CSS_SELECTOR, ".explore img")]

    predictions = pd.read_parquet(study.run("by_view", "native", "nine_classes", "MobileNet", 0) / PREDICTIONS)
    nevi = predictions[(predictions["part"] == "test") & (predictions["true_class"] == "nevus")]
    explored.find_element(By.XPATH, "//*[contains(@class, 'explore')]//button[contains(., 'All images')]").click()
    choose("Class").select_by_value("nevus")
    of_fold = nevi[nevi["fold"] == nevi["fold"].min()]  # the one whose weights are saved comes first
    until(explored, lambda: len(choose("Image").options) == len(of_fold))
    before = pictures()
    explored.find_element(By.CSS_SELECTOR, ".explore .widget-select select").send_keys(Keys.ARROW_DOWN)
    until(explored, lambda: pictures() != before)  # JupyterLab would take the key for its cells
    before = pictures()
    slider = "//label[.='k']/following-sibling::*//*[@role='slider']"
    explored.find_element(By.XPATH, slider).send_keys(Keys.ARROW_RIGHT)
    until(explored, lambda: pictures() != before)
    assert explored.find_elements(By.CSS_SELECTOR, ".jp-OutputArea [data-mime-type*='stderr']") == []
    # ipywidgets gives the handle of a slider no name, and leaves no way to give it one
    assert violations(explored, {"include": [[".explore"]], "exclude": [[".explore .noUi-handle"]]}) == []
