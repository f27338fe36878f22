"""The examples do what they say, and so does curl with a URL that was signed by hand."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
# Where `npm install` of the tests put the SDKs.
NODE_MODULES = pathlib.Path(__file__).parent / "node_modules"


@pytest.fixture
def environment(service):
    return {**os.environ, "OPENPETA_DATA_DIR": str(service.data_dir)}


@pytest.fixture
def curl(credentials, environment):
    """Calls through curl; returns the HTTP status and the body."""

    def curl(action, *parameters, **extra):
        url = subprocess.run(
            [EXAMPLES / "signed-url.sh", action, *parameters],
            env={**environment, **extra}, capture_output=True, text=True, timeout=30, check=True,
        ).stdout.strip()  # fmt: skip
        command = ["curl", "-sS", "--cacert", credentials["ca_file"], "-w", "\n%{http_code} %{content_type}", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        body, _, trailer = done.stdout.rpartition("\n")
        status, _, content_type = trailer.partition(" ")
        return int(status), content_type, body

    return curl


def test_a_url_signed_in_shell(curl, api):
    status, content_type, body = curl("DescribeInstances", "PageSize=50")
    assert (status, content_type) == (200, "application/json;charset=utf-8"), body
    assert json.loads(body)["PageSize"] == 50
    name = "a b*~/+%&=(x)!'中文"
    status, _, body = curl(
        "CreateInstance", f"RegionId={api.credentials['region_id']}", f"ZoneId={api.credentials['zone_id']}",
        "DBName=shop", "NodeSpec=petadata.s2.xlarge", "NodeNumber=1", "AccountName=curly",
        "AccountPassword=Passw0rd!", f"InstanceName={name}",
    )  # fmt: skip
    assert status == 200, body
    instance_id = json.loads(body)["InstanceId"]
    assert api.wait_active(instance_id)["InstanceName"] == name
    assert curl("DeleteInstance", f"InstanceId={instance_id}")[0] == 200
    api.wait_gone(instance_id)


def test_xml_is_the_default_of_the_document(curl):
    status, content_type, body = curl("DescribeInstanceInfo", "InstanceId=pd-nobody", FORMAT="XML")
    assert (status, content_type) == (404, "text/xml;charset=utf-8")
    assert ElementTree.fromstring(body).find("Code").text == "InvalidDBInstanceId.NotFound"


def test_a_url_works_once(credentials, environment):
    url = subprocess.run(
        [EXAMPLES / "signed-url.sh", "DescribeRegions"], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    statuses = [
        subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", credentials["ca_file"], url],
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert statuses == ["200", "400"]


def test_order_and_query(environment):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "order_and_query.py"],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ordered", "listens", "answers", "deleted"]


def test_manage_instance(environment):
    code, printed = run([sys.executable, EXAMPLES / "manage_instance.py"], environment)
    assert code == 0, printed
    lines = [line.split() for line in printed.splitlines()]
    assert [words[0] for words in lines] == ["ordered", "allows", "lets", "holds", "tagged", "backed", "deleted"]
    assert lines[3] == ["holds", "books", "shop"] and "Success" in lines[5]


@pytest.fixture(scope="module")
def go_post(tmp_path_factory):
    program = tmp_path_factory.mktemp("go") / "post"
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    subprocess.run([go, "build", "-o", program, EXAMPLES / "go/main.go"], env=environment, timeout=120, check=True)
    return [program]


@pytest.fixture(scope="module")
def java_get(tmp_path_factory):
    classes = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-d", classes, EXAMPLES / "java/Main.java"], timeout=120, check=True)
    return ["java", "-cp", classes, "Main"]


def run(command, environment, **extra):
    """Exit code and what was printed."""
    done = subprocess.run(
        command, env={**environment, **extra}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("program", ["java_get", "go_post"])
def test_a_call_signed_with_the_standard_library(program, environment, api, instance, request):
    command = request.getfixturevalue(program)
    name = "a b*~/+%&=(x)!'中文" + program
    code, answer = run([*command, "ModifyInstanceName", f"InstanceId={instance.id}", f"NewInstanceName={name}"], environment)
    assert code == 0, answer
    assert api.info(instance.id)["InstanceName"] == name
    code, answer = run([*command, "DescribeInstances", "PageSize=50"], environment)
    assert instance.id in [item["InstanceId"] for item in json.loads(answer)["Instances"]["Instance"]]
    code, answer = run([*command, "DescribeInstanceInfo", "InstanceId=pd-nobody"], environment)
    assert (code, json.loads(answer)["Code"]) == (1, "InvalidDBInstanceId.NotFound")


def test_java_without_compiling(environment):
    assert run(["java", EXAMPLES / "java/Main.java", "DescribeRegions"], environment)[0] == 0


def node(example, environment):
    code, printed = run(["node", EXAMPLES / "node" / example], environment, NODE_PATH=str(NODE_MODULES))
    assert code == 0, printed
    return [line.split() for line in printed.splitlines()]


def test_node_pop_core(environment):
    assert [words[0] for words in node("pop-core.js", environment)] == ["ordered", "listens", "deleted"]


def test_node_openapi_client(environment, instance):
    assert [instance.id, "ACTIVE", "shop", "127.0.0.0/8"] in node("openapi-client.js", environment)
