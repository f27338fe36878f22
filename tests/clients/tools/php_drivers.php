<?php
// PHP: mysqli as phpMyAdmin connects with it, and PDO with real and emulated prepared statements.

[$host, $port, $user, $password, $database] = array_map('getenv', ['TOOL_HOST', 'TOOL_PORT', 'TOOL_USER', 'TOOL_PASSWORD', 'TOOL_DATABASE']);
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

function show($what) { echo json_encode($what, JSON_UNESCAPED_UNICODE), "\n"; }

// phpMyAdmin 5.2, libraries/classes/Dbal/DbiMysqli.php and DatabaseInterface::postConnect.
$my = mysqli_init();
$my->options(MYSQLI_OPT_LOCAL_INFILE, true);
$my->real_connect($host, $user, $password, '', (int) $port, '', 0);
foreach ([
    'SELECT @@version, @@version_comment', "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci'", "SET lc_messages = 'en_US'",
    'SHOW SESSION VARIABLES LIKE \'collation_connection\'', 'SELECT @@lower_case_table_names', 'SELECT CURRENT_USER()',
    'SHOW GRANTS', 'SELECT 1 FROM mysql.user LIMIT 1', 'SHOW DATABASES', 'SHOW ENGINES', 'SHOW PLUGINS', 'SHOW STORAGE ENGINES',
    'SHOW CHARACTER SET', 'SHOW COLLATION', 'SHOW VARIABLES LIKE \'character_set%\'', 'SHOW MASTER LOGS',
] as $statement) {
    $result = $my->query($statement);
    $rows = $result === true ? [] : $result->fetch_all();
    // The rows of these depend on when the node began.
    show([$statement, $my->field_count, $statement === 'SHOW MASTER LOGS' ? [] : $rows]);
}
$my->select_db($database);
$my->query('CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2), data LONGBLOB)');
$prepared = $my->prepare('INSERT INTO item (name, price, data) VALUES (?, ?, ?)');
$null = null;
foreach ([['pen', 1.5], ['墨水', 12.25], [null, -3]] as [$name, $price]) {
    $prepared->bind_param('sdb', $name, $price, $null);
    $prepared->send_long_data(2, str_repeat('x', 100000));
    $prepared->execute();
    show([$prepared->affected_rows, $prepared->insert_id]);
}
$prepared->close();
$result = $my->execute_query('SELECT id, name, price, LENGTH(data) FROM item WHERE price > ? ORDER BY id', [1]);
show($result->fetch_all(MYSQLI_ASSOC));
show(array_map(fn ($field) => [$field->name, $field->orgtable, $field->type, $field->flags, $field->length], $result->fetch_fields()));
$my->multi_query('SELECT 1; INSERT INTO item (name) VALUES (\'a\'), (\'b\'); SELECT COUNT(*) FROM item; SELEC');
try {
    do {
        $result = $my->store_result();
        show($result ? $result->fetch_all() : $my->affected_rows);
    } while ($my->next_result());
} catch (mysqli_sql_exception $error) {
    show([$error->getCode(), $error->getMessage(), $error->getSqlState()]);
}
show([$my->info, $my->warning_count, $my->sqlstate, $my->ping()]);
$my->begin_transaction(MYSQLI_TRANS_START_WITH_CONSISTENT_SNAPSHOT);
$my->query('DELETE FROM item');
$my->rollback();
show($my->query('SELECT COUNT(*) FROM item')->fetch_row());
// From elsewhere: a statement is killed by the thread's number.
$other = new mysqli($host, $user, $password, $database, (int) $port);
$other->query('SELECT SLEEP(600)', MYSQLI_ASYNC);
do {
    usleep(2000);
    $running = $my->query("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO = 'SELECT SLEEP(600)' AND STATE = 'User sleep'")->fetch_row()[0];
} while ($running === '0');
$my->query('KILL QUERY ' . $other->thread_id);
try {
    show($other->reap_async_query()->fetch_row());
} catch (mysqli_sql_exception $error) {
    show($error->getCode());
}
$other->change_user($user, $password, $database);
show($other->query('SELECT DATABASE()')->fetch_row());
$other->close();

foreach ([true, false] as $emulated) {
    foreach ([true, false] as $buffered) {
        $pdo = new PDO("mysql:host=$host;port=$port;dbname=$database;charset=utf8mb4", $user, $password, [
            PDO::ATTR_EMULATE_PREPARES => $emulated,
            PDO::MYSQL_ATTR_USE_BUFFERED_QUERY => $buffered,
            PDO::MYSQL_ATTR_FOUND_ROWS => true,
            PDO::MYSQL_ATTR_INIT_COMMAND => "SET sql_mode = 'ANSI,TRADITIONAL'",
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        ]);
        show([$pdo->getAttribute(PDO::ATTR_SERVER_VERSION), $pdo->getAttribute(PDO::ATTR_CONNECTION_STATUS) !== '']);
        $find = $pdo->prepare('SELECT id, name, price FROM item WHERE price >= :least ORDER BY id');
        foreach ([0, 10] as $least) {
            $find->execute(['least' => $least]);
            show($find->fetchAll(PDO::FETCH_ASSOC));
        }
        $change = $pdo->prepare('UPDATE item SET price = ? WHERE name = ?');
        $change->execute([1.5, 'pen']);
        show([$change->rowCount(), $pdo->inTransaction()]);
        $pdo->beginTransaction();
        $pdo->exec('DELETE FROM item');
        $pdo->rollBack();
        try {
            $pdo->query('INSERT INTO item (id) VALUES (1)');
        } catch (PDOException $error) {
            show($error->errorInfo);
        }
        show($pdo->query('SELECT COUNT(*) FROM item')->fetchAll());
        $calls = $pdo->query('SELECT 1');
        show($calls->fetchAll());
    }
}
try {
    new PDO("mysql:host=$host;port=$port", $user, 'wrong');
} catch (PDOException $error) {
    show($error->getCode());
}
$my->query('DROP TABLE item');
