"""The process aborts at a step of a workflow; the next start finishes the work or undoes it.
Fail points exist in the debug build only. The task engine's own tests cover every step of
every workflow; here the real program is driven through them."""

import http.client

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import DEBUG, Service

CREATE_STEPS = ["create-node", "start-node", "create-database", "open-endpoint", "check-login"]
DELETE_STEPS = ["close-endpoints", "stop-node", "destroy-node"]
PASSWORD = "Passw0rd!"


@pytest.fixture(scope="module")
def kept():
    """The data directory that the tests use one after the other; the template is made once."""
    services = [prepared()]
    yield services
    services[0].destroy()


@pytest.fixture
def service(kept):
    """A stopped service without instances; a new one when the test before left something."""
    yield kept[0]
    if kept[0].running or kept[0].leftovers():
        kept[0].destroy()
        kept[0] = prepared()


def prepared():
    """A data directory that was served once."""
    service = Service(binary=DEBUG)
    service.start()
    service.stop()
    return service


def start_with(service, point):
    return service.start(environment={"OPENPETA_FAIL_POINT": point})


def wait_for_abort(service):
    poll(lambda: not service.running, 60, "the fail point was not reached")
    assert service.process.returncode == -6, service.log()[-2000:]
    service.process = None


def is_whole(service, instance_id):
    """The instance is ACTIVE and works, then deletes it and finds nothing."""
    api = service.api()
    host, port = endpoint_of(api.wait_active(instance_id))
    with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop") as session:
        cursor = session.cursor()
        cursor.execute("CREATE TABLE works (id INT)")
    assert len(service.node_pids()) == 1
    api.delete(instance_id)
    nothing_left(service)


def nothing_left(service):
    assert service.api().instances() == []
    assert service.stop() == 0
    assert service.leftovers() == []


@pytest.mark.parametrize("point", ["before-run", "after-run", "after-record"])
@pytest.mark.parametrize("step", CREATE_STEPS)
def test_create_is_finished(service, step, point):
    start_with(service, f"create-instance/{step}/{point}=abort")
    try:
        instance_id = service.api().order()["InstanceId"]
    except (OSError, http.client.HTTPException):
        # The answer may be lost with the process, the order may not.
        instance_id = None
    wait_for_abort(service)
    service.start()
    instances = service.api().instances()
    assert instances == [instance_id or instances[0]]
    is_whole(service, instances[0])


@pytest.mark.parametrize("step", CREATE_STEPS)
def test_a_failed_create_is_undone(service, step):
    start_with(service, f"create-instance/{step}/before-run=fail")
    api = service.api()
    api.wait_gone(api.order(ClientToken=step)["InstanceId"])
    poll(lambda: not service.processes() and not service.node_dirs(), 20, lambda: f"left: {service.leftovers()}")
    nothing_left(service)


@pytest.mark.parametrize("step", ["start-node", "check-login"])
def test_an_undo_that_is_killed_goes_on(service, step):
    """The step behind fails for good, and the process dies in the undoing of this one."""
    start_with(service, f"create-instance/{step}/before-run=fail")
    instance_id = service.api().order()["InstanceId"]
    # As early as possible; the undoing may or may not be over.
    service.kill()
    service.start()
    api = service.api()
    poll(
        lambda: not api.exists(instance_id) or api.info(instance_id)["InstanceStatus"] == "ACTIVE",
        60, "neither whole nor gone",
    )  # fmt: skip
    if api.exists(instance_id):
        is_whole(service, instance_id)
    else:
        nothing_left(service)


@pytest.mark.parametrize("step", DELETE_STEPS)
@pytest.mark.parametrize("point", ["before-run", "after-run"])
def test_delete_is_finished(service, step, point):
    service.start()
    api = service.api()
    instance_id = api.order()["InstanceId"]
    api.wait_active(instance_id)
    assert service.stop() == 0
    start_with(service, f"delete-instance/{step}/{point}=abort")
    try:
        service.api().call("DeleteInstance", InstanceId=instance_id)
    except (OSError, http.client.HTTPException):
        pass
    wait_for_abort(service)
    service.start()
    service.api().wait_gone(instance_id)
    nothing_left(service)
