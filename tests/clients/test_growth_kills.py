"""Nodes and the service are killed while a database grows, shrinks and moves: no transaction is lost or torn, and what was
ordered is done in the end, or undone as a whole."""

import os
import random
import threading
import time

import pymysql
import pytest

from harness.api import poll
from harness.service import Service, end
from test_growth import nodes_of, status
from test_sharding import ACCOUNTS, MONEY, World, run

# Of the few, one kills a new node, one the service and a node that partitions leave, one the service and the first node.
SEEDS = range(30) if os.environ.get("OPENPETA_LONG_CHECKS") else (0, 6, 7)
ROWS = 20_000


@pytest.fixture(scope="module")
def world():
    with Service() as service:
        yield prepared(World(service))


def prepared(world):
    with world.connect() as connection:
        run(
            connection,
            "CREATE TABLE account (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)",
            "CREATE TABLE entry (id BIGINT AUTO_INCREMENT, account INT NOT NULL, amount INT, PRIMARY KEY (id, account)) DISTRIBUTE BY HASH(account)",
            "CREATE TABLE country (code CHAR(2) PRIMARY KEY, name VARCHAR(40)) DISTRIBUTE BY BROADCAST",
            "INSERT INTO country VALUES ('DE', 'Deutschland'), ('CN', '中国')",
            "INSERT INTO account VALUES " + ", ".join(f"({n}, {MONEY})" for n in range(ACCOUNTS)),
            "CREATE TABLE filler (id INT NOT NULL PRIMARY KEY, text VARCHAR(200)) DISTRIBUTE BY HASH(id)",
        )
        for part in range(ROWS // 1000):
            rows = ", ".join(f"({part * 1000 + n}, '{'x' * 150}')" for n in range(1000))
            run(connection, f"INSERT INTO filler VALUES {rows}")
    return world


class Load:
    """Transfers and sums that begin anew when they fail. What was acknowledged is counted, and what may have been done."""

    def __init__(self, world):
        self.world, self.over, self.torn = world, threading.Event(), []
        self.done, self.unknown, self.sums = [0] * 3, [0] * 3, 0
        self.threads = [threading.Thread(target=self.again, args=(self.pay, number)) for number in range(3)]
        self.threads.append(threading.Thread(target=self.again, args=(self.look, 9)))

    def again(self, work, number):
        generator = random.Random(number)
        while not self.over.is_set():
            try:
                with self.world.connect(connect_timeout=5, read_timeout=30) as connection:
                    while not self.over.is_set():
                        work(connection, generator, number)
            except (pymysql.err.MySQLError, OSError):
                # Killed, a deadlock, or not there yet.
                self.over.wait(0.05)

    def pay(self, connection, generator, number):
        low, high = sorted(generator.sample(range(ACCOUNTS), 2))
        amount = generator.randint(-50, 50)
        run(
            connection,
            "BEGIN",
            f"UPDATE account SET money = money - {amount} WHERE id = {low}",
            f"UPDATE account SET money = money + {amount} WHERE id = {high}",
            f"INSERT INTO entry (account, amount) VALUES ({low}, {-amount}), ({high}, {amount})",
        )
        self.unknown[number] += 1
        run(connection, "COMMIT")
        self.unknown[number] -= 1
        self.done[number] += 1

    def look(self, connection, _, __):
        found = run(connection, "SELECT SUM(money), COUNT(*) FROM account")
        if found != ((ACCOUNTS * MONEY, ACCOUNTS),):
            self.torn.append(found)
        self.sums += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def more(self, transfers=10):
        wanted = sum(self.done) + transfers, self.sums + 1
        poll(lambda: sum(self.done) >= wanted[0] and self.sums >= wanted[1], 90, lambda: f"nothing goes on: {self.done}")

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def killed(world, generator):
    """Kills the service, or some node. A node that is not there yet cannot be killed."""
    if generator.random() < 0.3:
        world.service.kill()
        world.service.start()
        return "service"
    numbered = {node["number"]: node["pid"] for node in world.service.admin("node", "list") if node["instance_id"] == world.id}
    number = generator.choice(sorted(numbered))
    if numbered[number]:
        end(numbered[number])
    return f"node {number}"


def order(world, generator):
    """More nodes or fewer, or other places; gives the number of nodes that there are if it is done."""
    _, number = status(world)
    if generator.random() < 0.25:
        placed = world.service.admin("partition", "list", "--instance", world.id, "--database", "shop")
        chosen = generator.choice(placed)
        target = generator.choice([node for node in range(number) if node != chosen["node"]])
        words = "--partition", str(chosen["partition"]), "--node", str(target)
        world.service.admin("partition", "move", "--instance", world.id, "--database", "shop", *words)
        return number
    wanted = generator.choice([it for it in (2, 3, 4) if it != number])
    world.service.api().call("ModifyDatabaseNodesNumber", InstanceId=world.id, DBName="shop", Parameter=str(wanted))
    return wanted


def is_active(world):
    try:
        return status(world)[0] == "ACTIVE" and world.service.api().info(world.id)["InstanceStatus"] == "ACTIVE"
    except OSError:
        return False


def check(world, before, load):
    """All that was acknowledged is there, and nothing that was half done."""
    with world.connect() as connection:
        # Whoever locks all rows has waited for what was in doubt.
        run(connection, "BEGIN", "SELECT COUNT(*) FROM account FOR UPDATE", "COMMIT")
        assert run(connection, "SELECT SUM(money), COUNT(*) FROM account") == ((ACCOUNTS * MONEY, ACCOUNTS),)
        ((entries, ids, total),) = run(connection, "SELECT COUNT(*), COUNT(DISTINCT id), COALESCE(SUM(amount), 0) FROM entry")
        least = before + 2 * sum(load.done)
        assert least <= entries <= least + 2 * sum(load.unknown), (before, load.done, load.unknown, entries)
        assert ids == entries and total == 0
        assert run(connection, "SELECT COUNT(*), SUM(id), COUNT(DISTINCT id) FROM filler") == ((ROWS, ROWS * (ROWS - 1) // 2, ROWS),)
        assert run(connection, "SELECT COUNT(*) FROM account JOIN country ON code = 'DE'") == ((ACCOUNTS,),)
    placed = world.service.admin("partition", "list", "--instance", world.id, "--database", "shop", "--count")
    # Each row is in a partition of the node that has it.
    assert sum(one["rows"] for one in placed) == ACCOUNTS + ROWS + entries
    _, number = status(world)
    nodes = nodes_of(world)
    assert nodes == list(range(number)) and {one["node"] for one in placed} == set(nodes)
    # Those of the other instance run as well.
    running = world.service.admin("node", "list")
    assert sorted(node["pid"] for node in running) == world.service.node_pids()
    assert len(world.service.node_dirs()) == len(running)
    return entries


@pytest.mark.parametrize("seed", SEEDS)
def test_money_survives_kills_while_partitions_move(world, seed):
    generator = random.Random(seed)
    with world.connect() as connection:
        ((before,),) = run(connection, "SELECT COUNT(*) FROM entry")
    _, number = status(world)
    kills = []
    with Load(world) as load:
        load.more()
        wanted = order(world, generator)
        for _ in range(generator.randint(1, 4)):
            time.sleep(generator.uniform(0.05, 2.5))
            if is_active(world):
                break
            kills.append(killed(world, generator))
        poll(lambda: is_active(world), 240, lambda: f"{kills}: {world.service.admin('task', 'list', '--limit', '3')}", interval=0.2)
        load.more()
    assert load.torn == []
    _, found = status(world)
    print(f"{number} to {wanted} nodes: {found}; killed {kills}; {sum(load.done)} transfers, {sum(load.unknown)} of unknown end")
    assert found in (number, wanted)
    check(world, before, load)
