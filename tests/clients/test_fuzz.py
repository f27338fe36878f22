"""Calls that schemathesis makes up from the description, signed and sent: whatever is in them,
no answer is a server error, has a code that the action's page does not list, or looks otherwise
than described.

`OPENPETA_FUZZ_EXAMPLES` sets how many calls each action gets by each method, valid and invalid
ones alike; a run without it is the same every time."""

import json
import os
import pathlib

import hypothesis
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, strategies

from harness.api import query_of, signed_parameters
from harness.service import Service

DESCRIPTION = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/api/openapi.json").read_text())
COMMON = {"Action", *DESCRIPTION["components"]["parameters"]}
LONGER = os.environ.get("OPENPETA_FUZZ_EXAMPLES")
EXAMPLES = int(LONGER or 8)
FORM = {"content-type": "application/x-www-form-urlencoded"}


def own_parameters(description):
    """The description without what the signature adds, so that the rest is made up alone."""
    bare = json.loads(json.dumps(description))
    for item in bare["paths"].values():
        del item["parameters"]
    del bare["security"]
    return bare


def strict(schema):
    """A schema of an answer that also refuses what it does not mention."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(value) for name, value in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed["additionalProperties"] = False
    return closed


OPERATIONS = [
    operation.ok()
    for operation in schemathesis.openapi.from_dict(own_parameters(DESCRIPTION)).get_all_operations()
]
ANSWERS = strict({name: schema for name, schema in DESCRIPTION["components"]["schemas"].items() if name.endswith("Response")})


class Target:
    """A service where little can be ordered, and what calls can be about there."""

    def __init__(self, service):
        self.api = service.api()
        self.instance = self.api.order(DBName="shop", AccountName="alice")["InstanceId"]
        self.api.wait_active(self.instance)
        credentials = service.credentials
        self.objects = {
            "InstanceId": self.instance,
            "DBName": "shop",
            "AccountName": "alice",
            "TaskId": self.api.tasks(self.instance)[0]["TaskId"],
            "VpcId": credentials["vpc_id"],
            "VSwitchId": credentials["vswitch_id"],
        }

    def example(self, action):
        """The parameters of an action's example, about objects that exist; what it would destroy
        does not, so that later calls find it."""
        parameters = {}
        for described in DESCRIPTION["paths"][f"/{action}"]["get"]["parameters"]:
            value = described.get("example")
            kind = described.get("x-stands-for")
            if kind in self.objects and (not action.startswith("Delete") or described["name"] in TOLERATED.get(action, ())):
                value = self.objects[kind]
            if isinstance(described.get("example"), dict):
                parameters |= {name: text(self.objects.get(kind, each)) for name, each in described["example"].items()}
            elif value is not None:
                parameters[described["name"]] = text(value)
        return parameters


# Of the actions that destroy something, the parameters that may name what exists.
TOLERATED = {
    "DeleteAccount": ["InstanceId"],
    "DeleteDatabase": ["InstanceId"],
    "DeleteIndex": ["InstanceId", "DBName"],
    "DeleteTable": ["InstanceId", "DBName"],
}


@pytest.fixture(scope="module")
def target():
    service = Service({
        "quotas": {"instances_per_tenant": 2, "databases_per_instance": 2, "accounts_per_instance": 3},
        "api": {"throttle": {"changes_per_second": 0}},
    })  # fmt: skip
    try:
        service.start()
        yield Target(service)
        assert service.running, service.log()[-2000:]
        assert "panic" not in service.log()
    finally:
        service.destroy()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method}{operation.path}")
def test_made_up_calls(target, operation):
    action = operation.path.removeprefix("/")
    made_up = strategies.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )
    target.api.wait_active(target.instance)
    example = target.example(action)

    @hypothesis.seed(20160101)
    @hypothesis.settings(
        max_examples=EXAMPLES, derandomize=LONGER is None, database=None, deadline=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=made_up, kept=strategies.sampled_from([0, 0.5, 0.8, 0.95]), chance=strategies.randoms())
    def run(case, kept, chance):
        # Made up through and through, such a call ends at the first check; with an example around
        # a few made up values it gets further.
        parameters = sent_by(case)
        for name, value in example.items():
            if chance.random() < kept:
                parameters[name] = value
        check(action, parameters, *exchange(target.api, operation.method.upper(), action, parameters))

    run()


def sent_by(case):
    """The parameters of a made up call, as texts."""
    flat = {}
    for source in (case.query, case.body):
        if isinstance(source, dict):
            for name, value in source.items():
                flat |= value if isinstance(value, dict) else {name: value}
    return {str(name): text(value) for name, value in flat.items() if name and name not in COMMON - {"RegionId"}}


def text(value):
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    return json.dumps(value)


def exchange(api, method, action, parameters):
    """Status, type and body of the answer to a call, signed right."""
    credentials = api.credentials
    signed = signed_parameters(
        action, parameters, credentials["access_key_id"], credentials["access_key_secret"], method
    )
    if method == "GET":
        status, headers, body = api.raw("GET", f"/{action}?{query_of(signed)}")
    else:
        status, headers, body = api.raw("POST", f"/{action}", body=query_of(signed), headers=FORM)
    return status, headers["content-type"], body


def check(action, parameters, status, content_type, body):
    what = f"{action} {parameters}: {status} {body[:500]}"
    assert status < 500, what
    assert content_type == "application/json;charset=utf-8", what
    answer = json.loads(body)
    if status == 200:
        schema = {**ANSWERS[f"{action}Response"], "$schema": "https://json-schema.org/draft/2020-12/schema"}
        errors = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(answer)]
        assert errors == [], what
    else:
        assert answer["Code"] in documented(action, status), what


def documented(action, status):
    """The codes that the description lists for a status."""
    own = {error["code"] for error in DESCRIPTION["paths"][f"/{action}"]["post"]["x-errors"] if error["status"] == status}
    common = DESCRIPTION["components"]["schemas"].get(f"CommonCode{status}", {"enum": []})
    return own | set(common["enum"])
