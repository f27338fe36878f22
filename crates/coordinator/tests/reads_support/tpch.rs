//! The tables and the 22 queries of TPC-H. Rows come from a checksum of their numbers, so that every
//! server makes the same; lineitem and orders are spread by the order's key, the others are on all nodes.

/// A table: its name, what makes it, the column that it is spread by, and what fills it. `{s}` stands for
/// the scale, of which 1000 make the benchmark's own.
pub const TABLES: [(&str, &str, Option<&str>, &str); 8] = [
    (
        "region",
        "CREATE TABLE region (r_regionkey INT NOT NULL PRIMARY KEY, r_name CHAR(25) NOT NULL, \
         r_comment VARCHAR(152))",
        None,
        "INSERT INTO region SELECT seq, ELT(seq + 1, 'AFRICA', 'AMERICA', 'ASIA', 'EUROPE', \
         'MIDDLE EAST'), CONCAT('region ', seq) FROM seq_0_to_4",
    ),
    (
        "nation",
        "CREATE TABLE nation (n_nationkey INT NOT NULL PRIMARY KEY, n_name CHAR(25) NOT NULL, \
         n_regionkey INT NOT NULL, n_comment VARCHAR(152))",
        None,
        "INSERT INTO nation SELECT seq, ELT(seq + 1, 'ALGERIA', 'ARGENTINA', 'BRAZIL', 'CANADA', \
         'EGYPT', 'ETHIOPIA', 'FRANCE', 'GERMANY', 'INDIA', 'INDONESIA', 'IRAN', 'IRAQ', 'JAPAN', \
         'JORDAN', 'KENYA', 'MOROCCO', 'MOZAMBIQUE', 'PERU', 'CHINA', 'ROMANIA', 'SAUDI ARABIA', \
         'VIETNAM', 'RUSSIA', 'UNITED KINGDOM', 'UNITED STATES'), ELT(seq + 1, 0, 1, 1, 1, 4, 0, 3, 3, \
         2, 2, 4, 4, 2, 4, 0, 0, 0, 1, 2, 3, 4, 2, 3, 3, 1), CONCAT('nation ', seq) FROM seq_0_to_24",
    ),
    (
        "supplier",
        "CREATE TABLE supplier (s_suppkey INT NOT NULL PRIMARY KEY, s_name CHAR(25) NOT NULL, \
         s_address VARCHAR(40) NOT NULL, s_nationkey INT NOT NULL, s_phone CHAR(15) NOT NULL, \
         s_acctbal DECIMAL(15,2) NOT NULL, s_comment VARCHAR(101) NOT NULL)",
        None,
        "INSERT INTO supplier SELECT seq, CONCAT('Supplier#', LPAD(seq, 9, '0')), \
         CONCAT('address ', CRC32(seq)), CRC32(CONCAT('sn', seq)) MOD 25, \
         CONCAT(10 + CRC32(CONCAT('sn', seq)) MOD 25, '-555-', CRC32(seq) MOD 10000), \
         CRC32(CONCAT('sb', seq)) MOD 1000000 / 100 - 900, \
         IF(CRC32(CONCAT('sc', seq)) MOD 9 = 0, 'slow Customer has Complaints', 'carefully packed') \
         FROM seq_1_to_200000 WHERE seq <= 10 * {s}",
    ),
    (
        "part",
        "CREATE TABLE part (p_partkey INT NOT NULL PRIMARY KEY, p_name VARCHAR(55) NOT NULL, \
         p_mfgr CHAR(25) NOT NULL, p_brand CHAR(10) NOT NULL, p_type VARCHAR(25) NOT NULL, \
         p_size INT NOT NULL, p_container CHAR(10) NOT NULL, p_retailprice DECIMAL(15,2) NOT NULL, \
         p_comment VARCHAR(23) NOT NULL)",
        None,
        "INSERT INTO part SELECT seq, CONCAT(ELT(1 + CRC32(CONCAT('c1', seq)) MOD 6, 'green', 'forest', \
         'blue', 'almond', 'red', 'ivory'), ' ', ELT(1 + CRC32(CONCAT('c2', seq)) MOD 4, 'green', 'lace', \
         'puff', 'sky')), CONCAT('Manufacturer#', 1 + CRC32(CONCAT('m', seq)) MOD 5), \
         CONCAT('Brand#', 1 + CRC32(CONCAT('m', seq)) MOD 5, 1 + CRC32(CONCAT('b', seq)) MOD 5), \
         CONCAT(ELT(1 + CRC32(CONCAT('t1', seq)) MOD 6, 'STANDARD', 'SMALL', 'MEDIUM', 'LARGE', \
         'ECONOMY', 'PROMO'), ' ', ELT(1 + CRC32(CONCAT('t2', seq)) MOD 5, 'ANODIZED', 'BURNISHED', \
         'PLATED', 'POLISHED', 'BRUSHED'), ' ', ELT(1 + CRC32(CONCAT('t3', seq)) MOD 5, 'TIN', 'NICKEL', \
         'BRASS', 'STEEL', 'COPPER')), 1 + CRC32(CONCAT('z', seq)) MOD 50, \
         CONCAT(ELT(1 + CRC32(CONCAT('k1', seq)) MOD 5, 'SM', 'LG', 'MED', 'JUMBO', 'WRAP'), ' ', \
         ELT(1 + CRC32(CONCAT('k2', seq)) MOD 8, 'CASE', 'BOX', 'BAG', 'JAR', 'PKG', 'PACK', 'CAN', \
         'DRUM')), 900 + seq MOD 1000 / 10, 'comment' FROM seq_1_to_4000000 WHERE seq <= 200 * {s}",
    ),
    (
        "partsupp",
        "CREATE TABLE partsupp (ps_partkey INT NOT NULL, ps_suppkey INT NOT NULL, \
         ps_availqty INT NOT NULL, ps_supplycost DECIMAL(15,2) NOT NULL, \
         ps_comment VARCHAR(199) NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey))",
        None,
        "INSERT IGNORE INTO partsupp SELECT p_partkey, \
         1 + (p_partkey + n.seq * (10 * {s} DIV 4 + 1)) MOD (10 * {s}), \
         1 + CRC32(CONCAT('q', p_partkey, n.seq)) MOD 9999, \
         1 + CRC32(CONCAT('sc', p_partkey, n.seq)) MOD 99900 / 100, 'comment' \
         FROM part, seq_0_to_3 n",
    ),
    (
        "customer",
        "CREATE TABLE customer (c_custkey INT NOT NULL PRIMARY KEY, c_name VARCHAR(25) NOT NULL, \
         c_address VARCHAR(40) NOT NULL, c_nationkey INT NOT NULL, c_phone CHAR(15) NOT NULL, \
         c_acctbal DECIMAL(15,2) NOT NULL, c_mktsegment CHAR(10) NOT NULL, \
         c_comment VARCHAR(117) NOT NULL)",
        None,
        "INSERT INTO customer SELECT seq, CONCAT('Customer#', LPAD(seq, 9, '0')), \
         CONCAT('address ', CRC32(seq)), CRC32(CONCAT('cn', seq)) MOD 25, \
         CONCAT(10 + CRC32(CONCAT('cn', seq)) MOD 25, '-555-', CRC32(seq) MOD 10000), \
         CRC32(CONCAT('cb', seq)) MOD 1100000 / 100 - 999, \
         ELT(1 + CRC32(CONCAT('cs', seq)) MOD 5, 'AUTOMOBILE', 'BUILDING', 'FURNITURE', 'MACHINERY', \
         'HOUSEHOLD'), 'comment' FROM seq_1_to_3000000 WHERE seq <= 150 * {s}",
    ),
    (
        "orders",
        "CREATE TABLE orders (o_orderkey INT NOT NULL PRIMARY KEY, o_custkey INT NOT NULL, \
         o_orderstatus CHAR(1) NOT NULL, o_totalprice DECIMAL(15,2) NOT NULL, o_orderdate DATE NOT NULL, \
         o_orderpriority CHAR(15) NOT NULL, o_clerk CHAR(15) NOT NULL, o_shippriority INT NOT NULL, \
         o_comment VARCHAR(79) NOT NULL, KEY (o_custkey))",
        Some("o_orderkey"),
        "INSERT INTO orders SELECT seq, 1 + CRC32(CONCAT('oc', seq)) MOD (150 * {s}) DIV 3 * 3, \
         ELT(1 + CRC32(CONCAT('os', seq)) MOD 3, 'O', 'F', 'P'), \
         1000 + CRC32(CONCAT('op', seq)) MOD 40000000 / 100, \
         '1992-01-01' + INTERVAL CRC32(CONCAT('od', seq)) MOD 2406 DAY, \
         ELT(1 + CRC32(CONCAT('opr', seq)) MOD 5, '1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', \
         '5-LOW'), CONCAT('Clerk#', seq MOD 1000), 0, \
         IF(CRC32(CONCAT('om', seq)) MOD 20 = 0, 'what special packages requests', 'furiously even') \
         FROM seq_1_to_30000000 WHERE seq <= 1500 * {s}",
    ),
    (
        "lineitem",
        "CREATE TABLE lineitem (l_orderkey INT NOT NULL, l_partkey INT NOT NULL, l_suppkey INT NOT NULL, \
         l_linenumber INT NOT NULL, l_quantity DECIMAL(15,2) NOT NULL, \
         l_extendedprice DECIMAL(15,2) NOT NULL, l_discount DECIMAL(15,2) NOT NULL, \
         l_tax DECIMAL(15,2) NOT NULL, l_returnflag CHAR(1) NOT NULL, l_linestatus CHAR(1) NOT NULL, \
         l_shipdate DATE NOT NULL, l_commitdate DATE NOT NULL, l_receiptdate DATE NOT NULL, \
         l_shipinstruct CHAR(25) NOT NULL, l_shipmode CHAR(10) NOT NULL, l_comment VARCHAR(44) NOT NULL, \
         PRIMARY KEY (l_orderkey, l_linenumber), KEY (l_partkey, l_suppkey))",
        Some("l_orderkey"),
        "INSERT INTO lineitem SELECT o_orderkey, p, 1 + (p + r MOD 4 * (10 * {s} DIV 4 + 1)) MOD (10 * {s}), \
         nr, 1 + r MOD 50, (1 + r MOD 50) * (900 + p MOD 1000 / 10), r MOD 11 / 100, r MOD 9 / 100, \
         IF(shipped < '1995-06-17', ELT(1 + r MOD 2, 'R', 'A'), 'N'), \
         IF(shipped > '1995-06-17', 'O', 'F'), shipped, \
         o_orderdate + INTERVAL 30 + r MOD 61 DAY, shipped + INTERVAL 1 + r MOD 30 DAY, \
         ELT(1 + r MOD 4, 'DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'), \
         ELT(1 + r DIV 4 MOD 7, 'REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'), 'comment' \
         FROM (SELECT o_orderkey, o_orderdate, n.seq nr, CRC32(CONCAT(o_orderkey, '-', n.seq)) r, \
         1 + CRC32(CONCAT('lp', o_orderkey, '-', n.seq)) MOD (200 * {s}) p, \
         o_orderdate + INTERVAL 1 + CRC32(CONCAT('ls', o_orderkey, '-', n.seq)) MOD 121 DAY shipped \
         FROM orders, seq_1_to_7 n WHERE n.seq <= 1 + CRC32(CONCAT('ln', o_orderkey)) MOD 7) d",
    ),
];

/// The queries, by their numbers.
pub const QUERIES: [&str; 22] = [
    "select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price, \
     sum(l_extendedprice * (1 - l_discount)) as sum_disc_price, \
     sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge, avg(l_quantity) as avg_qty, \
     avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order \
     from lineitem where l_shipdate <= date '1998-12-01' - interval '90' day \
     group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus",
    "select s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment \
     from part, supplier, partsupp, nation, region where p_partkey = ps_partkey and s_suppkey = ps_suppkey \
     and p_size < 30 and p_type like '%BRASS' and s_nationkey = n_nationkey and n_regionkey = r_regionkey \
     and r_name = 'EUROPE' and ps_supplycost = (select min(ps_supplycost) from partsupp, supplier, nation, \
     region where p_partkey = ps_partkey and s_suppkey = ps_suppkey and s_nationkey = n_nationkey \
     and n_regionkey = r_regionkey and r_name = 'EUROPE') order by s_acctbal desc, n_name, s_name, p_partkey \
     limit 100",
    "select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority \
     from customer, orders, lineitem where c_mktsegment = 'BUILDING' and c_custkey = o_custkey \
     and l_orderkey = o_orderkey and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15' \
     group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate, l_orderkey limit 10",
    "select o_orderpriority, count(*) as order_count from orders where o_orderdate >= date '1993-07-01' \
     and o_orderdate < date '1993-07-01' + interval '3' month and exists (select * from lineitem \
     where l_orderkey = o_orderkey and l_commitdate < l_receiptdate) group by o_orderpriority \
     order by o_orderpriority",
    "select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue from customer, orders, lineitem, \
     supplier, nation, region where c_custkey = o_custkey and l_orderkey = o_orderkey \
     and l_suppkey = s_suppkey and c_nationkey = s_nationkey and s_nationkey = n_nationkey \
     and n_regionkey = r_regionkey and r_name = 'ASIA' and o_orderdate >= date '1994-01-01' \
     and o_orderdate < date '1994-01-01' + interval '1' year group by n_name order by revenue desc",
    "select sum(l_extendedprice * l_discount) as revenue from lineitem where l_shipdate >= date '1994-01-01' \
     and l_shipdate < date '1994-01-01' + interval '1' year and l_discount between 0.06 - 0.01 and 0.06 + 0.01 \
     and l_quantity < 24",
    "select supp_nation, cust_nation, l_year, sum(volume) as revenue from (select n1.n_name as supp_nation, \
     n2.n_name as cust_nation, extract(year from l_shipdate) as l_year, \
     l_extendedprice * (1 - l_discount) as volume from supplier, lineitem, orders, customer, nation n1, \
     nation n2 where s_suppkey = l_suppkey and o_orderkey = l_orderkey and c_custkey = o_custkey \
     and s_nationkey = n1.n_nationkey and c_nationkey = n2.n_nationkey and ((n1.n_name = 'FRANCE' \
     and n2.n_name = 'GERMANY') or (n1.n_name = 'GERMANY' and n2.n_name = 'FRANCE')) \
     and l_shipdate between date '1995-01-01' and date '1996-12-31') as shipping \
     group by supp_nation, cust_nation, l_year order by supp_nation, cust_nation, l_year",
    "select o_year, sum(case when nation = 'BRAZIL' then volume else 0 end) / sum(volume) as mkt_share \
     from (select extract(year from o_orderdate) as o_year, l_extendedprice * (1 - l_discount) as volume, \
     n2.n_name as nation from part, supplier, lineitem, orders, customer, nation n1, nation n2, region \
     where p_partkey = l_partkey and s_suppkey = l_suppkey and l_orderkey = o_orderkey \
     and o_custkey = c_custkey and c_nationkey = n1.n_nationkey and n1.n_regionkey = r_regionkey \
     and r_name = 'AMERICA' and s_nationkey = n2.n_nationkey and o_orderdate between date '1995-01-01' \
     and date '1996-12-31' and p_type like 'ECONOMY%') as all_nations group by o_year order by o_year",
    "select nation, o_year, sum(amount) as sum_profit from (select n_name as nation, \
     extract(year from o_orderdate) as o_year, \
     l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity as amount from part, supplier, lineitem, \
     partsupp, orders, nation where s_suppkey = l_suppkey and ps_suppkey = l_suppkey \
     and ps_partkey = l_partkey and p_partkey = l_partkey and o_orderkey = l_orderkey \
     and s_nationkey = n_nationkey and p_name like '%green%') as profit group by nation, o_year \
     order by nation, o_year desc",
    "select c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) as revenue, c_acctbal, n_name, \
     c_address, c_phone, c_comment from customer, orders, lineitem, nation where c_custkey = o_custkey \
     and l_orderkey = o_orderkey and o_orderdate >= date '1993-10-01' \
     and o_orderdate < date '1993-10-01' + interval '3' month and l_returnflag = 'R' \
     and c_nationkey = n_nationkey group by c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment \
     order by revenue desc, c_custkey limit 20",
    "select ps_partkey, sum(ps_supplycost * ps_availqty) as value from partsupp, supplier, nation \
     where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY' group by ps_partkey \
     having sum(ps_supplycost * ps_availqty) > (select sum(ps_supplycost * ps_availqty) * 0.001 from partsupp, \
     supplier, nation where ps_suppkey = s_suppkey and s_nationkey = n_nationkey and n_name = 'GERMANY') \
     order by value desc, ps_partkey",
    "select l_shipmode, sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 \
     end) as high_line_count, sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' \
     then 1 else 0 end) as low_line_count from orders, lineitem where o_orderkey = l_orderkey \
     and l_shipmode in ('MAIL', 'SHIP') and l_commitdate < l_receiptdate and l_shipdate < l_commitdate \
     and l_receiptdate >= date '1994-01-01' and l_receiptdate < date '1994-01-01' + interval '1' year \
     group by l_shipmode order by l_shipmode",
    "select c_count, count(*) as custdist from (select c_custkey, count(o_orderkey) as c_count from customer \
     left outer join orders on c_custkey = o_custkey and o_comment not like '%special%requests%' \
     group by c_custkey) as c_orders group by c_count order by custdist desc, c_count desc",
    "select 100.00 * sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end) \
     / sum(l_extendedprice * (1 - l_discount)) as promo_revenue from lineitem, part \
     where l_partkey = p_partkey and l_shipdate >= date '1995-09-01' \
     and l_shipdate < date '1995-09-01' + interval '1' month",
    "with revenue0 as (select l_suppkey as supplier_no, sum(l_extendedprice * (1 - l_discount)) as total_revenue \
     from lineitem where l_shipdate >= date '1996-01-01' \
     and l_shipdate < date '1996-01-01' + interval '3' month group by l_suppkey) select s_suppkey, s_name, \
     s_address, s_phone, total_revenue from supplier, revenue0 where s_suppkey = supplier_no \
     and total_revenue = (select max(total_revenue) from revenue0) order by s_suppkey",
    "select p_brand, p_type, p_size, count(distinct ps_suppkey) as supplier_cnt from partsupp, part \
     where p_partkey = ps_partkey and p_brand <> 'Brand#45' and p_type not like 'MEDIUM POLISHED%' \
     and p_size in (49, 14, 23, 45, 19, 3, 36, 9) and ps_suppkey not in (select s_suppkey from supplier \
     where s_comment like '%Customer%Complaints%') group by p_brand, p_type, p_size \
     order by supplier_cnt desc, p_brand, p_type, p_size",
    "select sum(l_extendedprice) / 7.0 as avg_yearly from lineitem, part where p_partkey = l_partkey \
     and p_brand = 'Brand#23' and p_container like 'MED%' and l_quantity < (select 0.6 * avg(l_quantity) \
     from lineitem where l_partkey = p_partkey)",
    "select c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) from customer, orders, \
     lineitem where o_orderkey in (select l_orderkey from lineitem group by l_orderkey \
     having sum(l_quantity) > 250) and c_custkey = o_custkey and o_orderkey = l_orderkey \
     group by c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice order by o_totalprice desc, o_orderdate, \
     o_orderkey limit 100",
    "select sum(l_extendedprice * (1 - l_discount)) as revenue from lineitem, part where (p_partkey = l_partkey \
     and p_brand = 'Brand#12' and p_container in ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG') and l_quantity >= 1 \
     and l_quantity <= 11 and p_size between 1 and 45 and l_shipmode in ('AIR', 'REG AIR') \
     and l_shipinstruct = 'DELIVER IN PERSON') or (p_partkey = l_partkey and p_brand = 'Brand#23' \
     and p_container in ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK') and l_quantity >= 10 and l_quantity <= 20 \
     and p_size between 1 and 40 and l_shipmode in ('AIR', 'REG AIR') \
     and l_shipinstruct = 'DELIVER IN PERSON')",
    "select s_name, s_address from supplier, nation where s_suppkey in (select ps_suppkey from partsupp \
     where ps_partkey in (select p_partkey from part where p_name like 'forest%') and ps_availqty > (select \
     0.5 * sum(l_quantity) from lineitem where l_partkey = ps_partkey and l_suppkey = ps_suppkey \
     and l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year)) \
     and s_nationkey = n_nationkey and n_name = 'CANADA' order by s_name",
    "select s_name, count(*) as numwait from supplier, lineitem l1, orders, nation where s_suppkey = l1.l_suppkey \
     and o_orderkey = l1.l_orderkey and o_orderstatus = 'F' and l1.l_receiptdate > l1.l_commitdate \
     and exists (select * from lineitem l2 where l2.l_orderkey = l1.l_orderkey \
     and l2.l_suppkey <> l1.l_suppkey) and not exists (select * from lineitem l3 \
     where l3.l_orderkey = l1.l_orderkey and l3.l_suppkey <> l1.l_suppkey \
     and l3.l_receiptdate > l3.l_commitdate) and s_nationkey = n_nationkey and n_name = 'SAUDI ARABIA' \
     group by s_name order by numwait desc, s_name limit 100",
    "select cntrycode, count(*) as numcust, sum(c_acctbal) as totacctbal from (select \
     substring(c_phone from 1 for 2) as cntrycode, c_acctbal from customer where substring(c_phone from 1 for 2) \
     in ('13', '31', '23', '29', '30', '18', '17') and c_acctbal > (select avg(c_acctbal) from customer \
     where c_acctbal > 0.00 and substring(c_phone from 1 for 2) in ('13', '31', '23', '29', '30', '18', '17')) \
     and not exists (select * from orders where o_custkey = c_custkey)) as custsale group by cntrycode \
     order by cntrycode",
];

/// Statements beside the benchmark's own, with the greatest ratio to one server that is wanted.
pub const OTHERS: [(&str, f64, &str); 4] = [
    (
        "count of all rows",
        1.1,
        "SELECT COUNT(*) FROM lineitem WHERE l_quantity > 3",
    ),
    (
        "sums of all rows",
        1.1,
        "SELECT SUM(l_quantity), SUM(l_extendedprice), MAX(l_shipdate) FROM lineitem",
    ),
    (
        "groups of all rows",
        1.1,
        "SELECT l_shipmode, COUNT(*), SUM(l_quantity) FROM lineitem GROUP BY l_shipmode ORDER BY 1",
    ),
    (
        "join by the key",
        1.5,
        "SELECT o_orderpriority, COUNT(*), SUM(l_quantity) FROM orders JOIN lineitem \
         ON l_orderkey = o_orderkey WHERE o_totalprice > 2000 GROUP BY o_orderpriority ORDER BY 1",
    ),
];
