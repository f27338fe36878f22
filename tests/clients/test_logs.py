"""The log for machines: every line is JSON, and says to which call or task it belongs."""

import json
import os
import urllib.error
import urllib.request

import pytest

from harness.api import ApiError, poll
from harness.service import Service


@pytest.fixture(scope="module")
def logging_service():
    service = Service(config={"log": {"format": "json", "level": "info"}})
    try:
        yield service.start()
    finally:
        service.destroy()


def lines(service):
    """All lines of the log; what is printed on standard output is not among them."""
    printed = ("ready http", "Order your first", "  export ", "  openpeta ", "Clients of the API")
    texts = service.log().splitlines()
    return [json.loads(text) for text in texts if text and not text.startswith(printed)]


def of_call(service, request_id, least):
    """The lines of a call, once there are that many: they are written after the answer."""
    found = lambda: [line for line in lines(service) if line.get("request_id") == request_id]  # noqa: E731
    poll(lambda: len(found()) >= least, 10, lambda: f"{request_id} has {found()}")
    return found()


def test_lines_of_calls(logging_service):
    api = logging_service.api()
    request_id = api.call("DescribeRegions")["RequestId"]
    [line] = of_call(logging_service, request_id, 1)
    assert (line["target"], line["action"], line["code"]) == ("openpeta::access", "DescribeRegions", "OK")
    assert line["status"] == 200 and line["tls"] is True and line["source"] == "127.0.0.1"
    with pytest.raises(ApiError) as refused:
        api.call("DescribeInstanceInfo", InstanceId="pd-none")
    [line] = of_call(logging_service, refused.value.request_id, 1)
    assert (line["code"], line["status"]) == (refused.value.code, refused.value.status)
    # One that is no call of the API has an id too.
    with pytest.raises(urllib.error.HTTPError) as broken:
        urllib.request.urlopen(logging_service.credentials["http_endpoint"] + "/?Action=Nothing&Format=JSON")
    request_id = json.load(broken.value)["RequestId"]
    [line] = of_call(logging_service, request_id, 1)
    assert line["code"] == "InvalidAction"


def test_lines_of_what_is_done_within_a_call_and_of_tasks(logging_service):
    service = logging_service
    api = service.api()
    instance = api.order()["InstanceId"]
    api.wait_active(instance)
    [task] = api.tasks(instance)
    of_task = lambda: [line for line in lines(service) if line.get("task_id") == task["TaskId"]]  # noqa: E731
    poll(of_task, 10, "a line of the task")
    [ended] = [line for line in of_task() if line["message"] == "task ended"]
    assert (ended["workflow"], ended["instance"]) == ("create-instance", instance)

    # What only the operator is told of a call: the node's files cannot be measured.
    [node] = service.node_dirs()
    away = node.with_name("away")
    os.rename(node, away)
    try:
        with pytest.raises(ApiError) as refused:
            api.call("DeleteDatabase", InstanceId=instance, DBName="shop")
    finally:
        os.rename(away, node)
    found = of_call(service, refused.value.request_id, 2)
    messages = [line.get("message") for line in found]
    assert messages == ["cannot measure disk space", None], found
    assert found[0]["node"] == node.name and found[0]["level"] == "WARN"

    api.delete(instance)
    assert service.stop() == 0
    assert lines(service)[-1]["message"] == "stopped"
