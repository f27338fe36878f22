"""Objects that the examples of actions are about: with what is made here, the call that an
action's page shows succeeds."""

import random

import pymysql

from .api import endpoint_of, poll

PASSWORD = "Passw0rd!"
DATABASE = "shop"
USER = "alice"
TABLE = "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2))"
NEEDS_TABLE = {
    "ModifyTable", "DeleteTable", "TruncateTable", "DescribeTables", "DescribeTableInfo", "CreateIndex", "DeleteIndex",
}  # fmt: skip
INSTANCE_PARAMETERS = {"InstanceId", "DBInstanceId", "SrcInstanceId", "SourceInstanceId", "ResourceId.1"}


class Examples:
    """A tenant's instance, with what else the examples of actions need."""

    def __init__(self, service, api):
        self.service = service
        self.api = api
        self.instance = api.order(DBName=DATABASE, AccountName=USER, AccountPassword=PASSWORD)["InstanceId"]
        api.wait_active(self.instance)
        self.copy = None
        self.names = 0

    def parameters(self, action):
        """The parameters of an action's example, with objects that exist and are at rest."""
        self.settle()
        self.arrange(action)
        filled = {name: self.value(action, name, value) for name, value in action.example.items()}
        self.settle()
        return filled

    def settle(self):
        """Waits until nothing is being done to the instance."""
        poll(
            lambda: all(task.get("FinishTime") for task in self.api.tasks(self.instance)),
            60, lambda: f"still at work: {self.api.tasks(self.instance)}",
        )  # fmt: skip

    def arrange(self, action):
        """What an example presumes besides the objects that it names."""
        if action.name == "CreateTable":
            self.sql("DROP TABLE IF EXISTS orders")
        elif action.name in NEEDS_TABLE:
            self.sql("DROP TABLE IF EXISTS orders", TABLE)
            if action.name == "DeleteIndex":
                self.sql("CREATE INDEX by_total ON orders (total)")
        elif action.name == "SwitchInstanceNetType" and self.endpoint("VPC"):
            self.call("SwitchInstanceNetType", TargetNetworkType="Classic")
            self.settle()
        elif action.name == "AllocateInstancePublicConnection" and self.endpoint("PUBLIC"):
            self.call("ReleaseInstancePublicConnection", CurrentConnectionString=self.endpoint("PUBLIC"))
            self.settle()

    def value(self, action, name, shown):
        """What stands in the place of a value that the page shows."""
        if name in INSTANCE_PARAMETERS:
            return self.another_instance() if action.name == "DeleteInstance" else self.instance
        if name == "NewInstanceId":
            return self.restored_copy()
        if name == "DBName" and action.name == "CreateDatabase":
            self.delete_other_databases()
            return self.name("db")
        if name == "DBName" and action.name in ("DeleteDatabase", "ModifyDatabaseNodesSpec"):
            return self.database()
        if name == "BackupId":
            return self.backup()
        if name in ("DBName", "SrcDBName") and action.name != "CreateInstance":
            return DATABASE
        if name == "AccountName" and action.name == "CreateAccount":
            self.delete_other_accounts()
            return self.name("new")
        if name == "AccountName" and action.name != "CreateInstance":
            return self.account()
        if name == "TaskId":
            return self.api.tasks(self.instance)[-1]["TaskId"]
        if name == "ConnectionString":
            return self.endpoint("INTERNAL", "VPC")
        if name == "ConnectionStringPrefix":
            return self.name("shop").replace("_", "-")
        if name == "Port" and action.name == "AllocateInstancePublicConnection":
            # All instances of the machine share the address.
            return random.randrange(3500, 3900)
        if name == "CurrentConnectionString":
            if not self.endpoint("PUBLIC"):
                self.call("AllocateInstancePublicConnection")
                self.settle()
            return self.endpoint("PUBLIC")
        if name == "VpcId":
            return self.api.credentials["vpc_id"]
        if name == "VSwitchId":
            return self.api.credentials["vswitch_id"]
        return shown

    def endpoint(self, *kinds):
        """Host and port of an endpoint of one of these kinds that is there to stay, if there is one."""
        for item in self.api.info(self.instance)["NetworkInfoItems"]["NetworkInfoItem"]:
            if item["NetworkType"] in kinds and not item.get("ExpiredTime"):
                return "{ConnectionString}:{Port}".format_map(item)
        return None

    def another_instance(self):
        instance = self.api.order()["InstanceId"]
        self.api.wait_active(instance)
        return instance

    def backup(self):
        backup = self.call("CreateDatabaseBackup", DBName=DATABASE)["BackupId"]
        self.settle()
        return backup

    def restored_copy(self):
        """An instance that was restored from the database, which is alone in its own."""
        self.delete_other_databases()
        if not self.copy:
            self.copy = self.api.call(
                "RestoreDatabase", SrcInstanceId=self.instance, SrcDBName=DATABASE, BackupId=self.backup()
            )["NewInstanceId"]
            self.api.wait_active(self.copy)
        return self.copy

    def account(self):
        """An account without any history."""
        self.delete_other_accounts()
        name = self.name("acc")
        self.call(
            "CreateAccount", AccountName=name, AccountPassword=PASSWORD, DBName=DATABASE, AccountPrivilege="ReadOnly"
        )
        return name

    def delete_other_accounts(self):
        for account in self.call("DescribeAccounts")["AccountList"]["Account"]:
            if account["AccountName"] != USER:
                self.call("DeleteAccount", AccountName=account["AccountName"])
        self.settle()

    def database(self):
        """A database besides the first, of the smaller spec."""
        self.delete_other_databases()
        name = self.name("db")
        self.call("CreateDatabase", DBName=name, NodeSpec="petadata.s2.xlarge", NodeNumber=1)
        self.settle()
        return name

    def delete_other_databases(self):
        for database in self.call("DescribeDatabases")["Databases"]["Database"]:
            if database["DBName"] != DATABASE:
                self.call("DeleteDatabase", DBName=database["DBName"])
        self.settle()

    def name(self, stem):
        self.names += 1
        return f"{stem}_{self.names}"

    def call(self, action, **parameters):
        return self.api.call(action, InstanceId=self.instance, **parameters)

    def sql(self, *statements):
        host, port = endpoint_of(self.api.info(self.instance))
        with pymysql.connect(host=host, port=port, user=USER, password=PASSWORD, database=DATABASE) as session:
            for statement in statements:
                session.cursor().execute(statement)

    def end(self):
        """Deletes all instances of the tenant, once nothing is being done to them."""
        for instance in self.api.instances():
            poll(
                lambda instance=instance: not self.api.exists(instance)
                or self.api.info(instance)["InstanceStatus"] == "ACTIVE",
                60, f"{instance} is not at rest",
            )  # fmt: skip
            if self.api.exists(instance):
                self.api.delete(instance)
