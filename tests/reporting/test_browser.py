"""The page in a real browser, without network."""

import shutil
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
from selenium.webdriver.common.by import By  # noqa: E402  behind the check that it is there
from selenium.webdriver.common.keys import Keys  # noqa: E402

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")


@pytest.fixture
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # root has no sandbox in a container; an unreachable proxy is as good as no network
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--proxy-server=127.0.0.1:9"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.mark.slow
@pytest.mark.skipif(not (DRIVER and BROWSER), reason="needs chromium and chromedriver on the path")
def test_sorting_filtering_and_the_slider(models, run, browser, tmp_path):
    assert run(*models)[0] == 0
    browser.set_window_size(1400, 1000)
    browser.get(Path("out.html").resolve().as_uri())

    def column(number):
        rows = browser.find_elements(By.CSS_SELECTOR, "#cases tbody tr")
        return [row.find_elements(By.CSS_SELECTOR, "td, th")[number].text for row in rows if row.is_displayed()]

    # a click sorts, Enter sorts the other way round
    before = column(4)
    head = browser.find_element(By.CSS_SELECTOR, "#cases thead th:nth-child(5)")
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(4) == sorted(before, key=float) != before
    head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert column(4) == sorted(before, key=float, reverse=True)

    field = browser.find_element(By.CSS_SELECTOR, "#filters input")
    field.send_keys("D")
    assert set(column(0)) == {"d"}
    assert browser.find_element(By.CSS_SELECTOR, "#filters output").text == "6 of 24 rows"
    field.send_keys(Keys.BACKSPACE)
    assert len(column(0)) == 24

    # the slider: scan, outline, number and what a screen reader says
    case = browser.find_element(By.CSS_SELECTOR, ".case")
    slider = case.find_element(By.CSS_SELECTOR, "input[type=range]")
    assert case.find_element(By.CSS_SELECTOR, ".slider output").text == "3 of 6"
    picture = case.find_elements(By.CSS_SELECTOR, ".picture")[1]

    def drawn():
        paths = [path.get_attribute("d") for path in picture.find_elements(By.CSS_SELECTOR, ".outline")]
        return picture.find_element(By.TAG_NAME, "image").get_attribute("href"), paths

    earlier, earlier_pixels = drawn(), picture.screenshot_as_png
    slider.send_keys(Keys.ARROW_RIGHT)
    assert case.find_element(By.CSS_SELECTOR, ".slider output").text == "4 of 6"
    assert slider.get_attribute("aria-valuetext") == "slice 4 of 6"
    assert picture.get_attribute("aria-label").startswith("Scan of b, slice 4, ")
    assert picture.screenshot_as_png != earlier_pixels
    for now, before in zip(drawn(), earlier, strict=True):
        assert now != before

    # nothing sticks out sideways, on a telephone neither
    for width in (1400, 500):
        browser.set_window_size(width, 1000)
        page = browser.find_element(By.TAG_NAME, "html")
        assert int(page.get_property("scrollWidth")) <= int(page.get_property("clientWidth"))
    browser.save_screenshot(str(tmp_path / "report.png"))
    assert (tmp_path / "report.png").stat().st_size > 10_000
    assert browser.get_log("browser") == []
