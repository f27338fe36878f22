"""Python's drivers through the gateway: logins, prepared statements, several results, local
files, big packets, and what a session keeps and loses."""

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import ssl
import struct
import threading
import time
import zlib

import aiomysql
import mysql.connector
import pymysql
import pytest
from mysql.connector.constants import ClientFlag
from pymysql.constants import CLIENT, COMMAND

import drivers
from harness.api import poll
from scenario import work_in_sql

assert mysql.connector.HAVE_CEXT, "MySQL's own client library did not load"
EVE = ("eve", "S3cret_eve")


def closing(instance, driver):
    """Connects on call; what is still open at the end of the test is closed, so that a failed
    test leaves no transaction that blocks the next."""
    opened = []

    def connect(**keywords):
        opened.append(driver(instance, **keywords))
        return opened[-1]

    yield connect
    for connection in opened:
        with contextlib.suppress(Exception):
            connection.close()


def over(some):
    """A fixture that runs its tests with each of some drivers."""

    @pytest.fixture(params=some.values(), ids=some.keys())
    def fixture(request, instance, table):
        yield from closing(instance, request.param)

    return fixture


connect = over(drivers.ALL)
connector = over(drivers.CONNECTORS)
pymysql_connect = over(drivers.PYMYSQL)


@pytest.fixture
def table(request, instance):
    """The name of a table of the test's own, dropped afterwards."""
    name = f"t_{zlib.crc32(request.node.name.encode()):08x}"
    yield name
    with drivers.pymysql_plain(instance) as connection:
        # Rather an error than a hang when a test left a transaction open.
        connection.cursor().execute("SET lock_wait_timeout = 5")
        connection.cursor().execute(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture(scope="module")
def eve(service, instance):
    """A second account, which may only read."""
    api = service.api()
    user, password = EVE
    api.call(
        "CreateAccount", InstanceId=instance.id, AccountName=user, AccountPassword=password,
        DBName="shop", AccountPrivilege="ReadOnly",
    )  # fmt: skip
    yield user, password
    api.call("DeleteAccount", InstanceId=instance.id, AccountName=user)
    api.close()


def rows(connection, statement, parameters=None):
    """All rows of a statement, as a list."""
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    found = list(cursor.fetchall())
    cursor.close()
    return found


def test_the_scenario(connect, table):
    connection = connect()
    work_in_sql(connection, table)
    connection.close()


def test_a_wrong_password(connect):
    for wrong in ["wrong", "", "Tr0ub4dor&3_=", "x" * 300]:
        with pytest.raises(drivers.ERRORS) as caught:
            connect(password=wrong)
        assert drivers.number(caught.value) == 1045, caught.value
    with pytest.raises(drivers.ERRORS) as caught:
        connect(user="nobody")
    assert drivers.number(caught.value) == 1045
    assert "nobody" in str(caught.value)


def test_internal_accounts_cannot_log_in(connect):
    for user in ["openpeta_admin", "root", "mysql", "mariadb.sys", ""]:
        with pytest.raises(drivers.ERRORS) as caught:
            connect(user=user, password="")
        assert drivers.number(caught.value) == 1045, user


def test_a_database_that_does_not_exist(connect):
    with pytest.raises(drivers.ERRORS) as caught:
        connect(database="nowhere")
    # MariaDB's answer to an account that may not see it.
    assert drivers.number(caught.value) == 1044


def test_without_a_database(connect):
    connection = connect(database=None)
    assert rows(connection, "SELECT DATABASE()") == [(None,)]
    with pytest.raises(drivers.ERRORS) as caught:
        rows(connection, "SELECT * FROM t")
    assert drivers.number(caught.value) == 1046
    rows(connection, "SELECT 1 FROM information_schema.tables LIMIT 1")
    connection.cursor().execute("USE shop")
    assert rows(connection, "SELECT DATABASE()") == [("shop",)]
    connection.close()


def test_the_error_is_the_servers(connect):
    connection = connect()
    for statement, error, state in [("SELEC 1", 1064, "42000"), ("SELECT * FROM nothere", 1146, "42S02")]:
        with pytest.raises(drivers.ERRORS) as caught:
            rows(connection, statement)
        assert drivers.number(caught.value) == error
        assert getattr(caught.value, "sqlstate", state) == state
    assert rows(connection, "SELECT 1") == [(1,)]
    connection.close()


@pytest.fixture
def own_address(request):
    """An address of this machine that no other test comes from. A client of another kind at the same address may be told
    the thread id of a connection that does not suit it in the end, see docs/gateway.md, warm connections."""
    number = zlib.crc32(request.node.name.encode())
    return f"127.{number % 250 + 2}.{number // 250 % 250}.{number // 62500 % 250 + 1}"


def test_the_true_address_is_seen(pymysql_connect, own_address):
    connection = pymysql_connect(bind_address=own_address)
    host, _ = connection._sock.getsockname()
    assert host == own_address
    assert rows(connection, "SELECT USER(), CURRENT_USER()") == [(f"alice@{host}", "alice@%")]
    [process] = [row for row in rows(connection, "SHOW PROCESSLIST") if row[0] == connection.thread_id()]
    # The port may be that of a client who had the connection to the node before.
    assert process[2].rpartition(":")[0] == host
    assert rows(connection, "SELECT CONNECTION_ID()") == [(connection.thread_id(),)]
    connection.close()


def test_tls_is_tls(instance):
    connection = drivers.pymysql_tls(instance)
    assert isinstance(connection._sock, ssl.SSLSocket)
    assert connection._sock.version() == "TLSv1.3"
    connection.close()
    with pytest.raises(drivers.ERRORS) as caught:
        # The system's authorities do not know the service's.
        drivers.pymysql_plain(instance, ssl=ssl.create_default_context())
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)
    older = ssl.create_default_context(cafile=instance.ca_file)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    connection = drivers.pymysql_plain(instance, ssl=older)
    assert connection._sock.version() == "TLSv1.2"
    assert rows(connection, "SELECT REPEAT('x', 100000)") == [("x" * 100_000,)]
    connection.close()


@pytest.mark.parametrize("driver", ["connector", "connector-tls", "libmysqlclient-tls"])
def test_caching_sha2_password(instance, driver):
    def connector(**keywords):
        return drivers.ALL[driver](instance, **keywords)

    connection = connector(auth_plugin="caching_sha2_password")
    assert rows(connection, "SELECT CURRENT_USER()") == [("alice@%",)]
    connection.close()
    with pytest.raises(drivers.ERRORS) as caught:
        connector(auth_plugin="caching_sha2_password", password="wrong")
    assert drivers.number(caught.value) == 1045


def test_prepared_statements(connector, table):
    connection = connector()
    connection.cursor().execute(
        f"CREATE TABLE {table} (id BIGINT PRIMARY KEY, word VARCHAR(100), amount DOUBLE, day DATETIME, raw BLOB, none INT)"
    )
    insert = connection.cursor(prepared=True)
    statement = f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s, %s)"
    for number in range(300):
        insert.execute(statement, (number, f"слово {number}", number / 4, "2024-02-29 12:00:00", bytes(range(256)), None))
    connection.commit()
    select = connection.cursor(prepared=True)
    for number in [0, 17, 299, 5]:
        select.execute(f"SELECT id, word, amount, raw, none FROM {table} WHERE id = %s", (number,))
        [row] = select.fetchall()
        assert row[0] == number and row[2] == number / 4 and bytes(row[3]) == bytes(range(256)) and row[4] is None
        assert row[1] == f"слово {number}"
    select.execute(f"SELECT COUNT(*) FROM {table} WHERE id >= %s", (100,))
    assert select.fetchall() == [(200,)]
    with pytest.raises(drivers.ERRORS):
        select.execute("SELECT nothing FROM nowhere WHERE x = %s", (1,))
    insert.close()
    select.close()
    assert rows(connection, "SELECT 1") == [(1,)]
    connection.close()


def test_long_data_is_sent_in_pieces(instance, table):
    connection = drivers.pure_plain(instance)
    connection.cursor().execute(f"CREATE TABLE {table} (id INT, body LONGBLOB)")
    content = os.urandom(3_000_000)
    prepared = connection.cmd_stmt_prepare(f"INSERT INTO {table} VALUES (1, ?)".encode())
    statement = prepared["statement_id"]
    for start in range(0, len(content), 700_000):
        # COM_STMT_SEND_LONG_DATA has no answer.
        connection._socket.send(
            b"\x18" + struct.pack("<IH", statement, 0) + content[start : start + 700_000], 0, 0
        )
    # COM_STMT_EXECUTE: no cursor, one iteration, no NULL, types given: the blob, no value.
    connection._socket.send(b"\x17" + struct.pack("<IBI", statement, 0, 1) + b"\x00\x01\xfc\x00", 0, 0)
    connection._handle_ok(connection._socket.recv())
    connection.cmd_stmt_close(statement)
    connection.commit()
    assert rows(connection, f"SELECT MD5(body), LENGTH(body) FROM {table}") == rows(
        connection, "SELECT MD5(%s), 3000000", (content,)
    )
    connection.close()


def test_a_servers_cursor(instance, table):
    """COM_STMT_EXECUTE that opens a cursor, and COM_STMT_FETCH."""
    connection = drivers.pymysql_plain(instance)
    rows(connection, f"CREATE TABLE {table} AS SELECT seq AS id FROM seq_1_to_10")
    connection._execute_command(COMMAND.COM_STMT_PREPARE, f"SELECT id FROM {table} ORDER BY id")
    answer = connection._read_packet()
    statement = struct.unpack_from("<I", answer._data, 1)[0]
    assert struct.unpack_from("<HH", answer._data, 5) == (1, 0)
    for _ in range(2):
        connection._read_packet()
    connection._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", statement, 1, 1))
    packets = [connection._read_packet() for _ in range(3)]
    assert packets[0]._data == b"\x01"
    assert struct.unpack_from("<H", packets[2]._data, 3)[0] & 0x40, "no cursor was opened"
    seen, last = [], False
    while not last:
        connection._execute_command(COMMAND.COM_STMT_FETCH, struct.pack("<II", statement, 4))
        while True:
            packet = connection._read_packet()
            if packet.is_eof_packet():
                last = bool(struct.unpack_from("<H", packet._data, 3)[0] & 0x80)
                break
            seen.append(int.from_bytes(packet._data[2:10], "little"))
    assert seen == list(range(1, 11))
    connection._execute_command(COMMAND.COM_STMT_RESET, struct.pack("<I", statement))
    assert connection._read_packet().is_ok_packet()
    connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement))
    assert rows(connection, "SELECT 1") == [(1,)]
    connection.close()


def test_several_statements_and_results(pymysql_connect, table):
    connection = pymysql_connect(client_flag=CLIENT.MULTI_STATEMENTS)
    cursor = connection.cursor()
    cursor.execute(
        f"CREATE TABLE {table} (a INT); INSERT INTO {table} VALUES (1), (2), (3); SELECT * FROM {table}; SELECT 'two', 2;"
    )
    results = [list(cursor.fetchall())]
    while cursor.nextset():
        results.append(list(cursor.fetchall()))
    assert results[2:4] == [[(1,), (2,), (3,)], [("two", 2)]]
    # The error of the second ends the rest, and the session goes on.
    cursor.execute(f"SELECT 1; SELECT * FROM nothere; DELETE FROM {table}")
    with pytest.raises(drivers.ERRORS) as caught:
        while cursor.nextset():
            pass
    assert drivers.number(caught.value) == 1146
    assert rows(connection, f"SELECT COUNT(*) FROM {table}") == [(3,)]
    connection.close()

    single = pymysql_connect()
    with pytest.raises(drivers.ERRORS) as caught:
        rows(single, "SELECT 1; SELECT 2")
    assert drivers.number(caught.value) == 1064
    single.close()


def test_a_procedure_with_results(connect, table):
    connection = connect()
    cursor = connection.cursor()
    cursor.execute(f"CREATE PROCEDURE p_{table}(IN n INT) BEGIN SELECT n; SELECT n * 2, 'x'; END")
    cursor.callproc(f"p_{table}", (21,))
    if hasattr(cursor, "stored_results"):
        results = [list(result.fetchall()) for result in cursor.stored_results()]
    else:
        results = [list(cursor.fetchall())]
        while cursor.nextset():
            results.append(list(cursor.fetchall()))
    assert [list(map(tuple, result)) for result in results][:2] == [[(21,)], [(42, "x")]]
    cursor.close()
    connection.cursor().execute(f"DROP PROCEDURE p_{table}")
    connection.close()


@pytest.mark.parametrize("lines", [0, 1, 60_000])
def test_load_data_local(request, connect, table, tmp_path, lines):
    consent = {"local_infile" if "[pymysql" in request.node.name else "allow_local_infile": True}
    source = tmp_path / "rows.csv"
    source.write_text("".join(f"{number},name number {number}\n" for number in range(lines)))
    connection = connect(**consent)
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(40))")
    cursor.execute(f"LOAD DATA LOCAL INFILE '{source}' INTO TABLE {table} FIELDS TERMINATED BY ','")
    assert cursor.rowcount == lines
    connection.commit()
    assert rows(connection, f"SELECT COUNT(*), COALESCE(SUM(id), 0) FROM {table}") == [(lines, lines * (lines - 1) // 2)]
    connection.close()


def test_a_local_file_that_the_client_lacks(pymysql_connect, table):
    connection = pymysql_connect(local_infile=True)
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE {table} (id INT)")
    with pytest.raises((*drivers.ERRORS, OSError)):
        cursor.execute(f"LOAD DATA LOCAL INFILE '/nonexistent' INTO TABLE {table}")
    connection.close()


def test_load_data_local_needs_the_clients_consent(connect, table, tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("1\n")
    connection = connect()
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE {table} (id INT)")
    with pytest.raises(drivers.ERRORS):
        cursor.execute(f"LOAD DATA LOCAL INFILE '{source}' INTO TABLE {table}")
    connection.close()


@pytest.mark.parametrize("length", [0xFFFFFE, 0xFFFFFF, 0x1000000, 0x1FFFFFE])
def test_packets_at_and_over_sixteen_megabytes(pymysql_connect, length):
    """Commands and rows of exactly one, just over one, and several packets."""
    connection = pymysql_connect(max_allowed_packet=64 << 20)
    head, tail = "SELECT LENGTH('", "')"
    filling = length - 1 - len(head) - len(tail)
    assert rows(connection, head + "x" * filling + tail) == [(filling,)]
    [(text,)] = rows(connection, f"SELECT REPEAT('y', {length})")
    assert len(text) == length and text == "y" * length
    assert rows(connection, "SELECT 1") == [(1,)]
    connection.close()


@pytest.mark.parametrize("driver", ["connector-tls", "libmysqlclient"])
def test_a_big_blob_there_and_back(instance, table, driver):
    connection = drivers.ALL[driver](instance)
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE {table} (body LONGBLOB)")
    content = os.urandom(1 << 20) * 20
    cursor.execute(f"INSERT INTO {table} VALUES (%s)", (content,))
    connection.commit()
    [(back,)] = rows(connection, f"SELECT body FROM {table}")
    assert bytes(back) == content
    connection.close()


def test_a_packet_over_the_servers_limit(pymysql_connect):
    connection = pymysql_connect(max_allowed_packet=128 << 20)
    with pytest.raises(drivers.ERRORS) as caught:
        rows(connection, "SELECT LENGTH('" + "x" * (65 << 20) + "')")
    # 1153, or the connection goes before the client has sent it all: as the server itself does.
    assert drivers.number(caught.value) in (1153, 2006, 2013)
    again = pymysql_connect()
    assert rows(again, "SELECT 1") == [(1,)]
    again.close()


def test_change_user(connector, eve):
    connection = connector()
    cursor = connection.cursor()
    cursor.execute("SET @mine = 1")
    user, password = eve
    try:
        connection.cmd_change_user(user, password, "shop")
    except mysql.connector.errors.NotSupportedError as error:
        pytest.skip(f"this driver: {error}")
    assert rows(connection, "SELECT CURRENT_USER(), @mine, DATABASE()") == [("eve@%", None, "shop")]
    with pytest.raises(drivers.ERRORS) as caught:
        rows(connection, "CREATE TABLE forbidden (a INT)")
    assert drivers.number(caught.value) == 1142
    connection.cmd_change_user("alice", "Tr0ub4dor&3_=+", "shop")
    assert rows(connection, "SELECT CURRENT_USER()") == [("alice@%",)]
    with pytest.raises(drivers.ERRORS) as caught:
        connection.cmd_change_user(user, "wrong", "shop")
    assert drivers.number(caught.value) == 1045
    # As at MariaDB, the session stays the old account's.
    assert rows(connection, "SELECT CURRENT_USER()") == [("alice@%",)]


def test_reset_connection(connector):
    connection = connector()
    before = rows(connection, "SELECT CONNECTION_ID()")
    rows(connection, "SET @mine = 1, SESSION sql_mode = 'ANSI'")
    connection.cmd_reset_connection()
    assert rows(connection, "SELECT @mine, @@sql_mode LIKE '%ANSI_QUOTES%'") == [(None, 0)]
    assert rows(connection, "SELECT CONNECTION_ID()") == before
    connection.close()


def test_the_small_commands(pymysql_connect):
    connection = pymysql_connect()
    connection.ping(reconnect=False)
    connection.select_db("information_schema")
    assert rows(connection, "SELECT DATABASE()") == [("information_schema",)]
    connection._execute_command(COMMAND.COM_STATISTICS, b"")
    assert b"Uptime" in connection._read_packet()._data
    # COM_SET_OPTION turns several statements on and off.
    for option in (0, 1):
        connection._execute_command(COMMAND.COM_SET_OPTION, struct.pack("<H", option))
        assert connection._read_packet().is_eof_packet()
    # COM_FIELD_LIST, which old clients still send.
    connection.select_db("shop")
    rows(connection, "CREATE TABLE IF NOT EXISTS fields_of (one INT, two TEXT)")
    connection._execute_command(COMMAND.COM_FIELD_LIST, b"fields_of\0")
    names = 0
    while not connection._read_packet().is_eof_packet():
        names += 1
    assert names == 2
    rows(connection, "DROP TABLE fields_of")
    # A command that does not exist is answered.
    connection._execute_command(0x7F, b"")
    with pytest.raises(drivers.ERRORS) as caught:
        connection._read_packet()
    assert drivers.number(caught.value) == 1047
    connection.ping(reconnect=False)
    connection.close()


def test_kill_query_and_kill(pymysql_connect, own_address):
    victim, killer = pymysql_connect(bind_address=own_address), pymysql_connect()
    for statement, error in [("KILL QUERY {}", 1317), ("KILL {}", None)]:
        failure = []

        def sleep():
            try:
                # An interrupted SLEEP alone returns 1; inside a SELECT with rows it is an error.
                failure.append(rows(victim, "SELECT SLEEP(60) FROM seq_1_to_3"))
            except drivers.ERRORS as caught:
                failure.append(drivers.number(caught))

        thread = threading.Thread(target=sleep)
        thread.start()
        running = "SELECT 1 FROM information_schema.processlist WHERE id = %s AND info LIKE '%%SLEEP%%'"
        poll(lambda: rows(killer, running, (victim.thread_id(),)), 10, "does not run")
        rows(killer, statement.format(victim.thread_id()))
        thread.join(10)
        assert not thread.is_alive() and failure
        if error:
            assert failure == [error]
            assert rows(victim, "SELECT 1") == [(1,)]
        else:
            assert failure[0] in (1317, 1927, 2006, 2013, 0)
            with pytest.raises((*drivers.ERRORS, OSError)):
                rows(victim, "SELECT 1")
    killer.close()


def test_a_vanished_client_leaves_no_lock(pymysql_connect, table):
    holder, other = pymysql_connect(), pymysql_connect()
    rows(other, f"CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")
    rows(other, f"INSERT INTO {table} VALUES (1, 1)")
    other.commit()
    holder.begin()
    rows(holder, f"UPDATE {table} SET v = 2")
    # No COM_QUIT: the connection is reset.
    raw = holder._sock
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(raw.detach())
    holder._sock = holder._rfile = None
    rows(other, "SET innodb_lock_wait_timeout = 5")
    rows(other, f"UPDATE {table} SET v = v + 10")
    other.commit()
    assert rows(other, f"SELECT v FROM {table}") == [(11,)]
    other.close()


def test_character_sets(pymysql_connect, table):
    connection = pymysql_connect(charset="utf8mb4")
    rows(connection, f"CREATE TABLE {table} (s VARCHAR(50) CHARACTER SET utf8mb4)")
    rows(connection, f"INSERT INTO {table} VALUES (%s)", ("naïve 漢字 🐬",))
    connection.commit()
    assert rows(connection, f"SELECT s FROM {table}") == [("naïve 漢字 🐬",)]
    connection.close()
    for charset, text in [("latin1", "naïve ?? ?"), ("gbk", "na?ve 漢字 ?")]:
        connection = pymysql_connect(charset=charset)
        [(variables,)] = rows(connection, "SELECT CONCAT_WS(',', @@character_set_client, @@character_set_results)")
        assert variables == f"{charset},{charset}"
        assert rows(connection, f"SELECT s FROM {table}") == [(text,)]
        connection.close()


def test_many_rows_as_they_come(pymysql_connect):
    connection = pymysql_connect(cursorclass=pymysql.cursors.SSCursor)
    cursor = connection.cursor()
    cursor.execute("SELECT seq, REPEAT('r', 100) FROM seq_1_to_200000")
    assert sum(row[0] for row in cursor) == 200_000 * 200_001 // 2
    cursor.close()
    connection.close()
    # Gone in the middle of a result that is not read.
    connection = pymysql_connect(cursorclass=pymysql.cursors.SSCursor)
    cursor = connection.cursor()
    cursor.execute("SELECT seq, REPEAT('r', 1000) FROM seq_1_to_2000000")
    cursor.fetchone()
    connection._force_close()
    # Nothing is left to read, so the driver's destructors need not try.
    cursor._result.unbuffered_active = False
    again = pymysql_connect()
    assert rows(again, "SELECT 1") == [(1,)]
    again.close()


def test_many_sessions(connect):
    def session(number):
        connection = connect()
        found = rows(connection, "SELECT %s + 1", (number,))
        connection.close()
        return found[0][0]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(session, range(40))) == list(range(1, 41))


def test_aiomysql(instance, table):
    async def scenario():
        pool = await aiomysql.create_pool(
            host=instance.host, port=instance.port, user=instance.user, password=instance.password,
            db=instance.database, minsize=2, maxsize=5, autocommit=False,
            ssl=ssl.create_default_context(cafile=instance.ca_file),
        )  # fmt: skip
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(20))")

        async def insert(number):
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (number, f"n{number}"))
                await (connection.commit() if number % 2 else connection.rollback())

        await asyncio.gather(*(insert(number) for number in range(40)))
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(f"SELECT COUNT(*) FROM {table}")
            assert await cursor.fetchone() == (20,)
        pool.close()
        await pool.wait_closed()

    asyncio.run(scenario())


def test_no_time_is_lost(pymysql_connect):
    """Small exchanges are not held back by a delay of the network stack."""
    connection = pymysql_connect()
    cursor = connection.cursor()
    took = []
    for _ in range(200):
        start = time.perf_counter()
        cursor.execute("SELECT 1")
        cursor.fetchall()
        took.append(time.perf_counter() - start)
    assert sorted(took)[100] < 0.02, f"median {sorted(took)[100]:.4f} s"
    connection.close()

