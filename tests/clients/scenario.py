"""The SQL part of the scenario that every client drives: table, prepared statement,
transaction. For Python drivers of the DB-API."""


def work_in_sql(connection, table):
    """Creates a table, writes and reads it; leaves the table."""
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2))")
    cursor.execute(f"INSERT INTO {table} (name, price) VALUES (%s, %s), (%s, %s)", ("pen", "1.50", "墨水", "12.25"))
    assert cursor.rowcount == 2
    connection.commit()
    cursor.execute(f"SELECT name, price FROM {table} ORDER BY id")
    assert [(name, str(price)) for name, price in cursor.fetchall()] == [("pen", "1.50"), ("墨水", "12.25")]

    cursor.execute(f"PREPARE find FROM 'SELECT id FROM {table} WHERE name = ?'")
    cursor.execute("SET @wanted = 'pen'")
    cursor.execute("EXECUTE find USING @wanted")
    assert list(cursor.fetchall()) == [(1,)]

    connection.commit()
    cursor.execute("START TRANSACTION")
    cursor.execute(f"UPDATE {table} SET price = 0")
    connection.rollback()
    cursor.execute(f"SELECT SUM(price) FROM {table}")
    assert str(cursor.fetchone()[0]) == "13.75"
    cursor.close()
