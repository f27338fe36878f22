"""Go's MySQL driver as Debian packages it (go/main.go), one test a case."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).parent / "go" / "main.go"
CASES = [
    "plain", "tls", "interpolated", "pool", "many-results", "load-data", "cancelled",
    "wrong-password", "unknown-database",
]  # fmt: skip
# Debian's Go libraries lie here, in the layout from before modules.
GOPATH = "/usr/share/gocode"


@pytest.fixture(scope="module")
def results(handover, tmp_path_factory):
    """The outcome of every case."""
    program = tmp_path_factory.mktemp("go") / "suite"
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH, "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    subprocess.run([go, "build", "-o", program, SOURCE], env=environment, timeout=120, check=True)
    run = subprocess.run([program, handover], capture_output=True, text=True, timeout=120, check=False)
    return {result["name"]: result for result in map(json.loads, run.stdout.splitlines())}, run.stderr


@pytest.mark.parametrize("case", CASES)
def test_go(results, case):
    found, noise = results
    assert case in found, f"the program did not get there: {noise[-2000:]}"
    assert found[case]["ok"], found[case]["error"]


def test_every_case_is_listed(results):
    assert sorted(results[0]) == sorted(CASES)
