-- Transfers between two rows of different partitions: in one transaction, or (--atomic=off) as two statements
-- of which either may be lost.

sysbench.cmdline.options = {
   rows = {"Accounts", 10000},
   atomic = {"Both statements in one transaction", true},
}

function thread_init()
   con = sysbench.sql.driver():connect()
end

function thread_done()
   con:disconnect()
end

function event()
   local from = sysbench.rand.uniform(1, sysbench.opt.rows - 1)
   local to = from + 1 -- the next partition, and so the other node of two
   if sysbench.opt.atomic then con:query("BEGIN") end
   con:query("UPDATE accounts SET money = money - 1 WHERE id = " .. from)
   con:query("UPDATE accounts SET money = money + 1 WHERE id = " .. to)
   if sysbench.opt.atomic then con:query("COMMIT") end
end

function sysbench.hooks.sql_error_ignorable(error)
   -- Two transfers may wait for each other.
   return error.sql_errno == 1213 or error.sql_errno == 1205
end
