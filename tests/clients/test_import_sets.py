"""A backup set of a database over two nodes is imported: into one node, and into more nodes than it is of."""

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service
from test_disaster import PASSWORD, back_up, connect, run

ROWS = 500


@pytest.fixture(scope="module")
def service():
    with Service() as service:
        yield service


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_set_of_two_nodes_comes_into_another_number_of_them(service, nodes):
    api = service.api()
    source = api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
    run(
        endpoint_of(api.wait_active(source)),
        "CREATE TABLE item (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9)) DISTRIBUTE BY HASH(id)",
        "INSERT INTO item (name) VALUES " + ", ".join(["('x')"] * ROWS),
        "CREATE TABLE unit (id INT PRIMARY KEY) DISTRIBUTE BY BROADCAST",
        "INSERT INTO unit VALUES (1), (2)",
        "CREATE TABLE note (id INT PRIMARY KEY)",
        "INSERT INTO note VALUES (9)",
        "CREATE VIEW many AS SELECT COUNT(*) AS n FROM item",
    )
    place = service.data_dir / "backups" / source / back_up(api, source)
    target = api.order(NodeNumber=nodes, AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(target))
    task = str(service.admin("import", "start", "--instance-id", target, "--db-name", "shop", "--from", str(place))["task_id"])

    def imported():
        try:
            with connect(at) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT (SELECT COUNT(*) FROM item), (SELECT COUNT(*) FROM unit), (SELECT COUNT(*) FROM note), (SELECT n FROM many)")
                return cursor.fetchone()
        except pymysql.err.MySQLError:
            return None

    assert poll(imported, 60, lambda: service.admin("import", "show", task)) == (ROWS, 2, 1, ROWS)
    with connect(at) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW CREATE TABLE item")
        assert ("DISTRIBUTE BY HASH" in cursor.fetchone()[1]) == (nodes > 1)
        # Ids go on behind those that were given.
        cursor.execute("INSERT INTO item (name) VALUES ('y')")
        assert cursor.lastrowid == ROWS + 1
