"""The page /api in a real browser: an order, a description and an error through its forms."""

import json
import shutil

import pytest

if not (shutil.which("chromedriver") and shutil.which("chromium")):
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from harness.api import poll

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1000",
    # The service's own authority is not the browser's.
    "--ignore-certificate-errors",
]  # fmt: skip
PASSWORD = "Passw0rd!"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Driver(shutil.which("chromedriver")))
    yield driver
    driver.quit()


class Page:
    """The page as somebody at the keyboard sees it."""

    def __init__(self, browser, endpoint, credentials):
        self.browser = browser
        self.endpoint = endpoint
        self.credentials = credentials

    def open(self, action=""):
        self.browser.get(f"{self.endpoint}/api#{action}")
        self.wait(lambda: action in ("", self.find("article h2").text))

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def wait(self, condition, seconds=20):
        def tried(_):
            try:
                return condition()
            except Exception:  # the element is not there yet
                return False

        return WebDriverWait(self.browser, seconds).until(tried)

    def give_key(self):
        self.find("#key summary").click()
        self.find("#key-id").send_keys(self.credentials["access_key_id"])
        self.find("#key-secret").send_keys(self.credentials["access_key_secret"], Keys.ENTER)
        assert self.find("#key").get_attribute("open") is None

    def fill(self, **values):
        for name, value in values.items():
            field = self.find(f'#call [name="{name}"]')
            field.clear()
            field.send_keys(value)

    def send(self):
        """Sends the form; returns what the page says of it."""
        self.browser.execute_script("document.querySelector('#result').replaceChildren()")
        self.find("#call .primary").click()
        self.wait(lambda: self.find("#result .verdict").text)
        return self.find("#result .verdict").text

    def answer(self):
        return json.loads(self.find("#result pre").text)

    def complaints(self):
        """What the console has to say, refusals of the service aside."""
        entries = self.browser.get_log("browser")
        serious = [entry for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
        return [entry["message"] for entry in serious if entry["source"] != "network"]


@pytest.fixture
def page(browser, credentials):
    made = Page(browser, credentials["http_endpoint"], credentials)
    yield made
    assert made.complaints() == []


def test_a_link_leads_to_its_action(page):
    page.open("ModifySecurityIPs")
    assert page.browser.title.startswith("ModifySecurityIPs")
    assert page.find("nav [aria-current]").text == "ModifySecurityIPs"
    page.browser.get(f"{page.endpoint}/api#NoSuchAction")
    page.wait(lambda: "no action NoSuchAction" in page.find("#main").text)


def test_the_keyboard_is_enough(page):
    page.open()
    page.wait(lambda: page.find("nav a"))
    page.find("body").send_keys("/")
    page.browser.switch_to.active_element.send_keys("security describe", Keys.ENTER)
    page.wait(lambda: page.find("article h2").text == "DescribeSecurityIPs")
    assert len(page.browser.find_elements(By.CSS_SELECTOR, "nav a")) == 1


def test_nothing_is_sent_without_a_key(page):
    page.browser.get("about:blank")
    page.open("DescribeRegions")
    assert page.send() == "Give an access key first."
    assert page.browser.switch_to.active_element.get_attribute("id") == "key-id"


def test_describing_in_both_forms(page, credentials):
    page.browser.get("about:blank")
    page.open("DescribeRegions")
    page.give_key()
    assert page.send().startswith("200 OK")
    assert page.find("#result .request-id code").text == page.answer()["RequestId"]
    for method in ("POST", "GET"):
        Select(page.find("#method")).select_by_value(method)
        Select(page.find("#format")).select_by_value("XML")
        assert page.send().startswith("200 OK"), method
        assert page.find("#result pre").text.startswith("<DescribeRegionsResponse>\n  <RequestId>")
    sent = page.find("#result").text
    assert "Signature=" in sent and credentials["access_key_secret"] not in page.browser.page_source


def test_an_error_is_explained(page):
    page.browser.get("about:blank")
    page.open("DescribeInstanceInfo")
    page.give_key()
    page.fill(InstanceId="pd-nobody")
    assert page.send().startswith("404 InvalidDBInstanceId.NotFound")
    assert "owned by another tenant" in page.find("#result").text
    page.open("DescribeInstances")
    page.fill(PageNumber="nought")
    assert page.send().startswith("400 InvalidPageNumber.Malformed")
    assert "openpeta call DescribeInstances" in page.find('[role="tabpanel"]').text


def test_an_order_from_the_page(browser, credentials, api):
    page = Page(browser, credentials["https_endpoint"], credentials)
    page.browser.get("about:blank")
    page.open("CreateInstance")
    page.give_key()
    page.fill(AccountPassword=PASSWORD)
    assert page.send().startswith("200 OK"), page.find("#result").text
    instance = page.answer()["InstanceId"]
    assert PASSWORD not in page.find("#main").text and "AccountPassword=***" in page.find("#result").text
    api.wait_active(instance)
    page.open("DescribeInstanceInfo")
    offered = page.browser.find_elements(By.CSS_SELECTOR, "#call datalist option")
    assert instance in [option.get_attribute("value") for option in offered]
    page.fill(InstanceId=instance)
    assert page.send().startswith("200 OK")
    assert page.answer()["InstanceStatus"] == "ACTIVE"
    page.open("DeleteInstance")
    assert page.find('#call [name="InstanceId"]').get_attribute("value") == instance
    assert page.send().startswith("200 OK")
    poll(lambda: not api.exists(instance), 60, "still there")
    assert page.complaints() == []


def test_dark_and_light_differ(page):
    page.open("DescribeRegions")
    colours = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        colours.append(page.find("body").value_of_css_property("background-color"))
    assert colours[0] != colours[1]
