// MariaDB Connector/J: what Hibernate, DBeaver and JetBrains' tools ask of the driver about a database, prepared statements on either
// side, batches, cursors, cancelling.

import java.sql.*;
import java.util.*;

public class Jdbc {
    static final String DATABASE = System.getenv("TOOL_DATABASE");

    static Connection connect(String options) throws SQLException {
        String url = "jdbc:mariadb://" + System.getenv("TOOL_HOST") + ":" + System.getenv("TOOL_PORT") + "/" + DATABASE + "?" + options;
        return DriverManager.getConnection(url, System.getenv("TOOL_USER"), System.getenv("TOOL_PASSWORD"));
    }

    static void show(Object... what) {
        System.out.println(Arrays.deepToString(what));
    }

    static void show(String title, ResultSet rows) throws SQLException {
        ResultSetMetaData about = rows.getMetaData();
        List<Object> columns = new ArrayList<>();
        for (int i = 1; i <= about.getColumnCount(); i++) {
            columns.add(about.getColumnLabel(i) + ":" + about.getColumnTypeName(i) + ":" + about.getColumnClassName(i));
        }
        show(title, columns);
        while (rows.next()) {
            List<Object> row = new ArrayList<>();
            for (int i = 1; i <= about.getColumnCount(); i++) row.add(rows.getString(i));
            show(row);
        }
    }

    static void describe(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        show(about.getDatabaseProductName(), about.getDatabaseProductVersion(), about.getDriverName(), about.getMaxConnections() > 0,
            about.getDefaultTransactionIsolation(), about.storesLowerCaseIdentifiers(), about.getSQLKeywords().length() > 0);
        show("tables", about.getTables(DATABASE, null, "%", new String[] {"TABLE", "VIEW"}));
        show("columns", about.getColumns(DATABASE, null, "%", "%"));
        show("keys", about.getPrimaryKeys(DATABASE, null, "item"));
        show("indexes", about.getIndexInfo(DATABASE, null, "item", false, true));
        show("imported", about.getImportedKeys(DATABASE, null, "part"));
        show("exported", about.getExportedKeys(DATABASE, null, "item"));
        show("procedures", about.getProcedures(DATABASE, null, "%"));
        show("parameters", about.getProcedureColumns(DATABASE, null, "%", "%"));
        show("best row", about.getBestRowIdentifier(DATABASE, null, "item", DatabaseMetaData.bestRowSession, true));
        show("types", about.getTableTypes());
        show("privileges", about.getTablePrivileges(DATABASE, null, "item"));
    }

    static void work(String options) throws Exception {
        show(options);
        try (Connection connection = connect(options)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) UNIQUE, price DECIMAL(9,2), at DATETIME(6))");
                statement.execute("CREATE TABLE part (id INT PRIMARY KEY, item INT, FOREIGN KEY (item) REFERENCES item (id))");
                statement.execute("CREATE PROCEDURE twice(IN a INT, OUT b INT) BEGIN SELECT a; SET b = 2 * a; END");
            }
            describe(connection);
            connection.setAutoCommit(false);
            connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            String insert = "INSERT INTO item (name, price, at) VALUES (?, ?, ?)";
            try (PreparedStatement statement = connection.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
                for (int i = 0; i < 500; i++) {
                    statement.setString(1, "墨水 " + i);
                    statement.setBigDecimal(2, new java.math.BigDecimal(i).movePointLeft(2));
                    statement.setTimestamp(3, Timestamp.valueOf("2026-01-02 03:04:05.678901"));
                    statement.addBatch();
                }
                show(Arrays.stream(statement.executeBatch()).sum());
                try (ResultSet keys = statement.getGeneratedKeys()) {
                    int last = 0;
                    while (keys.next()) last = keys.getInt(1);
                    show(last);
                }
            }
            Savepoint savepoint = connection.setSavepoint("one");
            try (Statement statement = connection.createStatement()) {
                show(statement.executeUpdate("DELETE FROM item"));
                connection.rollback(savepoint);
                connection.commit();
                statement.setFetchSize(100);
                try (ResultSet rows = statement.executeQuery("SELECT id, price FROM item ORDER BY id")) {
                    long sum = 0;
                    while (rows.next()) sum += rows.getLong(1) + rows.getBigDecimal(2).unscaledValue().longValue();
                    show(sum);
                }
                try {
                    statement.executeUpdate("INSERT INTO item (name) VALUES ('墨水 7')");
                } catch (SQLException error) {
                    show(error.getErrorCode(), error.getSQLState());
                }
                connection.rollback();
            }
            for (int n = 0; n < 5; n++) {
                try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM item WHERE price > ? LIMIT ?")) {
                    statement.setDouble(1, 1.5);
                    statement.setInt(2, 2);
                    show("found", statement.executeQuery());
                }
            }
            try (CallableStatement call = connection.prepareCall("{call twice(?, ?)}")) {
                call.setInt(1, 21);
                call.registerOutParameter(2, Types.INTEGER);
                call.execute();
                show(call.getInt(2));
            }
            cancel(connection);
            try (Statement statement = connection.createStatement()) {
                statement.execute("DROP TABLE part, item");
                statement.execute("DROP PROCEDURE twice");
            }
            show(connection.isValid(5), connection.getCatalog());
        }
    }

    // The driver opens another connection and kills the statement there by the number of its thread.
    static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement(); Connection other = connect("")) {
            Thread canceller = new Thread(() -> {
                try (Statement looks = other.createStatement()) {
                    ResultSet running;
                    do {
                        running = looks.executeQuery("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP(6%' AND STATE = 'User sleep'");
                        running.next();
                    } while (running.getInt(1) == 0);
                    statement.cancel();
                } catch (SQLException error) {
                    show(error.getMessage());
                }
            });
            canceller.start();
            try (ResultSet rows = statement.executeQuery("SELECT SLEEP(600)")) {
                rows.next();
                show("not cancelled", rows.getInt(1));
            } catch (SQLException error) {
                show(error.getErrorCode(), error.getSQLState());
            }
            canceller.join();
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (String options : new String[] {"", "useServerPrepStmts=true", "rewriteBatchedStatements=true&useCompression=true", "useBulkStmts=false&useFrameworks=true"}) {
            work(options);
        }
    }
}
