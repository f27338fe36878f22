"""The description of the API: valid, the same as in the repository, and its examples for other
clients send what they show."""

import json
import pathlib
import shutil
import subprocess

import pytest
from aliyunsdkpetadata.request import v20160101
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]
DESCRIPTION = json.loads((ROOT / "docs/api/openapi.json").read_text())
VECTORS = ROOT / "crates/rpc-api/tests/data/signature_vectors.json"
PAGE = ROOT / "crates/server/src/console"
ACTIONS = [path.removeprefix("/") for path in DESCRIPTION["paths"]]


def sample(action, label):
    """The example of an action for one client."""
    samples = DESCRIPTION["paths"][f"/{action}"]["post"]["x-codeSamples"]
    return next(each["source"] for each in samples if each["label"] == label)


def test_it_is_valid():
    errors = [str(error) for error in OpenAPIV31SpecValidator(DESCRIPTION).iter_errors()]
    assert errors == []


def test_it_is_served_as_it_is_checked_in(api):
    status, headers, body = api.raw("GET", "/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == DESCRIPTION


def test_a_path_is_an_alias_of_the_action(api):
    """Every path of the description is one that the service knows."""
    for action in ACTIONS:
        status, _, body = api.raw("GET", f"/{action}?Action={action}&Version=2016-01-01&Format=JSON", https=False)
        assert (status, json.loads(body)["Code"]) == (400, "MissingParameter"), action


@pytest.mark.parametrize("action", ACTIONS)
def test_python_examples_use_what_the_sdk_has(action):
    """The request class if there is one, and only setters that it has."""
    source = sample(action, "aliyun-python-sdk")
    compile(source, action, "exec")
    exists = (pathlib.Path(v20160101.__path__[0]) / f"{action}Request.py").exists()
    assert (f"{action}Request()" in source) == exists, source
    if exists:
        lines = [line for line in source.splitlines() if not line.startswith(("client", "print", " ", ")"))]
        scope = {}
        exec("\n".join(lines), scope)
        sent = scope["request"].get_query_params()
        shown = DESCRIPTION["paths"][f"/{action}"]["post"]["requestBody"]["content"]
        example = shown["application/x-www-form-urlencoded"]["example"]
        aliases = {"TaskStatus": "Status"}
        expected = {
            aliases.get(name, name): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in example.items() if name != "RegionId"
        }  # fmt: skip
        assert {name: str(value) for name, value in sent.items()} == expected, source


def test_node_examples_are_programs(tmp_path):
    for action in ACTIONS:
        (tmp_path / f"{action}.cjs").write_text(sample(action, "@alicloud/pop-core"))
    program = "for (const file of process.argv.slice(1)) new (require('vm').Script)(require('fs').readFileSync(file))"
    files = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(["node", "-e", program, *files], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_command_line_examples_are_commands(service):
    """The command knows every flag: what it then says is the service's refusal, or success."""
    for action in ACTIONS:
        words = sample(action, "openpeta").replace("openpeta ", f"{service.binary} ", 1).rstrip()
        done = subprocess.run(
            ["sh", "-c", f"{words} --data-dir {service.data_dir} --help"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stderr}"


def test_the_page_signs_as_the_vectors_say(tmp_path):
    module = tmp_path / "sign.mjs"
    shutil.copy(PAGE / "sign.js", module)
    script = pathlib.Path(__file__).parent / "node/page_signatures.mjs"
    done = subprocess.run(["node", script, module, VECTORS], capture_output=True, text=True, timeout=60, check=True)
    vectors = json.loads(VECTORS.read_text())["v1"]
    expected = [{name: vector[name] for name in ("string_to_sign", "signature")} for vector in vectors]
    assert json.loads(done.stdout) == expected
