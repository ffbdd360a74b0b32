"""A page of results in a real browser: it opens quietly, and what can be moved moves."""

from __future__ import annotations

import shutil

import pytest

from oodbench.report import make_report
from tests.report.made import save_results
from tests.report.test_page import HOSTILE, SCRIPT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser: apt-get install chromium chromium-driver"),
    # Selenium and Chromium leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the address of a page with names that are code."""
    folder = tmp_path_factory.mktemp("results")
    skills = {"odm": 2.0, "msp": 0.2, HOSTILE: 1.0}
    sets = {"near": "novelty", SCRIPT: "anomaly"}
    return make_report(save_results(folder, skills, sets=sets), folder / "page.html", images=False).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install 'oodbench[dev]'")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    yield started
    started.quit()


@pytest.fixture(params=[390, 1400], ids=["phone", "desk"])
def opened(browser, page, request):
    """Return the browser with the page open, on a phone and on a desk."""
    size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": request.param < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page)
    return browser


def drawn(browser, *names):
    """Draw what would be drawn once it is scrolled to."""
    for name in names:
        browser.execute_script(f"draw(document.querySelector('[data-plot={name}]').closest('figure'))")


def plot(browser, name, expression):
    return browser.execute_script(f"return document.querySelector('[data-plot={name}]'){expression}")


def errors(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_opens_without_an_error_and_asks_for_nothing(browser, page, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page)
    browser.execute_script("figures.forEach(draw)")

    assert errors(browser) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert browser.execute_script("return document.querySelectorAll('.plot .main-svg').length") >= 6
    # What a name says is never run.
    assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0


def test_nothing_sticks_out_at_the_side(opened):
    drawn(opened, "heat", "scores", "roc", "cost")
    width = opened.execute_script("return [document.documentElement.scrollWidth, innerWidth]")

    assert width[0] <= width[1]


def test_column_sorts_both_ways_by_its_button(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    heads = opened.find_elements(By.CSS_SELECTOR, ".results table:not([hidden]) thead button")
    near = next(head for head in heads if head.text == "near")

    def order():
        rows = opened.find_elements(By.CSS_SELECTOR, ".results .wide:not([hidden]) tbody tr")
        return [float(row.find_elements(By.TAG_NAME, "td")[1].get_attribute("data-value")) for row in rows]

    near.send_keys(Keys.ENTER)
    down = order()
    near.send_keys(Keys.ENTER)

    assert down == sorted(down, reverse=True)
    assert order() == sorted(down)
    assert near.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"


def test_threshold_moves_with_the_arrow_keys_and_says_what_it_accepts(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    drawn(opened, "scores")
    slider = opened.find_element(By.NAME, "threshold")
    said = opened.find_element(By.TAG_NAME, "output")
    before, line = said.text, plot(opened, "scores", ".layout.shapes[0].x0")
    slider.send_keys(Keys.ARROW_LEFT * 20)

    assert "accepts 95.00% of ID images" in before
    assert "accepts 85.00% of ID images" in said.text
    assert plot(opened, "scores", ".layout.shapes[0].x0") > line


def test_cloud_turns_by_the_slider_and_by_dragging(opened):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    drawn(opened, "cloud")
    eye = "._fullLayout.scene._scene.getCamera().eye"
    before = plot(opened, "cloud", eye)
    opened.find_element(By.NAME, "turn").send_keys(Keys.ARROW_RIGHT * 9)
    turned = plot(opened, "cloud", eye)
    scene = opened.find_element(By.CSS_SELECTOR, "[data-plot=cloud] canvas")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", scene)
    ActionChains(opened).click_and_hold(scene).move_by_offset(30, 0).move_by_offset(30, 0).release().perform()

    assert turned != before
    # The picture follows the pointer with its next frame.
    assert WebDriverWait(opened, 10).until(lambda _: plot(opened, "cloud", eye) != turned)


def test_set_and_metric_are_chosen(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    opened.find_element(By.NAME, "column0").click()
    Select(opened.find_element(By.CSS_SELECTOR, ".results [name=metric]")).select_by_visible_text("FPR at 95% TPR")
    shown = [table for table in opened.find_elements(By.CSS_SELECTOR, ".results table") if table.is_displayed()]

    assert len(shown) == 1
    assert [head.text for head in shown[0].find_elements(By.CSS_SELECTOR, "thead button") if head.is_displayed()] == [
        "Method",
        "ID accuracy",
        SCRIPT,
        "Mean",
    ]
    assert plot(opened, "heat", ".data[0].x.length") == 1


def test_page_prints_dark_on_light(browser, page):
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page)
    drawn(browser, "cloud")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    # Pictures of WebGL are not printed.
    kinds = [plot(browser, "cloud", ".data[0].type")]
    printed = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    browser.execute_script("dispatchEvent(new Event('afterprint'))")

    kinds.append(plot(browser, "cloud", ".data[0].type"))

    assert printed == "rgb(255, 255, 255)"
    assert kinds == ["scatter", "scatter3d"]
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != printed
