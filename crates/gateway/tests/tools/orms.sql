## SQLAlchemy.
SELECT DATABASE()
SELECT @@sql_mode
SELECT @@lower_case_table_names
SELECT VERSION()
SHOW VARIABLES LIKE 'sql_mode'
SELECT CAST('test plain returns' AS CHAR(60)) AS anon_1
SELECT CAST('test unicode returns' AS CHAR(60)) AS anon_1
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1
SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = 'item'
DESCRIBE `shop`.`item`
SHOW CREATE TABLE `item`
ROLLBACK
## Django.
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL
SET SQL_AUTO_IS_NULL = 0
SHOW FULL TABLES
SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, extra, column_default, collation_name, CASE WHEN column_type LIKE '% unsigned' THEN 1 ELSE 0 END AS is_unsigned, column_comment FROM information_schema.columns WHERE table_name = 'item' AND table_schema = DATABASE()
SELECT kc.`constraint_name`, kc.`column_name`, kc.`referenced_table_name`, kc.`referenced_column_name`, c.`constraint_type` FROM information_schema.key_column_usage AS kc, information_schema.table_constraints AS c WHERE kc.table_schema = DATABASE() AND (kc.referenced_table_schema = DATABASE() OR kc.referenced_table_schema IS NULL) AND c.table_schema = kc.table_schema AND c.constraint_name = kc.constraint_name AND c.constraint_type != 'CHECK' AND kc.table_name = 'part' ORDER BY kc.`ordinal_position`
SAVEPOINT `s1`
RELEASE SAVEPOINT `s1`
## Hibernate on MariaDB Connector/J 3.
set autocommit=1, session_track_schema=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES'), names utf8mb4
SELECT @@max_allowed_packet, @@system_time_zone, @@time_zone, @@auto_increment_increment, @@tx_isolation
\prepare select i1_0.id,i1_0.name,i1_0.price from item i1_0 where i1_0.id=?
select next_not_cached_value from item_seq
set session transaction isolation level read committed
## GORM on go-sql-driver.
\ping
SELECT VERSION()
SELECT SCHEMA_NAME from Information_schema.SCHEMATA where SCHEMA_NAME LIKE 'shop%' ORDER BY SCHEMA_NAME='shop' DESC,SCHEMA_NAME limit 1
SELECT count(*) FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = 'item' AND table_type = 'BASE TABLE'
SELECT * FROM `item` LIMIT 1
\prepare SELECT column_name, column_default, is_nullable = 'YES', data_type, character_maximum_length, column_type, column_key, extra, column_comment, numeric_precision, numeric_scale , datetime_precision FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ORDINAL_POSITION
## Prisma.
SELECT @@max_allowed_packet,@@wait_timeout
SELECT @@socket IS NULL
SELECT @@lower_case_table_names, @@GLOBAL.version
SELECT DISTINCT BINARY table_info.table_name AS table_name, table_info.create_options AS create_options, table_info.table_comment AS table_comment FROM information_schema.tables AS table_info JOIN information_schema.columns AS column_info ON BINARY column_info.table_name = BINARY table_info.table_name WHERE table_info.table_schema = 'shop' AND column_info.table_schema = 'shop' AND table_info.table_type = 'BASE TABLE' ORDER BY BINARY table_info.table_name
SELECT GET_LOCK('prisma_migrate', 10)
SELECT RELEASE_LOCK('prisma_migrate')
## Sequelize.
SELECT VERSION() as `version`
SELECT 1+1 AS result
SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_NAME = 'item' AND TABLE_SCHEMA = 'shop'
SHOW FULL COLUMNS FROM `item`;
\shape SHOW INDEX FROM `item` FROM `shop`
START TRANSACTION;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
COMMIT;
## mycli.
select @@version, @@version_comment
SHOW DATABASES
SELECT name from mysql.help_topic WHERE name like "SHOW %"
select TABLE_NAME, COLUMN_NAME from information_schema.columns where table_schema = 'shop' order by table_name,ordinal_position
SELECT ROUTINE_NAME FROM INFORMATION_SCHEMA.ROUTINES WHERE ROUTINE_TYPE="FUNCTION" AND ROUTINE_SCHEMA = "shop"
SELECT CONCAT("'", user, "'@'",host,"'") FROM mysql.user
SHOW CHARACTER SET
\use information_schema
\use shop
