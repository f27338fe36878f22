"""A real Prometheus reads a real service: figures that are known, over TLS, with a token. The
dashboard and the alert rules name nothing that is not there."""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import ROOT, Service, free_port

EXAMPLES = ROOT / "examples/monitoring"
TOKEN = "a-token-that-nobody-may-see"
USER, PASSWORD = "alice", "Passw0rd!"
READS, WRITES, FAILED = 7, 3, 2


class Prometheus:
    """A Prometheus with the example's rules that reads one service."""

    def __init__(self, home, target, ca_file, token_file):
        self.home = home
        self.url = f"http://127.0.0.1:{free_port()}"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(EXAMPLES / "openpeta.rules.yml")],
            "scrape_configs": [
                {
                    "job_name": "openpeta",
                    "scheme": "https",
                    "authorization": {"credentials_file": str(token_file)},
                    "tls_config": {"ca_file": ca_file},
                    "static_configs": [{"targets": [target]}],
                }
            ],
        }
        # JSON is YAML.
        (home / "prometheus.yml").write_text(json.dumps(config))
        command = [
            "prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/tsdb",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]  # fmt: skip
        self.log = (home / "prometheus.log").open("wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def get(self, path, **parameters):
        """The data of an answer of its API; nothing before it serves."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except urllib.error.URLError:
            return None

    def values(self, query):
        """The labels and the value of each series that the query gives."""
        found = self.get("query", query=query)
        return [(one["metric"], float(one["value"][1])) for one in found["result"]] if found else []

    def wait_for(self, query, value):
        """Waits until the one series that the query gives has the value."""
        poll(
            lambda: [found for _, found in self.values(query)] == [value],
            20, lambda: f"{query} is {self.values(query)}, not {value}; {self.state()}",
        )  # fmt: skip

    def state(self):
        """What it says of its target."""
        return self.get("targets")

    def stop(self):
        """Ends it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A service with its instance, on which known things have happened, and a Prometheus."""
    home = tmp_path_factory.mktemp("prometheus")
    token_file = home / "token"
    token_file.write_text(TOKEN + "\n")
    port = free_port()
    metrics = {"listen": f"127.0.0.1:{port}", "tls": True, "token_file": str(token_file)}
    # Nobody listens there: whatever is to be sent is counted as failed.
    telemetry = {"otlp_endpoint": "http://127.0.0.1:9"}
    service = Service(config={"metrics": metrics, "telemetry": telemetry})
    prometheus = None
    try:
        service.start()
        api = service.api()
        instance = api.order(DBName="shop", AccountName=USER, AccountPassword=PASSWORD)["InstanceId"]
        host, sql_port = endpoint_of(api.wait_active(instance))
        work(host, sql_port)
        api.call("CreateDatabaseBackup", InstanceId=instance, DBName="shop")
        poll(lambda: all(task.get("FinishTime") for task in api.tasks(instance)), 60, "a backup")
        service.admin("webhook", "create", "--name", "ops", "--url", "http://127.0.0.1:9/", "--severity", "critical")
        [backup] = service.admin("backup", "list")
        service.admin("backup", "verify", str(backup["backup_id"]))
        poll(lambda: service.admin("backup", "list")[0]["verified_at"], 60, "a restore for proof")
        prometheus = Prometheus(home, f"127.0.0.1:{port}", service.credentials["ca_file"], token_file)
        prometheus.instance = instance
        prometheus.service = service
        prometheus.wait_for("up", 1)
        yield prometheus
        api.delete(instance)
        api.close()
        assert service.stop() == 0
        assert TOKEN not in service.log()
    finally:
        if prometheus:
            prometheus.stop()
        service.destroy()


def work(host, port):
    """Statements, and clients that are not let in."""
    login = {"host": host, "port": port, "user": USER, "password": PASSWORD, "database": "shop"}
    with pymysql.connect(**login, autocommit=True) as session:
        cursor = session.cursor()
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        for number in range(WRITES):
            cursor.execute(f"INSERT INTO t VALUES ({number})")
        for _ in range(READS - FAILED):
            cursor.execute("SELECT * FROM t")
        for _ in range(FAILED):
            with pytest.raises(pymysql.err.ProgrammingError):
                cursor.execute("SELECT * FROM none")
    with pytest.raises(pymysql.err.OperationalError):
        pymysql.connect(**{**login, "password": "wrong"})
    with pytest.raises(pymysql.err.OperationalError):
        pymysql.connect(**login, bind_address="127.0.0.77")


def test_known_figures(watched):
    of_it = f'instance_id="{watched.instance}"'
    for query, value in [
        (f'openpeta_gateway_statements_total{{{of_it},class="single_read"}}', READS),
        (f'openpeta_gateway_statements_total{{{of_it},class="single_write"}}', WRITES),
        (f"openpeta_gateway_statements_failed_total{{{of_it}}}", FAILED),
        (f'openpeta_gateway_statement_duration_seconds_count{{{of_it},class="read"}}', READS),
        (f'openpeta_gateway_statement_duration_seconds_bucket{{{of_it},class="read",le="+Inf"}}', READS),
        (f'openpeta_database_statements_total{{{of_it},database="shop",class="write"}}', WRITES),
        (f"openpeta_gateway_refused_whitelist_total{{{of_it}}}", 1),
        (f"openpeta_gateway_failed_logins_total{{{of_it}}}", 1),
        (f"openpeta_gateway_sessions{{{of_it}}}", 0),
        (f"openpeta_node_up{{{of_it}}}", 1),
        ('openpeta_instances{status="ACTIVE"}', 1),
        ('openpeta_backup_sets{status="success"}', 1),
        ('openpeta_api_calls_total{action="CreateInstance",code="OK"}', 1),
        ('openpeta_backup_drills{outcome="proven"}', 1),
        ('openpeta_webhook_waiting{webhook="ops"}', 0),
        ('openpeta_tasks{status="succeeded"}', 3),
        ("openpeta_nodes_down", 0),
    ]:
        watched.wait_for(query, value)
    [(_, taken)] = watched.values(f'openpeta_gateway_statement_duration_seconds_sum{{{of_it},class="read"}}')
    assert 0 < taken < READS * 10
    # Processor and memory are measured, and files: as large as they are.
    poll(lambda: watched.values(f"openpeta_node_resident_memory_bytes{{{of_it}}} > 1e7"), 20, "memory")
    poll(lambda: watched.values(f'openpeta_node_disk_bytes{{{of_it},kind="data"}} > 1e6'), 20, "files")


def test_a_node_that_dies_is_counted(watched):
    [pid] = watched.service.node_pids()
    before = watched.values("openpeta_node_restarts_total")
    assert [value for _, value in before] == [0]
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    watched.wait_for("openpeta_node_restarts_total", 1)
    watched.wait_for("openpeta_node_up", 1)


def test_only_who_has_the_token(watched):
    listen = watched.service.config["metrics"]["listen"]
    answers = []
    for headers in [[], ["-H", "Authorization: Bearer wrong"]]:
        command = ["curl", "-s", "--cacert", watched.service.credentials["ca_file"], f"https://{listen}/metrics"]
        done = subprocess.run([*command, *headers, "-w", "%{http_code}"], capture_output=True, text=True, check=True)
        answers.append(done.stdout)
    assert answers == ["not without the token\n401"] * 2


def test_promtool_finds_nothing_wrong(watched):
    listen = watched.service.config["metrics"]["listen"]
    command = ["curl", "-s", "--cacert", watched.service.credentials["ca_file"], f"https://{listen}/metrics"]
    text = subprocess.run([*command, "-H", f"Authorization: Bearer {TOKEN}"], capture_output=True, check=True).stdout
    assert b"openpeta_ready 1" in text
    run("promtool", "check", "metrics", stdin=text)
    run("promtool", "check", "rules", "openpeta.rules.yml")
    run("promtool", "test", "rules", "openpeta.rules-test.yml")
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml")


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, cwd=EXAMPLES, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, (done.stdout + done.stderr).decode()


def test_rules_are_evaluated(watched):
    def rules():
        groups = watched.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    poll(lambda: all(rule["health"] == "ok" for rule in rules()), 20, rules)
    assert len(rules()) == len(re.findall(r"- alert:", (EXAMPLES / "openpeta.rules.yml").read_text()))
    firing = [alert for rule in rules() for alert in rule["alerts"] if alert["state"] == "firing"]
    assert not firing, "nothing is wrong with the service"


def expressions():
    """Every expression of the dashboard and the rules, with the labels that its legend names."""
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            legend = re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"])
            yield f"panel {panel['title']}", target["expr"], legend
    for variable in dashboard["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
            yield f"variable {variable['name']}", found[1], [found[2]]
    rules = (EXAMPLES / "openpeta.rules.yml").read_text()
    for name, expression in re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", rules):
        text = rules[rules.index(f"- alert: {name}\n") :].split("- alert:")[1]
        yield f"rule {name}", expression, re.findall(r"\$labels\.(\w+)", text)


def complaints(prometheus):
    """What expressions name that is not there."""
    for where, expression, shown in expressions():
        expression = expression.replace("$__rate_interval", "1m")
        # All of them, as Grafana's choice "All" asks for.
        expression = re.sub(r"\$\w+", ".*", expression)
        prometheus.get("query", query=expression)
        selectors = re.findall(r"\b(up|openpeta_\w+)(\{[^}]*\})?", expression)
        assert selectors, (where, expression)
        present = set()
        for name, matchers in selectors:
            series = [labels for labels, _ in prometheus.values(name)]
            if not series:
                yield f"{where}: there is no {name}"
                continue
            labels = {label for one in series for label in one}
            present |= labels
            for label in re.findall(r"(\w+)(?:=|!=|=~|!~)\"", matchers):
                if label not in labels:
                    yield f"{where}: {name} has no label {label}"
            # A code that no call had yet is no mistake; all other values are always there.
            if matchers and "code" not in matchers and not prometheus.values(name + matchers):
                yield f"{where}: there is no {name}{matchers}"
        grouping = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", expression)
        grouped = {label.strip() for group in grouping for label in group.split(",")}
        for label in (grouped | set(shown)) - present:
            yield f"{where}: nothing has the label {label}"
        kept = re.findall(r"\bby \(([^)]*)\)", expression)
        if kept and (lost := set(shown) - {label.strip() for group in kept for label in group.split(",")}):
            yield f"{where}: {lost} are shown and not kept"


def test_dashboard_and_rules_name_what_is_there(watched):
    # Some figures are there once they were measured.
    poll(lambda: not list(complaints(watched)), 20, lambda: list(complaints(watched)), 0.5)
    assert len(list(expressions())) > 50


def test_the_check_finds_what_is_not_there(watched, monkeypatch):
    wrong = [
        ("a", "sum(openpeta_no_such_thing)", []),
        ("b", 'openpeta_instances{state="ACTIVE"}', []),
        ("c", "sum by (node) (openpeta_node_up)", []),
        ("d", "sum by (status) (openpeta_tasks)", ["instance_id"]),
        ("e", 'openpeta_tasks{status="1"}', []),
    ]
    monkeypatch.setitem(globals(), "expressions", lambda: iter(wrong))
    assert sorted({text[0] for text in complaints(watched)}) == ["a", "b", "c", "d", "e"]
