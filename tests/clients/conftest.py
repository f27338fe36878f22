"""One service for all tests that do not need their own, one instance with one account for all
that only connect, and the closing line that says how many passed."""

import dataclasses
import json

import pytest

from harness.api import endpoint_of
from harness.service import Service


@dataclasses.dataclass(frozen=True)
class Instance:
    """An ACTIVE instance and how to log in to it."""

    id: str
    host: str
    port: int
    user: str
    password: str
    database: str
    ca_file: str


@pytest.fixture(scope="session")
def service():
    """The service that the suites share. At the end nothing of it may be left."""
    shared = Service()
    try:
        shared.start()
        yield shared
        api = shared.api()
        assert api.instances() == [], "a test left an instance"
        assert shared.stop() == 0
        assert shared.leftovers() == []
    finally:
        shared.destroy()


@pytest.fixture(scope="session")
def credentials(service):
    """The content of credentials.json."""
    return service.credentials


@pytest.fixture
def api(service):
    """A signed client of the shared service."""
    client = service.api()
    yield client
    client.close()


@pytest.fixture(scope="session")
def instance(service):
    """The instance that driver tests share. Tests keep to tables of their own."""
    client = service.api()
    password = "Tr0ub4dor&3_=+"
    identifier = client.order(AccountPassword=password, DBName="shop", AccountName="alice")["InstanceId"]
    host, port = endpoint_of(client.wait_active(identifier))
    # All addresses of this machine: some tests come from one of their own.
    client.call("ModifySecurityIPs", InstanceId=identifier, SecurityIPList="127.0.0.0/8")
    yield Instance(identifier, host, port, "alice", password, "shop", service.credentials["ca_file"])
    client.delete(identifier)
    client.close()


@pytest.fixture(scope="session")
def handover(tmp_path_factory, service, instance):
    """A file for clients in other languages: credentials and the shared instance."""
    path = tmp_path_factory.mktemp("handover") / "handover.json"
    path.touch(0o600)
    path.write_text(json.dumps({**service.credentials, "instance": dataclasses.asdict(instance)}))
    return path


@pytest.fixture
def own():
    """Makes services of a test's own; whatever is left of them is removed afterwards."""
    made = []

    def make(*arguments, **keywords):
        made.append(Service(*arguments, **keywords))
        return made[-1]

    yield make
    for each in made:
        each.destroy()


def pytest_unconfigure(config):
    """The closing line that continuous integration counts."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    count = {name: len(reports) for name, reports in reporter.stats.items()}
    passed = count.get("passed", 0)
    failed = count.get("failed", 0) + count.get("error", 0)
    skipped = count.get("skipped", 0)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
