-- One of everything that a database can hold. Run by MariaDB's client in the database `shop`.
SET NAMES utf8mb4;
SET sql_mode='';
ALTER DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci COMMENT 'it''s; a "shop"';

CREATE TABLE `types` (
  id INT PRIMARY KEY AUTO_INCREMENT,
  z INT(8) UNSIGNED ZEROFILL, big BIGINT UNSIGNED, d DECIMAL(30,10), y YEAR,
  f FLOAT, g FLOAT(10,4), dbl DOUBLE,
  b BIT(64), e ENUM('a','b','','ü'), s SET('x','y','z'),
  dt DATE, ti TIME(6), dtm DATETIME(3), ts TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  c CHAR(5), v VARCHAR(50), t LONGTEXT, js JSON,
  l1 VARCHAR(20) CHARACTER SET latin1, sj VARCHAR(20) CHARACTER SET cp932, u16 CHAR(5) CHARACTER SET utf16,
  u3 TEXT CHARACTER SET utf8mb3,
  bi BINARY(4), vb VARBINARY(10), bl LONGBLOB,
  p POINT, geo GEOMETRY, i6 INET6, uu UUID,
  hidden INT INVISIBLE DEFAULT 7,
  stored BIGINT AS (d * 2) PERSISTENT, virt VARCHAR(60) AS (CONCAT(v, '!')) VIRTUAL,
  `od``d; na"me` INT COMMENT 'a;b\nc',
  CHECK (z IS NULL OR z > 0), KEY (stored), FULLTEXT KEY (t)
) COMMENT='say; "hi"';
INSERT INTO `types` (id, z, big, d, y, f, g, dbl, b, e, s, dt, ti, dtm, ts, c, v, t, js, l1, sj, u16, u3, bi, vb, bl, p, geo, i6, uu, hidden, `od``d; na"me`) VALUES
 (1, 42, 18446744073709551615, '12345678901234567890.0123456789', 2155, 0.1234567, 1234.56789, 0.1, b'1111111111111111111111111111111111111111111111111111111111111111', 'ü', 'x,z', '0000-00-00', '-838:59:59.999999', '2024-02-30 00:00:00.123', '2038-01-19 03:14:07.999999',
  'ab ', 'x  ', 'line\nfeed\r\0nul\Z \\ ''quoted'' ; \t😀', '{"a": [1, "😀"]}', _latin1 X'E9FC80', _cp932 X'8790', _utf16 X'D83DDE00', 'ü€', X'00FF', X'0A0D00275C', X'00010203FF', POINT(1,2), ST_GeomFromText('LINESTRING(0 0,1 1)', 4326), '2001:db8::1', '123e4567-e89b-12d3-a456-426614174000', 1, 5),
 (2, NULL, 0, '-0.0000000001', 0, 3.4028235e38, -0.5, 1.7976931348623157e308, b'0', 'no such value', '', '2024-00-00', '00:00:00', '1000-01-01', NULL, '', '', '', NULL, '', '', '', '', '', '', '', NULL, NULL, NULL, NULL, NULL, NULL),
 (3, NULL, NULL, NULL, NULL, 1.17549435e-38, NULL, 4.9e-324, NULL, NULL, NULL, NULL, NULL, NULL, '1970-01-01 00:00:01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (900, NULL, NULL, NULL, NULL, 16777217, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SET sql_mode='ALLOW_INVALID_DATES';
UPDATE `types` SET dtm = '2024-02-31 01:02:03', ts = ts WHERE id = 1;
SET sql_mode='NO_AUTO_VALUE_ON_ZERO';
CREATE TABLE zero_id (id INT PRIMARY KEY AUTO_INCREMENT, v INT);
INSERT INTO zero_id VALUES (0, 1), (-5, 2);
SET sql_mode='';

CREATE TABLE no_key (v VARCHAR(10), n INT);
INSERT INTO no_key VALUES ('same', 1), ('same', 1), ('same', 1), (NULL, NULL);
CREATE TABLE empty_table (id INT);
CREATE TABLE `we ird-ä;'#P#"` (`c,;` INT PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO `we ird-ä;'#P#"` VALUES (1);
CREATE TABLE parts (id INT, y YEAR) PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (2000), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, 1999), (2, 2024);
CREATE TABLE my_isam (id INT, t TEXT, FULLTEXT (t)) ENGINE=MyISAM;
INSERT INTO my_isam VALUES (1, 'one'), (2, 'two');
DELETE FROM my_isam WHERE id = 1;
INSERT INTO my_isam VALUES (3, 'three');
CREATE TABLE merged (id INT, t TEXT) ENGINE=MERGE UNION=(my_isam);
CREATE TABLE in_memory (id INT) ENGINE=MEMORY;
INSERT INTO in_memory VALUES (1);
CREATE TABLE in_aria (id INT PRIMARY KEY) ENGINE=Aria TRANSACTIONAL=1;
INSERT INTO in_aria VALUES (1);

-- A circle of foreign keys.
CREATE TABLE parent (id INT PRIMARY KEY, favourite INT);
CREATE TABLE child (id INT PRIMARY KEY, parent INT, CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE);
ALTER TABLE parent ADD CONSTRAINT of_child FOREIGN KEY (favourite) REFERENCES child (id);
INSERT INTO parent VALUES (1, NULL);
INSERT INTO child VALUES (1, 1);
UPDATE parent SET favourite = 1;

-- History.
CREATE TABLE priced (id INT PRIMARY KEY, price INT) WITH SYSTEM VERSIONING;
INSERT INTO priced VALUES (1, 10), (2, 20);
UPDATE priced SET price = 11 WHERE id = 1;
DELETE FROM priced WHERE id = 2;
CREATE TABLE named_times (id INT PRIMARY KEY, v INT, a TIMESTAMP(6) GENERATED ALWAYS AS ROW START, b TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(a, b)) WITH SYSTEM VERSIONING;
INSERT INTO named_times (id, v) VALUES (1, 1);
UPDATE named_times SET v = 2;
CREATE TABLE rented (id INT, f DATE, u DATE, PERIOD FOR rent(f, u), UNIQUE (id, rent WITHOUT OVERLAPS));
INSERT INTO rented VALUES (1, '2024-01-01', '2024-02-01');

CREATE SEQUENCE counted START WITH 5 INCREMENT BY 3 CACHE 2;
SELECT NEXTVAL(counted), NEXTVAL(counted);
CREATE SEQUENCE spent MAXVALUE 2 CYCLE;
SELECT NEXTVAL(spent), NEXTVAL(spent), NEXTVAL(spent);
CREATE SEQUENCE downwards INCREMENT BY -2 MINVALUE -100 MAXVALUE 10;
SELECT NEXTVAL(downwards);
CREATE TABLE by_sequence (id BIGINT PRIMARY KEY DEFAULT NEXTVAL(counted), v INT);
INSERT INTO by_sequence (v) VALUES (1), (2);

-- Programs, in several modes and collations, with a definer that does not exist elsewhere.
CREATE USER stranger@'%' IDENTIFIED BY 'x';
GRANT ALL ON shop.* TO stranger@'%';
DELIMITER ;;
CREATE DEFINER=stranger@'%' FUNCTION f_hello(name VARCHAR(20)) RETURNS VARCHAR(50) DETERMINISTIC
BEGIN
  -- a comment; with a semicolon
  RETURN CONCAT('héllo; ', name, '\n');
END;;
CREATE PROCEDURE p_many(IN n INT)
BEGIN
  DECLARE i INT DEFAULT 0;
  WHILE i < n DO SET i = i + 1; END WHILE;
  # the end
END;;
SET sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT';;
CREATE PROCEDURE p_ansi() SELECT "id" || 'x;' FROM "parent";;
SET sql_mode='NO_BACKSLASH_ESCAPES';;
CREATE FUNCTION f_slash() RETURNS TEXT RETURN 'a\b;';;
SET sql_mode='ORACLE';;
CREATE PACKAGE pack AS
  FUNCTION one RETURN INT;
  PROCEDURE two(n INT);
END;;
CREATE PACKAGE BODY pack AS
  counter INT := 5;
  FUNCTION one RETURN INT AS BEGIN RETURN counter; END;
  PROCEDURE two(n INT) AS BEGIN counter := n; END;
END;;
SET sql_mode='';;
ALTER DATABASE shop COLLATE utf8mb4_bin;;
CREATE FUNCTION f_bin(t TEXT) RETURNS INT RETURN t = 'A';;
ALTER DATABASE shop COLLATE utf8mb4_unicode_ci;;
SET NAMES latin1;;
CREATE PROCEDURE p_latin() SELECT 'plain; $$' AS x;;
CREATE VIEW v_latin AS SELECT 'café' AS a, _binary 'x' AS b, _cp932 X'8790' AS c;;
SET NAMES utf8mb4;;

CREATE VIEW v_one AS SELECT id, v, f_hello(v) AS hello FROM `types`;;
CREATE DEFINER=stranger@'%' VIEW v_middle AS SELECT id, p, e, t FROM (SELECT id, POINT(1, 2) AS p, 'x' AS e, REPEAT('y', 70000) AS t FROM parent) s;;
CREATE DEFINER=stranger@'%' SQL SECURITY INVOKER VIEW v_a_upper AS SELECT ST_X(m.p) AS x, m.id, '`shop`.`v_top`' AS looks_like FROM v_middle m JOIN v_one o ON o.id = m.id;;
CREATE VIEW v_top AS SELECT x + 1 AS one, id FROM v_a_upper;;
CREATE VIEW v_checked AS SELECT id, favourite FROM parent WHERE id > 0 WITH CASCADED CHECK OPTION;;
CREATE VIEW v_checked_again AS SELECT id FROM v_checked WHERE id < 100 WITH LOCAL CHECK OPTION;;
CREATE ALGORITHM=TEMPTABLE VIEW v_counted AS SELECT COUNT(*) AS n FROM v_top;;
CREATE DEFINER=stranger@'%' VIEW v_calls_over AS SELECT hello, f_bin(hello) AS b FROM v_one;;
CREATE TABLE to_vanish (id INT);;
CREATE VIEW v_invalid AS SELECT id FROM to_vanish;;
DROP TABLE to_vanish;;

CREATE TABLE seen (what VARCHAR(40));;
CREATE TRIGGER t_second BEFORE INSERT ON empty_table FOR EACH ROW BEGIN INSERT INTO seen VALUES ('second;'); END;;
CREATE TRIGGER t_first BEFORE INSERT ON empty_table FOR EACH ROW PRECEDES t_second INSERT INTO seen VALUES ('first');;
CREATE DEFINER=stranger@'%' TRIGGER t_types AFTER UPDATE ON `types` FOR EACH ROW INSERT INTO seen VALUES (NEW.id);;

SET time_zone='+05:00';;
CREATE EVENT e_daily ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' COMMENT 'a;b' DO BEGIN DELETE FROM seen; END;;
SET time_zone='+00:00';;
CREATE EVENT e_off ON SCHEDULE EVERY 1 HOUR ON COMPLETION PRESERVE DISABLE DO SELECT 1;;
CREATE DEFINER=stranger@'%' EVENT e_once ON SCHEDULE AT '2031-01-01 00:00:00' DO SELECT 1;;
DELIMITER ;
DROP USER stranger@'%';
