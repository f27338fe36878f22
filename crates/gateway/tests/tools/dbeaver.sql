## DBeaver and JetBrains' tools on MySQL Connector/J 8.
/* mysql-connector-j-8.3.0 (Revision: 805f872a57875f311cb82487efcfb070411a3fa0) */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@query_cache_size AS query_cache_size, @@query_cache_type AS query_cache_type, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@tx_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout
SHOW WARNINGS
SELECT @@session.transaction_isolation
SELECT @@session.tx_isolation
SET character_set_results = NULL
SET autocommit=1
SET sql_mode='STRICT_TRANS_TABLES,NO_ZERO_DATE'
SET SQL_SAFE_UPDATES=1
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SELECT DATABASE()
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW ENGINES
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW CHARSET
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW COLLATION
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW PLUGINS
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW VARIABLES LIKE 'lower_case_table_names'
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW DATABASES
\shape /* ApplicationName=DBeaver 24.0.0 - Metadata */ SELECT * FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = 'information_schema' AND t.TABLE_NAME = 'CHECK_CONSTRAINTS'
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW FULL TABLES FROM `shop`
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW FULL COLUMNS FROM `item` FROM `shop`
/* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW CREATE TABLE `shop`.`item`
\shape /* ApplicationName=DBeaver 24.0.0 - Metadata */ SHOW INDEX FROM `item` FROM `shop`
/* ApplicationName=IntelliJ IDEA */ select database(), schema(), left(user(),instr(concat(user(),'@'),'@')-1), @@version_comment
/* ApplicationName=IntelliJ IDEA */ select schema_name, default_collation_name from information_schema.schemata
/* ApplicationName=IntelliJ IDEA */ select table_name from information_schema.tables where table_schema = 'information_schema' and table_name in ('CHECK_CONSTRAINTS', 'PARAMETERS')
/* ApplicationName=IntelliJ IDEA */ select ordinal_position, column_name, column_type, column_default, generation_expression, table_name, column_comment, is_nullable, extra, collation_name from information_schema.columns where table_schema = 'shop' order by table_name, ordinal_position
SET SESSION TRANSACTION READ WRITE
SET net_write_timeout=600
SET net_write_timeout=60
rollback
