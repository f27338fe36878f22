-- sysbench's own workloads over tables that are distributed: what stands behind CREATE TABLE is the only difference.
mysql_table_options = os.getenv("TOOL_CLAUSE")
dofile("/usr/share/sysbench/oltp_read_write.lua")
