"""The notebooks in JupyterLab, in headless Chromium."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlparse

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from lib.config.paths import LIB, NOTEBOOKS, PARAMS
from lib.data.predictions import read_predictions
from tests.report.test_browser import addresses, chromium, visit

LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
OWN = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(study, tmp_path_factory):
    """The address of a JupyterLab on a copy of the notebooks, with the small study as its demo."""
    folder = tmp_path_factory.mktemp("lab")
    repository, log = folder / "repository", folder / "log"
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
    environment = os.environ | {name: str(folder / value) for name, value in OWN.items()}
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    environment.pop("SKINCAS_WEIGHTS", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.root_dir={repository}"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=secret", "--LabApp.extension_manager=readonly"]
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=repository, env=environment, stdout=output, stderr=output)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 300
        while not _answers(f"{address}/api?token=secret"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="module")
def window(lab, tmp_path_factory):
    """A browser that keeps what it has opened."""
    with chromium(tmp_path_factory.mktemp("window")) as driver:
        yield driver


def test_every_notebook_opens_in_jupyterlab_without_a_complaint(lab, window):
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        open_notebook(window, lab, path.name)
        until(window, lambda: [s["kernel"]["execution_state"] for s in sessions(lab)] == ["idle"])
        assert window.find_elements(By.CSS_SELECTOR, ".jp-Dialog") == [], path.name
        assert {urlparse(url).netloc for url in addresses(window)} <= {urlparse(lab).netloc, ""}, path.name
        for session in sessions(lab):
            ask(lab, f"sessions/{session['id']}", "DELETE")


def test_explore_shows_what_its_widgets_choose(lab, window, study):
    def choose(label: str) -> Select:
        found = window.find_element(By.XPATH, f"//*[contains(@class, 'explore')]//label[.='{label}']")
        return Select(window.find_element(By.ID, found.get_attribute("for")))

    def pictures() -> list[str]:
        return window.execute_script("return [...document.querySelectorAll('.explore img')].map(image => image.src)")

    def act_and_see_other_pictures(act) -> None:
        """An element may be drawn anew between being found and being used: it is found again then."""
        before = pictures()
        until(window, lambda: act() or True)
        until(window, lambda: pictures() != before)

    open_notebook(window, lab, "explore.ipynb")
    for place, name in enumerate(("Run", "Run All Cells")):
        label = f"//*[contains(@class, '{'lm-Menu-itemLabel' if place else 'lm-MenuBar-itemLabel'}') and .='{name}']"
        until(window, lambda label=label: window.find_element(By.XPATH, label).click() or True)
    until(window, lambda: window.find_elements(By.CSS_SELECTOR, ".explore .small img"))
    of_fold = read_predictions(study.run("by_view", "native", "nine_classes", "MobileNet", 0), "transfer")
    of_fold = of_fold[(of_fold["part"] == "test") & (of_fold["true_class"] == "nevus") & (of_fold["fold"] == 0)]
    everything = "//*[contains(@class, 'explore')]//button[contains(., 'All images')]"
    until(window, lambda: window.find_element(By.XPATH, everything).click() or True)
    until(window, lambda: choose("Class").select_by_value("nevus") or True)
    until(window, lambda: len(choose("Image").options) == len(of_fold))
    image = ".explore .widget-select select"
    act_and_see_other_pictures(lambda: window.find_element(By.CSS_SELECTOR, image).send_keys(Keys.ARROW_DOWN))
    slider = "//label[.='k']/following-sibling::*//*[@role='slider']"
    act_and_see_other_pictures(lambda: window.find_element(By.XPATH, slider).send_keys(Keys.ARROW_RIGHT))
    assert window.find_elements(By.CSS_SELECTOR, ".jp-OutputArea [data-mime-type*='stderr']") == []


def open_notebook(driver, address: str, name: str) -> None:
    """A notebook alone in JupyterLab, once its first heading is drawn."""
    visit(driver, f"{address}/lab/tree/notebooks/{name}?reset&token=secret")
    until(driver, lambda: driver.find_element(By.CSS_SELECTOR, ".jp-NotebookPanel h1").text)


def until(driver, condition):
    """The first true answer; an element that is not there, or no longer, is no answer yet."""
    waiting = WebDriverWait(driver, 300, 0.1, [NoSuchElementException, StaleElementReferenceException])
    return waiting.until(lambda _: condition())


def sessions(address: str) -> list[dict]:
    """The kernels that run, as the server says."""
    return ask(address, "sessions")


def ask(address: str, what: str, method: str = "GET"):
    request = urllib.request.Request(f"{address}/api/{what}", headers={"Authorization": "token secret"}, method=method)
    with LOOPBACK.open(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


def _answers(address: str) -> bool:
    try:
        return bool(LOOPBACK.open(address, timeout=10))
    except OSError:
        return False
