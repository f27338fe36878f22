"""phpMyAdmin of Debian, served by PHP itself: what its pages say, as text. Statements, pages of rows, structure, search, export,
import and the server's pages, as somebody clicks through them."""

import html
import http.cookiejar
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

PROGRAM = pathlib.Path("/usr/share/phpmyadmin")
HOST, PORT, USER, PASSWORD, DATABASE = (os.environ[f"TOOL_{name}"] for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE"))

CONFIGURATION = f"""<?php
$cfg['blowfish_secret'] = '{"s" * 32}';
$cfg['Servers'][1] = ['host' => '{HOST}', 'port' => '{PORT}', 'auth_type' => 'cookie', 'compress' => true];
$cfg['SendErrorReports'] = 'never';
$cfg['VersionCheck'] = false;
"""

TABLES = """CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2), KEY (price));
INSERT INTO item (name, price) VALUES ('pen', 1.5), ('墨水', 12.25), (NULL, -3);
CREATE TABLE part (item INT PRIMARY KEY, CONSTRAINT of_item FOREIGN KEY (item) REFERENCES item (id));
CREATE VIEW dear AS SELECT * FROM item WHERE price > 2"""


class Site:
    """A running phpMyAdmin with one visitor."""

    def __init__(self, place):
        shutil.copytree(PROGRAM, place / "site")
        settings = place / "site/libraries/vendor_config.php"
        text = settings.read_text()
        text = text.replace("/etc/phpmyadmin/config.inc.php", f"{place}/config.php").replace("/var/lib/phpmyadmin/tmp/", f"{place}/")
        settings.write_text(text)
        (place / "config.php").write_text(CONFIGURATION)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = ["php", "-d", f"session.save_path={place}", "-S", f"127.0.0.1:{self.port}", "-t", place / "site"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
        self.token = ""

    def wait(self):
        while True:
            try:
                return self.page("")
            except urllib.error.URLError:
                assert self.process.poll() is None, "php has ended"
                time.sleep(0.02)

    def page(self, route, asked=None, **posted):
        """The text of a page."""
        address = f"http://127.0.0.1:{self.port}/index.php?" + urllib.parse.urlencode({"route": route, **(asked or {})})
        form = urllib.parse.urlencode({**posted, "token": self.token}).encode() if posted else None
        with self.opener.open(address, form, timeout=60) as answer:
            page = answer.read().decode()
        found = re.search(r'name="token" value="([^"]+)"', page)
        self.token = html.unescape(found[1]) if found else self.token
        return page


def text(site, page):
    """What a page says, without what differs from one look to the next."""
    page = re.sub(r"(?s)<(script|style|noscript).*?</\1>", "", page)
    page = html.unescape(re.sub(r"<[^>]*>", "\n", page))
    page = page.replace(PORT, "PORT").replace(str(site.port), "SITE")
    page = re.sub(r"\b[0-9a-f]{32}\b", "TOKEN", page)
    page = re.sub(r"[\d.]+ seconds?", "SECONDS", page)
    lines = (" ".join(line.split()) for line in page.splitlines())
    return [line for line in lines if line]


def show(site, title, page):
    print(f"== {title}")
    print("\n".join(text(site, page)))


def visit(site):
    site.wait()
    show(site, "logged in", site.page("/", pma_username=USER, pma_password=PASSWORD, server=1))
    here = {"server": 1, "db": DATABASE}
    item = {**here, "table": "item"}
    for statement in TABLES.split(";\n"):
        show(site, statement[:20], site.page("/import", None, **here, sql_query=statement, ajax_request="true"))
    for route, asked in [
        ("/database/structure", here),
        ("/table/structure", item),
        ("/table/relation", {**here, "table": "part"}),
        ("/sql", {**item, "pos": 0}),
        ("/table/change", item),
        ("/table/indexes", item),
        ("/table/operations", item),
        ("/database/routines", here),
        ("/server/databases", {"server": 1}),
        ("/server/privileges", {"server": 1}),
        ("/server/engines", {"server": 1}),
        ("/server/collations", {"server": 1}),
        ("/server/plugins", {"server": 1}),
    ]:
        show(site, route, site.page(route, asked))
    for statement in ["SELECT name, price FROM item ORDER BY id", "UPDATE item SET price = price + 1", "SELECT * FROM nothing", "CALL nothing()"]:
        show(site, statement, site.page("/import", None, **item, sql_query=statement, ajax_request="true"))
    exported = site.page(
        "/export", None, **here, export_type="database", export_method="quick", quick_or_custom="quick", what="sql",
        output_format="astext", sql_structure_or_data="structure_and_data", sql_create_table="1", sql_create_view="1", asfile="",
    )  # fmt: skip
    show(site, "export", re.sub(r"Generation Time: .*", "", exported))
    show(site, "drop", site.page("/import", None, **here, sql_query="DROP TABLE part, item", ajax_request="true"))


def main():
    with tempfile.TemporaryDirectory() as place:
        site = Site(pathlib.Path(place))
        try:
            visit(site)
        finally:
            site.process.kill()


main()
