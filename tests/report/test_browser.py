"""What a reader meets: the pages, opened in headless Chromium."""

import json
import re
import shutil
from collections import Counter
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from lib.config.paths import StudyPaths
from lib.report import compare
from tests.report.made_study import FAILED

CHROMIUM, CHROMEDRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
if CHROMIUM is None or CHROMEDRIVER is None:
    pytest.skip("needs a browser: apt-get install chromium chromium-driver", allow_module_level=True)

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
VIEWS = {"desk": (1440, "light"), "telephone": (390, "light"), "dark": (1440, "dark")}
TABLES, FIGURES = "Tables-I-to-IV-in-full", "The-paper's-figures-beside-ours"  # chapters
SEEN = "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).length"
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
    """The report as it is on a desk, just loaded, with all chapters open."""
    return unfold(visit(browser, page.as_uri()))


def unfold(driver):
    driver.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    return driver


def visit(driver, address: str, view: str = "desk"):
    """The driver, with a page just loaded and nothing of pages before in its logs."""
    width, scheme = VIEWS[view]
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}  # no click while a page still glides
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get("about:blank")  # a second visit of the same page with another fragment would not load it
    driver.get(address)
    return driver


def addresses(driver) -> list[str]:
    """Of everything that was requested since the last visit."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def violations(driver) -> list[str]:
    """What axe-core finds to be serious or critical, a line a rule; contrast must have been measured."""
    driver.execute_script(AXE)
    run = "axe.run(arguments[0], {resultTypes: ['violations']}).then(arguments[1])"
    found = driver.execute_async_script(run, {"include": [["html"]]})
    crashed = [rule["id"] for rule in found["incomplete"] if rule.get("error")]
    measured = [rule for rule in found["passes"] if rule["id"] == "color-contrast"]
    assert not crashed and measured, f"axe could not apply {crashed or 'color-contrast'}"
    return [
        f"{rule['id']}: {[node['html'][:200] for node in rule['nodes'][:5]]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


def cells(driver, table: str) -> list[list[str]]:
    """The text of a table's body as it is shown, row by row."""
    rows = f"document.querySelectorAll('#{table} tbody tr:not([hidden])')"
    return driver.execute_script(f"return [...{rows}].map(r => [...r.cells].map(c => c.innerText.trim()))")


def number(text: str) -> float | None:
    """What a cell says first: 36.11 [22.5, 52.4] is 36.11; None where it holds no number."""
    found = re.match(r"[-+−]?[\d,]*\.?\d+", text)
    return float(found[0].replace("−", "-").replace(",", "")) if found else None


def check(driver, address: str, view: str) -> None:
    """The page is whole: no error, nothing asked of any host, no picture missing or unnamed, no link to nowhere. At
    this width and in these colours: nothing to scroll sideways, nothing that axe calls serious."""
    unfold(visit(driver, address, view))
    assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    asked = addresses(driver)
    assert asked and {urlparse(address).scheme for address in asked} <= {"file", "data", "blob"}, asked
    assert all(driver.execute_script("return [...document.images].map(i => i.complete && i.naturalWidth > 0 && i.alt)"))
    here = Path(unquote(urlparse(driver.current_url).path))
    ids = set(driver.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)"))
    for link in driver.execute_script("return [...document.links].map(a => a.getAttribute('href'))"):
        parts = urlparse(link)
        if link.startswith("#"):
            assert unquote(link[1:]) in ids, link
        elif not parts.scheme:
            assert (here.parent / unquote(parts.path)).is_file(), link
    wide, shown = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert shown == VIEWS[view][0] and wide <= shown
    colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", colour)[:3])) > 3 * 128
    assert light == (VIEWS[view][1] == "light")
    assert violations(driver) == []


@pytest.mark.parametrize("view", ["desk", "telephone", pytest.param("dark", marks=pytest.mark.slow)])
def test_the_report_is_whole_and_can_be_read(browser, page, view):
    check(browser, page.as_uri(), view)


def test_a_click_on_a_heading_sorts_its_column_another_reverses_it_and_a_keyboard_can_too_or_skip_all(opened):
    given = cells(opened, "table-1")
    buttons = opened.find_elements(By.CSS_SELECTOR, "#table-1 thead tr:last-child button")
    assert len(buttons) == len(given[0])
    for column in (3, 8, 9):  # counts, accuracies with intervals, signed differences
        for descending in (False, True):
            buttons[column].click()
            rows = cells(opened, "table-1")
            assert Counter(map(tuple, rows)) == Counter(map(tuple, given))
            values = [number(row[column]) for row in rows]
            filled = [value for value in values if value is not None]
            assert values == sorted(filled, reverse=descending) + [None] * (len(values) - len(filled))
            order = buttons[column].find_element(By.XPATH, "ancestor::th").get_attribute("aria-sort")
            assert order == ("descending" if descending else "ascending")
    buttons[0].send_keys(Keys.ENTER)  # by keyboard as well
    assert [row[0] for row in cells(opened, "table-1")] == sorted(row[0] for row in given)
    opened.find_element(By.CSS_SELECTOR, "#table-1 .skip").send_keys(Keys.ENTER)
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert opened.execute_script("return document.activeElement.closest('.table')?.id ?? ''") != "table-1"


def test_filters_keep_the_matching_rows_and_no_others(opened):
    verdict = Select(opened.find_element(By.CSS_SELECTOR, '#claims .tools select[data-column="3"]'))
    verdict.select_by_index(1)
    shown, of_all = cells(opened, "claims"), len(opened.find_elements(By.CSS_SELECTOR, "#claims tbody tr"))
    assert 0 < len(shown) < of_all and all(row[3].startswith(verdict.first_selected_option.text) for row in shown)
    rows = every = cells(opened, "table-1")
    boxes = [Select(box) for box in opened.find_elements(By.CSS_SELECTOR, "#table-1 .tools select")]
    assert len(boxes) == 3  # backbone, phase, protocol
    for box in boxes:  # one after the other, then all three together
        column = int(box._el.get_attribute("data-column"))
        value = box.options[2].get_attribute("value")
        box.select_by_visible_text(value)
        rows = [row for row in rows if row[column] == value]
        assert cells(opened, "table-1") == rows and len(rows) < len(every)


def test_without_scripts_every_table_number_and_picture_is_there(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visit(browser, page.as_uri())
        assert len(browser.find_elements(By.CSS_SELECTOR, ".table table")) > 20
        for chapter, inside in {TABLES: "#table-1 tbody td", FIGURES: "#fig-20 img"}.items():
            browser.find_element(By.CSS_SELECTOR, f'[id="{chapter}"] > summary').click()
            assert browser.find_element(By.CSS_SELECTOR, inside).is_displayed()
        assert not browser.find_elements(By.CSS_SELECTOR, "#table-1 thead button")  # a button would do nothing
        assert browser.find_element(By.CSS_SELECTOR, "#ladder .panel svg").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_on_a_telephone_verdicts_and_our_numbers_are_in_view(browser, page):
    unfold(visit(browser, page.as_uri(), "telephone"))
    boxes = "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect().right)"
    for shown in ("#claims .chip", *(f"#table-{n} td:not(.extra)" for n in (1, 2, 3, 4))):
        ends = [end for end in browser.execute_script(boxes, shown) if end]  # 0: not shown
        assert len(ends) > 10 and max(ends) <= 390, shown


def test_chapters_are_folded_a_link_opens_its_own_and_picks_its_figure_and_print_shows_all(browser, page):
    visit(browser, page.as_uri())
    assert browser.execute_script(SEEN, ".chapter[open]") == browser.execute_script(SEEN, "#table-1 td") == 0
    assert browser.execute_script(SEEN, ".chapter > summary") > 12
    visit(browser, page.as_uri() + "#fig-13")
    assert browser.execute_script(SEEN, ".chapter[open]") == browser.execute_script(SEEN, ".chapter figure") == 1
    assert browser.find_element(By.ID, "fig-13").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    for each in ("#table-1 td", "#fig-8", "#reforms td"):
        assert browser.execute_script(SEEN, each) > 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_lists_redraw_the_ladder_and_a_number_says_by_mouse_tap_or_key_what_it_rests_on(browser, page, results):
    visit(browser, page.as_uri())
    table = pd.read_csv(StudyPaths(results).ladder).query("backbone == 'MobileNet' and phase == 'finetune'")
    for axis, value in (("0", "MobileNet"), ("1", "fine-tuning")):
        Select(browser.find_element(By.CSS_SELECTOR, f"#ladder [data-axis='{axis}']")).select_by_visible_text(value)
    assert browser.execute_script(SEEN, "#ladder .panel") == table["scenario"].nunique()
    panels = browser.find_elements(By.CSS_SELECTOR, "#ladder .item:not([hidden]) svg")
    for panel, (_, rungs) in zip(panels, table.groupby("scenario", sort=False)):
        assert {f"{100 * value:.1f}" for value in rungs["accuracy"]} <= {*panel.text.split()}
    box, (first, second) = browser.find_element(By.CLASS_NAME, "tip-box"), panels[0].find_elements(By.TAG_NAME, "g")[:2]
    assert not box.is_displayed()
    browser.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_DOWN)
    assert second == browser.switch_to.active_element and f"{table['images'].iloc[1]:,.0f} images" in box.text
    number = browser.find_element(By.CSS_SELECTOR, "#beside td .tip")
    ActionChains(browser).move_to_element(number).perform()
    assert "95 % interval" in box.text and number.get_attribute("aria-label").endswith(box.text)


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_of_a_failed_notebook_is_whole_and_can_be_read(browser, page, results, view):
    check(browser, StudyPaths(results).notebook_page(FAILED).as_uri(), view)  # code, tables and a traceback
    browser.find_element(By.LINK_TEXT, "To the traceback").click()
    assert browser.execute_script("return document.querySelector(':target')").text.startswith("Traceback")


@pytest.mark.parametrize("view", VIEWS)
def test_the_comparison_of_two_results_is_whole_and_can_be_read(browser, results, page, tmp_path, view, monkeypatch):
    shutil.copytree(StudyPaths(results).tables, tmp_path / "tables")
    verdicts = json.loads(StudyPaths(results).claims.read_text())
    (tmp_path / "claims.json").write_text(json.dumps([claim | {"verdict": "undecided"} for claim in verdicts]))
    table = pd.read_csv(tmp_path / "tables" / "table_1.csv")
    table.assign(test_accuracy=table["test_accuracy"] + 0.2).to_csv(tmp_path / "tables" / "table_1.csv", index=False)
    monkeypatch.setattr("lib.config.paths.RESULTS", tmp_path)
    check(browser, compare.write_page(results, tmp_path)[0].as_uri(), view)
    assert {row[5] for row in cells(browser, "numbers")} <= {"yes", "no", ""} and len(cells(browser, "verdicts")) > 9
