## MySQL Workbench.
SET NAMES utf8
SET SQL_SAFE_UPDATES=1
SHOW SESSION VARIABLES LIKE 'lower_case_table_names'
SELECT current_user()
SET CHARACTER SET utf8
SET NAMES utf8mb4
SELECT @@version_comment, @@version
SHOW SESSION VARIABLES LIKE 'sql_mode'
SHOW VARIABLES LIKE 'version_compile_os'
\shape SHOW SESSION STATUS LIKE 'Ssl_cipher'
SHOW DATABASES
\use shop
SELECT DATABASE()
\shape SHOW GLOBAL STATUS
\shape SHOW GLOBAL VARIABLES
SHOW FULL TABLES FROM `shop`
SHOW FULL COLUMNS FROM `shop`.`item`
SHOW PROCEDURE STATUS WHERE Db='shop'
SHOW FUNCTION STATUS WHERE Db='shop'
SHOW TRIGGERS FROM `shop`
SHOW CREATE VIEW `shop`.`dear`
SHOW PLUGINS
SELECT st.* FROM performance_schema.events_statements_current st JOIN performance_schema.threads thr ON thr.thread_id = st.thread_id WHERE thr.processlist_id = 1
EXPLAIN SELECT * FROM shop.item LIMIT 0, 1000
SELECT * FROM shop.item LIMIT 0, 1000
\ping
