"""Every action of the table through the vendor's SDKs, unmodified: the example of its page, with
objects that make it succeed."""

import importlib
import json
import pathlib
import pkgutil
import subprocess

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdkpetadata.request import v20160101

from harness.api import ApiError, host_and_port
from harness.examples import Examples
from harness.service import Service
from harness.table import actions

ACTIONS = actions()
REQUESTS = {
    module.name.removesuffix("Request"): getattr(
        importlib.import_module(f"{v20160101.__name__}.{module.name}"), module.name
    )
    for module in pkgutil.iter_modules(v20160101.__path__)
    if module.name.endswith("Request")
}
# What every request class can send besides; of no meaning to any action.
EVERYWHERE = {"OwnerId", "OwnerAccount", "ResourceOwnerId", "ResourceOwnerAccount", "SecurityToken"}
# Names that the newest classes have for parameters with a number.
NUMBERED = {"Tags": "Tag.N.Key", "ResourceIds": "ResourceId.N", "TagKeys": "TagKey.N"}
CALLER = pathlib.Path(__file__).parent / "node/caller.mjs"


class Refused(Exception):
    """The code of an error answer."""


class PythonSdk:
    """`aliyun-python-sdk-core`, with the request class of the action where there is one."""

    def __init__(self, service):
        credentials = service.credentials
        self.endpoint = "{}:{}".format(*host_and_port(credentials["https_endpoint"]))
        self.client = AcsClient(
            credentials["access_key_id"],
            credentials["access_key_secret"],
            credentials["region_id"],
            verify=credentials["ca_file"],
            auto_retry=False,
        )

    def call(self, action, parameters, method):
        request = self.request(action, parameters)
        request.set_method(method)
        try:
            return json.loads(self.client.do_action_with_exception(request))
        except ServerException as error:
            raise Refused(error.get_error_code()) from error

    def request(self, action, parameters):
        if action not in REQUESTS:
            request = CommonRequest(domain=self.endpoint, version="2016-01-01", action_name=action)
            request.set_protocol_type("https")
            for name, value in parameters.items():
                request.add_query_param(name, value)
            return request
        request = REQUESTS[action]()
        request.set_endpoint(self.endpoint)
        request.set_protocol_type("https")
        for name, value in setters(parameters).items():
            # Through the class's own setter where it has one, so that its spelling is tested.
            setter = getattr(request, f"set_{name}", None)
            setter(value) if setter else request.add_query_param(name, value)
        return request

    def close(self):
        pass


def setters(parameters):
    """Parameters as the setters take them: those with a number become lists."""
    plain = {name: value for name, value in parameters.items() if "." not in name}
    lists = {"ResourceIds": "ResourceId.1", "TagKeys": "TagKey.1"}
    plain |= {name: [parameters[first]] for name, first in lists.items() if first in parameters}
    if "Tag.1.Key" in parameters:
        plain["Tags"] = [{"Key": parameters["Tag.1.Key"], "Value": parameters.get("Tag.1.Value")}]
    return plain


class NodeSdk:
    """One of the SDKs for Node, in a process of its own."""

    def __init__(self, kind, service):
        self.process = subprocess.Popen(
            ["node", CALLER, kind, service.data_dir / "credentials.json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def call(self, action, parameters, method):
        print(json.dumps({"action": action, "parameters": parameters, "method": method}), file=self.process.stdin, flush=True)
        result = json.loads(self.process.stdout.readline())
        if "answer" not in result:
            raise Refused(result["code"].removesuffix("Error"), result["message"])
        return result["answer"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def alone():
    """A service for these tests; the examples' instances are gone when they end."""
    service = Service()
    try:
        service.start()
        yield service
        assert service.stop() == 0
        assert service.leftovers() == []
    finally:
        service.destroy()


@pytest.fixture(scope="module")
def examples(alone):
    made = Examples(alone, alone.api())
    yield made
    made.end()
    made.api.close()


@pytest.fixture(scope="module", params=["python", "pop-core", "openapi-client"])
def sdk(request, alone):
    made = PythonSdk(alone) if request.param == "python" else NodeSdk(request.param, alone)
    yield made
    made.close()


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_the_example_succeeds(sdk, examples, action):
    parameters = examples.parameters(action)
    # All ways to send take their turns.
    method = "GET" if len(action.name) % 2 else "POST"
    answer = sdk.call(action.name, parameters, method)
    assert action.fields <= set(answer), answer


def test_the_sdk_has_the_expected_actions():
    assert len(REQUESTS) == 40 and set(REQUESTS) <= set(ACTIONS) and len(ACTIONS) == 55


@pytest.mark.parametrize("action", sorted(REQUESTS))
def test_every_parameter_of_the_sdk_is_known(action):
    names = {name.removeprefix("set_") for name in vars(REQUESTS[action]) if name.startswith("set_")}
    names = {NUMBERED.get(name, name) for name in names - EVERYWHERE}
    assert names <= ACTIONS[action].spellings()


def outcome(api, action, parameters):
    """OK or the code of the error, and the answer."""
    try:
        return "OK", api.call(action, **parameters)
    except ApiError as error:
        return error.code, None


READING = [action for action in ACTIONS.values() if not action.mutating]


@pytest.mark.parametrize("action", READING, ids=lambda action: action.name)
def test_names_of_parameters(examples, action):
    parameters = examples.parameters(action)
    # Unknown ones are signed and ignored.
    assert outcome(examples.api, action.name, {**parameters, "NoSuchParameter": "1"})[0] == "OK"
    for name in parameters:
        wrong = {other: value for other, value in parameters.items() if other != name}
        # Case matters, so this is an unknown one.
        code, _ = outcome(examples.api, action.name, {**wrong, name.lower(): parameters[name]})
        assert code == ("MissingParameter" if name in action.required else "OK"), name


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda a: a.name)
def test_other_spellings(examples, action):
    """An alias is as good as the name, and both at once must agree."""
    for name, aliases in action.parameters.items():
        for alias in aliases:
            parameters = examples.parameters(action)
            value = parameters.pop(name, None)
            if value is None:
                code, _ = outcome(examples.api, action.name, {**parameters, name: "a", alias: "b"})
                assert code == "InvalidParameter", (name, alias)
                continue
            code, _ = outcome(examples.api, action.name, {**parameters, name: value, alias: "other"})
            assert code == "InvalidParameter", (name, alias)
            code, _ = outcome(examples.api, action.name, {**parameters, alias: value})
            assert code == "OK", (name, alias)
    for alias in action.aliases:
        assert outcome(examples.api, alias, examples.parameters(action))[0] == "OK", alias
