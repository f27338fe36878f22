//! Objects that the examples of actions are about: with what is made here, the call that an
//! action's page shows succeeds.
//!
//! What an example needs is made when it is asked for, anew each time it is used up: an account
//! to delete, a table to alter. So an action needs nothing here but its placeholders, and a line
//! in [`Examples::arrange`] when it presumes more than they say.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use openpeta_rpc_api::{Action, ActionSpec, docs};
use serde_json::{Value, json};

use crate::{Api, DATABASE, Login, PASSWORD, Service, USER, admin, wait_for};

/// The table that examples are about.
const TABLE: &str = "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2))";

/// What would not leave [`DATABASE`] as it was.
const ENDS_OR_RESIZES: [Action; 2] = [Action::DeleteDatabase, Action::ModifyDatabaseNodesSpec];

/// A port that no other public endpoint of these tests has: all instances share the address.
fn next_public_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(3_400);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A tenant's instance, with what else the examples of actions need.
pub struct Examples {
    api: Api,
    data_dir: PathBuf,
    instance: String,
    login: Login,
    /// An instance that was restored from [`DATABASE`], once it was needed.
    copy: Option<String>,
    /// How many names were given out.
    names: u32,
}

impl Examples {
    /// Orders an instance for them.
    ///
    /// # Panics
    /// When it does not become ACTIVE.
    #[must_use]
    pub fn new(service: &Service, api: Api) -> Self {
        let instance = api.order(&[]).expect("an order is taken");
        let login = api.wait_active(&instance);
        Self {
            api,
            data_dir: service.data_dir().to_owned(),
            instance,
            login,
            copy: None,
            names: 0,
        }
    }

    /// The instance that most examples are about.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// How to log in to the instance.
    #[must_use]
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// The parameters of an action's example; the objects in it exist when this returns, and
    /// nothing is being done to them.
    ///
    /// # Panics
    /// When one cannot be made.
    pub fn parameters(&mut self, action: Action) -> Vec<(&'static str, String)> {
        self.settle();
        self.arrange(action);
        let filled = action
            .spec()
            .example
            .iter()
            .map(|(name, value)| (*name, self.value(action, value)))
            .collect();
        self.settle();
        filled
    }

    /// The parameters of an action's example with what is there anyway, the instance and its
    /// first database and account, and in the place of others what the docs show.
    #[must_use]
    pub fn presumed(&self, spec: &'static ActionSpec) -> Vec<(&'static str, String)> {
        let shown = docs::example_parameters(spec).into_iter();
        spec.example
            .iter()
            .zip(shown)
            .map(|((name, template), (_, shown))| match *template {
                "{InstanceId}" => (*name, self.instance.clone()),
                "{DBName}" => (*name, DATABASE.to_owned()),
                "{AccountName}" => (*name, USER.to_owned()),
                _ => (*name, shown.to_owned()),
            })
            .collect()
    }

    /// Waits until the instance's tasks are done.
    ///
    /// # Panics
    /// When one is not in time.
    pub fn settle(&self) {
        wait_for("the end of the instance's tasks", || {
            let is_over =
                |task: &Value| !task["finish_at"].is_null() || task["stuck"] == json!(true);
            self.tasks().iter().all(is_over).then_some(())
        });
    }

    /// What an example presumes besides the objects that it names.
    fn arrange(&mut self, action: Action) {
        match action {
            Action::CreateTable => self.sql("DROP TABLE IF EXISTS orders"),
            Action::ModifyTable
            | Action::DeleteTable
            | Action::TruncateTable
            | Action::DescribeTables
            | Action::DescribeTableInfo
            | Action::CreateIndex
            | Action::DeleteIndex => {
                self.sql("DROP TABLE IF EXISTS orders");
                self.sql(TABLE);
                if action == Action::DeleteIndex {
                    self.sql("CREATE INDEX by_total ON orders (total)");
                }
            }
            Action::SwitchInstanceNetType => self.leave_vpc(),
            Action::AllocateInstancePublicConnection => self.release_public_connection(),
            _ => {}
        }
    }

    /// What stands in the place of a placeholder; other values are themselves.
    fn value(&mut self, action: Action, value: &str) -> String {
        match value {
            "{InstanceId}" if action == Action::DeleteInstance => self.instance_to_delete(),
            "{InstanceId}" => self.instance.clone(),
            "{DBName}" if ENDS_OR_RESIZES.contains(&action) => self.database(),
            "{DBName}" => DATABASE.to_owned(),
            "{NewDBName}" => {
                self.delete_other_databases();
                self.name("db")
            }
            "{AccountName}" => self.account(),
            "{NewAccountName}" => {
                self.delete_other_accounts();
                self.name("new")
            }
            "{TaskId}" => {
                let tasks = self.tasks();
                let first = tasks.last().expect("the instance was ordered");
                first["task_id"].as_str().expect("a text").to_owned()
            }
            "{VpcId}" => self.network("vpc-list", "vpc_id"),
            "{VSwitchId}" => self.network("vswitch-list", "vswitch_id"),
            "{ConnectionString}" => {
                let (host, port) = self
                    .endpoint(|kind| kind != "PUBLIC")
                    .expect("a default one");
                format!("{host}:{port}")
            }
            "{ConnectionStringPrefix}" => format!("shop-{}", next_public_port()),
            "{PublicPort}" => next_public_port().to_string(),
            "{PublicConnectionString}" => self.public_connection(),
            "{BackupId}" => self.backup(),
            "{NewInstanceId}" => self.copy(),
            placeholder if placeholder.starts_with('{') && !placeholder.contains('"') => {
                panic!("say what {placeholder} stands for in {action:?}")
            }
            literal => literal.to_owned(),
        }
    }

    fn leave_vpc(&self) {
        if self.endpoint(|kind| kind == "VPC").is_some() {
            let classic = ("TargetNetworkType", "Classic");
            self.call("SwitchInstanceNetType", &[classic]);
            self.settle();
        }
    }

    /// The public endpoint's host and port, made if there is none.
    fn public_connection(&self) -> String {
        let is_public = |kind: &str| kind == "PUBLIC";
        if self.endpoint(is_public).is_none() {
            self.call("AllocateInstancePublicConnection", &[]);
            self.settle();
        }
        let (host, port) = self.endpoint(is_public).expect("it was made");
        format!("{host}:{port}")
    }

    fn release_public_connection(&self) {
        if let Some((host, port)) = self.endpoint(|kind| kind == "PUBLIC") {
            let current = format!("{host}:{port}");
            let parameters = [("CurrentConnectionString", &*current)];
            self.call("ReleaseInstancePublicConnection", &parameters);
            self.settle();
        }
    }

    /// Host and port of the first endpoint whose kind is as asked for.
    fn endpoint(&self, wanted: impl Fn(&str) -> bool) -> Option<(String, String)> {
        let info = self.call("DescribeInstanceInfo", &[]);
        let items = info["NetworkInfoItems"]["NetworkInfoItem"].as_array();
        let text = |item: &Value, name: &str| item[name].as_str().expect("a text").to_owned();
        let is_wanted =
            |item: &&Value| item["ExpiredTime"].is_null() && wanted(&text(item, "NetworkType"));
        let item = items.expect("a list").iter().find(is_wanted)?;
        Some((text(item, "ConnectionString"), text(item, "Port")))
    }

    /// The default VPC or VSwitch.
    fn network(&self, command: &str, id: &str) -> String {
        let list = admin::ask(&self.data_dir, &json!({"command": command}));
        let list = list.expect("networks can be listed");
        let is_default = |item: &&Value| item["name"] == "default";
        let default = list.as_array().expect("a list").iter().find(is_default);
        default.expect("there is one")[id]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    fn instance_to_delete(&self) -> String {
        let instance = self.api.order(&[]).expect("an order is taken");
        let _ = self.api.wait_active(&instance);
        instance
    }

    /// An account without any history, with [`PASSWORD`] and a privilege on [`DATABASE`].
    fn account(&mut self) -> String {
        self.delete_other_accounts();
        let name = self.name("acc");
        self.call(
            "CreateAccount",
            &[
                ("AccountName", &name),
                ("AccountPassword", PASSWORD),
                ("DBName", DATABASE),
                ("AccountPrivilege", "ReadOnly"),
            ],
        );
        name
    }

    /// A database besides [`DATABASE`], of the smaller spec.
    fn database(&mut self) -> String {
        self.delete_other_databases();
        let name = self.name("db");
        let parameters = [
            ("DBName", name.as_str()),
            ("NodeSpec", "petadata.s2.xlarge"),
            ("NodeNumber", "1"),
        ];
        self.call("CreateDatabase", &parameters);
        self.settle();
        name
    }

    /// Makes room for one more database.
    fn delete_other_databases(&self) {
        let databases = self.call("DescribeDatabases", &[]);
        let databases = databases["Databases"]["Database"].as_array();
        let names = databases.expect("a list").iter();
        for name in names.map(|database| database["DBName"].as_str().expect("a text")) {
            if name != DATABASE {
                self.call("DeleteDatabase", &[("DBName", name)]);
            }
        }
        self.settle();
    }

    /// A backup set of [`DATABASE`] that is whole.
    fn backup(&self) -> String {
        let set = self.call("CreateDatabaseBackup", &[("DBName", DATABASE)]);
        self.settle();
        set["BackupId"].as_str().expect("a text").to_owned()
    }

    /// An instance that was restored from [`DATABASE`], which is alone in its own. Whatever was
    /// switched before, it can be switched with.
    fn copy(&mut self) -> String {
        self.delete_other_databases();
        if let Some(copy) = &self.copy {
            return copy.clone();
        }
        let backup = self.backup();
        let parameters = [
            ("SrcInstanceId", self.instance.as_str()),
            ("SrcDBName", DATABASE),
            ("BackupId", &backup),
        ];
        let answer = self.api.call("RestoreDatabase", &parameters);
        let answer = answer.expect("the set is whole");
        let copy = answer["NewInstanceId"].as_str().expect("an id").to_owned();
        let _ = self.api.wait_active(&copy);
        self.copy = Some(copy.clone());
        copy
    }

    /// Makes room for one more account.
    fn delete_other_accounts(&self) {
        let accounts = self.call("DescribeAccounts", &[]);
        let accounts = accounts["AccountList"]["Account"].as_array();
        let names = accounts.expect("a list").iter();
        for name in names.map(|account| account["AccountName"].as_str().expect("a text")) {
            if name != USER {
                self.call("DeleteAccount", &[("AccountName", name)]);
            }
        }
        self.settle();
    }

    /// A name that was not used yet.
    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}_{}", self.names)
    }

    /// All tasks of the instance, newest first.
    fn tasks(&self) -> Vec<Value> {
        let list = json!({"command": "task-list", "instance_id": self.instance, "limit": 10_000});
        let tasks = admin::ask(&self.data_dir, &list).expect("tasks can be listed");
        tasks.as_array().expect("a list").clone()
    }

    fn sql(&self, statement: &str) {
        let session = self.login.connect();
        let done = session.and_then(|mut session| session.query(statement));
        done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }

    /// Calls an action on the instance; it must succeed.
    fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters = [&[("InstanceId", self.instance.as_str())], parameters].concat();
        let answer = self.api.call(action, &parameters);
        answer.unwrap_or_else(|error| panic!("{action} {parameters:?}: {error:?}"))
    }
}
