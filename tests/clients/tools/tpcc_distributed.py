"""A small TPC-C over tables that are distributed by the warehouse: its transactions are over several warehouses, and so over
nodes, far more often than there. What its clauses of consistency say (3.3.2) is printed in the end. TOOL_SPREAD says whether
the database has several nodes."""

import os
import random
import threading

import pymysql

SPREAD = os.environ["TOOL_SPREAD"] == "1"
WAREHOUSES, DISTRICTS, CUSTOMERS, ITEMS = 6, 2, 10, 50
CLIENTS, TRANSACTIONS = 4, 25

TABLES = """
warehouse (w_id INT PRIMARY KEY, w_ytd DECIMAL(12,2) NOT NULL DEFAULT 0) : HASH(w_id)
district (d_w_id INT, d_id INT, d_ytd DECIMAL(12,2) NOT NULL DEFAULT 0, d_next_o_id INT NOT NULL DEFAULT 1, PRIMARY KEY (d_w_id, d_id)) : HASH(d_w_id)
customer (c_w_id INT, c_d_id INT, c_id INT, c_balance DECIMAL(12,2) NOT NULL DEFAULT 0, c_ytd DECIMAL(12,2) NOT NULL DEFAULT 0, PRIMARY KEY (c_w_id, c_d_id, c_id)) : HASH(c_w_id)
history (h_id BIGINT AUTO_INCREMENT, h_c_w_id INT NOT NULL, h_c_d_id INT, h_c_id INT, h_w_id INT NOT NULL, h_d_id INT, h_amount DECIMAL(8,2), PRIMARY KEY (h_id, h_w_id)) : HASH(h_w_id)
orders (o_w_id INT, o_d_id INT, o_id INT, o_c_id INT, o_carrier INT, o_ol_cnt INT, o_entry DATETIME DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (o_w_id, o_d_id, o_id)) : HASH(o_w_id)
new_order (no_w_id INT, no_d_id INT, no_o_id INT, PRIMARY KEY (no_w_id, no_d_id, no_o_id)) : HASH(no_w_id)
order_line (ol_w_id INT, ol_d_id INT, ol_o_id INT, ol_number INT, ol_i_id INT, ol_supply_w_id INT, ol_quantity INT, ol_amount DECIMAL(8,2), ol_delivered DATETIME, PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number)) : HASH(ol_w_id)
item (i_id INT PRIMARY KEY, i_name VARCHAR(24), i_price DECIMAL(6,2)) : BROADCAST
stock (s_w_id INT, s_i_id INT, s_quantity INT, s_ytd INT NOT NULL DEFAULT 0, s_orders INT NOT NULL DEFAULT 0, s_remote INT NOT NULL DEFAULT 0, PRIMARY KEY (s_w_id, s_i_id)) : HASH(s_w_id)
"""


def connect():
    return pymysql.connect(
        host=os.environ["TOOL_HOST"], port=int(os.environ["TOOL_PORT"]), user=os.environ["TOOL_USER"],
        password=os.environ["TOOL_PASSWORD"], database=os.environ["TOOL_DATABASE"], charset="utf8mb4", autocommit=False,
    )  # fmt: skip


class Undone(Exception):
    """One transaction of a hundred asks for an item that there is not."""


class Client:
    """Runs transactions as they are chosen; what deadlocks is tried again."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.connection = connect()
        self.cursor = self.connection.cursor()
        self.done = {"new_order": 0, "payment": 0, "delivery": 0, "order_status": 0, "stock_level": 0, "undone": 0}

    def one(self, statement, *values):
        self.cursor.execute(statement, values)
        return self.cursor.fetchone()

    def run(self, statement, *values):
        return self.cursor.execute(statement, values)

    def place(self):
        return self.random.randint(1, WAREHOUSES), self.random.randint(1, DISTRICTS), self.random.randint(1, CUSTOMERS)

    def transactions(self, count):
        for _ in range(count):
            kinds = ["new_order", "payment", "delivery", "order_status", "stock_level"]
            kind = self.random.choices(kinds, [45, 40, 6, 5, 4])[0]
            while True:
                try:
                    getattr(self, kind)()
                    self.connection.commit()
                    self.done[kind] += 1
                    break
                except Undone:
                    self.connection.rollback()
                    self.done["undone"] += 1
                    break
                except pymysql.err.OperationalError as error:
                    if error.args[0] not in (1205, 1213):
                        raise
                    self.connection.rollback()

    def new_order(self):
        w, d, c = self.place()
        # In TPC-C one line of a hundred is of another warehouse. In order, so that few wait for each other.
        lines = sorted(
            (self.random.randint(1, WAREHOUSES) if self.random.random() < 0.4 else w, self.random.randint(1, ITEMS), self.random.randint(1, 10))
            for _ in range(self.random.randint(2, 5))
        )
        fails = self.random.random() < 0.08
        (number,) = self.one("SELECT d_next_o_id FROM district WHERE d_w_id = %s AND d_id = %s FOR UPDATE", w, d)
        self.run("UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = %s AND d_id = %s", w, d)
        self.run("INSERT INTO orders (o_w_id, o_d_id, o_id, o_c_id, o_ol_cnt) VALUES (%s, %s, %s, %s, %s)", w, d, number, c, len(lines))
        self.run("INSERT INTO new_order VALUES (%s, %s, %s)", w, d, number)
        rows = []
        for line, (supply, item, quantity) in enumerate(lines, 1):
            (price,) = self.one("SELECT i_price FROM item WHERE i_id = %s", item)
            self.run(
                "UPDATE stock SET s_quantity = IF(s_quantity >= %s + 10, s_quantity - %s, s_quantity - %s + 91), s_ytd = s_ytd + %s, "
                "s_orders = s_orders + 1, s_remote = s_remote + %s WHERE s_w_id = %s AND s_i_id = %s",
                quantity, quantity, quantity, quantity, int(supply != w), supply, item,
            )  # fmt: skip
            rows.append((w, d, number, line, item, supply, quantity, price * quantity))
        self.cursor.executemany(
            "INSERT INTO order_line (ol_w_id, ol_d_id, ol_o_id, ol_number, ol_i_id, ol_supply_w_id, ol_quantity, ol_amount) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", rows,
        )  # fmt: skip
        if fails:
            raise Undone

    def payment(self):
        w, d, _ = self.place()
        # In TPC-C fifteen of a hundred pay at another warehouse.
        of_w, of_d, c = self.place()
        amount = self.random.randint(100, 500_000) / 100
        self.run("UPDATE warehouse SET w_ytd = w_ytd + %s WHERE w_id = %s", amount, w)
        self.run("UPDATE district SET d_ytd = d_ytd + %s WHERE d_w_id = %s AND d_id = %s", amount, w, d)
        self.run(
            "UPDATE customer SET c_balance = c_balance - %s, c_ytd = c_ytd + %s WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s",
            amount, amount, of_w, of_d, c,
        )  # fmt: skip
        self.run(
            "INSERT INTO history (h_c_w_id, h_c_d_id, h_c_id, h_w_id, h_d_id, h_amount) VALUES (%s, %s, %s, %s, %s, %s)", of_w, of_d, c, w, d, amount
        )

    def delivery(self):
        w, _, _ = self.place()
        for d in range(1, DISTRICTS + 1):
            found = self.one("SELECT no_o_id FROM new_order WHERE no_w_id = %s AND no_d_id = %s ORDER BY no_o_id LIMIT 1 FOR UPDATE", w, d)
            if not found:
                continue
            order = (w, d, found[0])
            assert self.run("DELETE FROM new_order WHERE no_w_id = %s AND no_d_id = %s AND no_o_id = %s", *order) == 1
            (c,) = self.one("SELECT o_c_id FROM orders WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s", *order)
            self.run("UPDATE orders SET o_carrier = 3 WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s", *order)
            self.run("UPDATE order_line SET ol_delivered = NOW() WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s", *order)
            (total,) = self.one("SELECT SUM(ol_amount) FROM order_line WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s", *order)
            self.run("UPDATE customer SET c_balance = c_balance + %s WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s", total, w, d, c)

    def order_status(self):
        w, d, c = self.place()
        found = self.one("SELECT o_id, o_ol_cnt FROM orders WHERE o_w_id = %s AND o_d_id = %s AND o_c_id = %s ORDER BY o_id DESC LIMIT 1", w, d, c)
        if found:
            (lines,) = self.one("SELECT COUNT(*) FROM order_line WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s", w, d, found[0])
            assert lines == found[1], "an order is there with all of its lines"

    def stock_level(self):
        w, d, _ = self.place()
        (number,) = self.one("SELECT d_next_o_id FROM district WHERE d_w_id = %s AND d_id = %s", w, d)
        self.one(
            "SELECT COUNT(DISTINCT s_i_id) FROM order_line JOIN stock ON s_w_id = ol_w_id AND s_i_id = ol_i_id "
            "WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id >= %s AND s_quantity < 20", w, d, number - 20,
        )  # fmt: skip


def prepare():
    with connect() as connection, connection.cursor() as cursor:
        for line in TABLES.strip().splitlines():
            definition, clause = line.split(" : ")
            cursor.execute(f"CREATE TABLE {definition}" + (f" DISTRIBUTE BY {clause}" if SPREAD else ""))
        warehouses, districts, items = range(1, WAREHOUSES + 1), range(1, DISTRICTS + 1), range(1, ITEMS + 1)
        cursor.executemany("INSERT INTO warehouse (w_id) VALUES (%s)", [(w,) for w in warehouses])
        cursor.executemany("INSERT INTO district (d_w_id, d_id) VALUES (%s, %s)", [(w, d) for w in warehouses for d in districts])
        customers = [(w, d, c) for w in warehouses for d in districts for c in range(1, CUSTOMERS + 1)]
        cursor.executemany("INSERT INTO customer (c_w_id, c_d_id, c_id) VALUES (%s, %s, %s)", customers)
        cursor.executemany("INSERT INTO item VALUES (%s, %s, %s)", [(i, f"item {i}", i / 4 + 1) for i in items])
        cursor.executemany("INSERT INTO stock (s_w_id, s_i_id, s_quantity) VALUES (%s, %s, 50)", [(w, i) for w in warehouses for i in items])
        connection.commit()


def consistent():
    """Each must give nothing, but for the counts."""
    checks = {
        "warehouse and districts": "SELECT w_id, w_ytd, SUM(d_ytd) FROM warehouse JOIN district ON d_w_id = w_id GROUP BY w_id, w_ytd HAVING w_ytd <> SUM(d_ytd)",
        "warehouse and history": "SELECT w_id FROM warehouse WHERE w_ytd <> (SELECT COALESCE(SUM(h_amount), 0) FROM history WHERE h_w_id = w_id)",
        "next orders": "SELECT d_w_id, d_id FROM district WHERE d_next_o_id - 1 <> (SELECT COALESCE(MAX(o_id), 0) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id)",
        "no gap": "SELECT o_w_id, o_d_id FROM orders GROUP BY o_w_id, o_d_id HAVING COUNT(*) <> MAX(o_id) OR COUNT(*) <> COUNT(DISTINCT o_id)",
        "lines": "SELECT o_w_id FROM orders LEFT JOIN order_line ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id GROUP BY o_w_id, o_d_id, o_id, o_ol_cnt HAVING COUNT(ol_number) <> o_ol_cnt",
        "new ones are not delivered": "SELECT no_w_id FROM new_order JOIN orders ON o_w_id = no_w_id AND o_d_id = no_d_id AND o_id = no_o_id WHERE o_carrier IS NOT NULL",
        "delivered ones are not new": "SELECT o_w_id FROM orders LEFT JOIN new_order ON no_w_id = o_w_id AND no_d_id = o_d_id AND no_o_id = o_id WHERE (o_carrier IS NULL) <> (no_o_id IS NOT NULL)",
        # Over warehouses: supplies come from others, and customers pay elsewhere.
        "stock": "SELECT s_w_id, s_i_id FROM stock LEFT JOIN (SELECT ol_supply_w_id AS w, ol_i_id AS i, SUM(ol_quantity) AS q, COUNT(*) AS n FROM order_line GROUP BY 1, 2) sold "
        "ON w = s_w_id AND i = s_i_id WHERE s_ytd <> COALESCE(q, 0) OR s_orders <> COALESCE(n, 0)",
        "customers": "SELECT c_w_id, c_d_id, c_id FROM customer WHERE c_balance <> "
        "(SELECT COALESCE(SUM(ol_amount), 0) FROM orders JOIN order_line ON ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id "
        "WHERE o_w_id = c_w_id AND o_d_id = c_d_id AND o_c_id = c_id AND ol_delivered IS NOT NULL) "
        "- (SELECT COALESCE(SUM(h_amount), 0) FROM history WHERE h_c_w_id = c_w_id AND h_c_d_id = c_d_id AND h_c_id = c_id)",
        "history is each once": "SELECT h_id FROM history GROUP BY h_id HAVING COUNT(*) > 1",
    }
    with connect() as connection, connection.cursor() as cursor:
        for name, check in checks.items():
            assert cursor.execute(check) == 0, (name, cursor.fetchmany(5))
        counts = {}
        for name, question in {
            "money": "SELECT (SELECT SUM(w_ytd) FROM warehouse) = (SELECT SUM(c_ytd) FROM customer)",
            "orders": "SELECT COUNT(*) FROM orders",
            "payments": "SELECT COUNT(*) FROM history",
            "remote": "SELECT SUM(s_remote) > 0 FROM stock",
            "delivered": "SELECT COUNT(*) > 0 FROM orders WHERE o_carrier = 3",
        }.items():
            cursor.execute(question)
            counts[name] = cursor.fetchone()[0]
        return counts


prepare()
clients = [Client(seed) for seed in range(CLIENTS)]
failures = []


def work(client):
    try:
        client.transactions(TRANSACTIONS)
    except Exception as error:  # noqa: BLE001 - told below
        failures.append(error)


threads = [threading.Thread(target=work, args=(client,)) for client in clients]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
done = {kind: sum(client.done[kind] for client in clients) for kind in clients[0].done}
found = consistent()
assert sum(done.values()) == CLIENTS * TRANSACTIONS, done
assert found["orders"] == done["new_order"] and found["payments"] == done["payment"], (done, found)
if SPREAD:
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("EXPLAIN ROUTE SELECT COUNT(*) FROM orders")
        assert "0, 1" in str(cursor.fetchall()), "it is on both nodes"
# What was chosen does not depend on how it went.
print(done, found)
