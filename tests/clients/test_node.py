"""Node's SDKs and drivers (node/suite.mjs), one test a case."""

import json
import pathlib
import subprocess

import pytest

SUITE = pathlib.Path(__file__).parent / "node" / "suite.mjs"
CASES = [
    "pop-core-get", "pop-core-post", "pop-core-errors",
    "openapi-client-form", "openapi-client-query", "openapi-client-v1", "openapi-client-errors",
    "mysql2-plain", "mysql2-tls", "mysql2-compressed", "mysql2-multi-statements", "mysql2-change-user",
    "mysql2-wrong-password", "mysql2-unknown-database", "mysql2-pool", "mysql2-stream", "mysql2-load-data",
    "mariadb-plain", "mariadb-tls", "mariadb-compressed-tls", "mariadb-multi-statements", "mariadb-pipelined", "mariadb-change-user",
    "mariadb-wrong-password", "mariadb-wrong-authority", "mariadb-pool",
]  # fmt: skip


@pytest.fixture(scope="module")
def results(handover):
    """The outcome of every case, from one run of Node."""
    run = subprocess.run(
        ["node", SUITE, handover, *CASES], capture_output=True, text=True, timeout=180, check=False
    )
    found = {}
    for line in run.stdout.splitlines():
        result = json.loads(line)
        found[result["name"]] = result
    return found, run.stderr


@pytest.mark.parametrize("case", CASES)
def test_node(results, case):
    found, noise = results
    assert case in found, f"Node did not get there: {noise[-2000:]}"
    assert found[case]["ok"], found[case]["error"]


def test_every_case_is_listed(handover):
    listed = subprocess.run(["node", SUITE, handover, "--list"], capture_output=True, text=True, timeout=60, check=True)
    assert sorted(json.loads(listed.stdout)) == sorted(CASES)
