//! Two nodes: one that is backed up, one that is restored to.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use openpeta_engine::{
    BackupSource, Base, BaseSet, Engine, EngineConfig, EngineError, Manifest, TakenSet,
};
use openpeta_types::NodeId;

use super::{ADMIN_PASSWORD, Bed, SETTINGS, client, db, node};

/// A bed with a node that has the database `shop`, and an empty node to restore to.
pub struct Beds {
    pub bed: Bed,
    pub from: NodeId,
    pub to: NodeId,
}

impl Beds {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a changed configuration.
    pub async fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let (bed, from) = Bed::with_node_and(change).await;
        let to = node("nd-other");
        bed.engine
            .create_node(&to, &SETTINGS)
            .await
            .expect("create");
        bed.engine.start_node(&to).await.expect("start");
        let mut sql = bed.engine.sql(&from).await.expect("connect");
        sql.create_database(&db("shop")).await.expect("create");
        sql.close().await;
        Self { bed, from, to }
    }

    /// The same nodes under an engine with a changed configuration.
    pub async fn reopen(&mut self, change: impl FnOnce(&mut EngineConfig)) {
        change(&mut self.bed.config);
        let opened = Engine::open(self.bed.config.clone()).await;
        self.bed.engine = opened.expect("as before");
    }

    pub async fn connect(&self, node: &NodeId) -> Conn {
        let socket = self.bed.engine.socket_path(node).expect("short enough");
        let mut conn = client(&socket, openpeta_engine::ADMIN_ACCOUNT, ADMIN_PASSWORD)
            .await
            .expect("connect");
        conn.query_drop("USE shop").await.expect("it exists");
        conn
    }

    /// Runs a script as MariaDB's client does.
    pub fn script(&self, node: &NodeId, script: &[u8]) {
        self.script_in(node, "shop", script);
    }

    /// The same in another database.
    pub fn script_in(&self, node: &NodeId, database: &str, script: &[u8]) {
        let socket = self.bed.engine.socket_path(node).expect("short enough");
        let options = self.bed.dir.path().join("client.cnf");
        let text = format!(
            "[client]\nuser=openpeta_admin\npassword=\"{}\"\nsocket=\"{}\"\n",
            ADMIN_PASSWORD,
            socket.display()
        );
        fs::write(&options, text).expect("our own directory");
        let mut client = Command::new("mariadb")
            .arg(format!("--defaults-file={}", options.display()))
            .args([
                "--binary-mode",
                "--comments",
                "--max-allowed-packet=1G",
                database,
            ])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client is installed");
        let mut input = client.stdin.take().expect("piped");
        input.write_all(script).expect("it reads");
        drop(input);
        let output = client.wait_with_output().expect("it ends");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }

    pub fn set(&self, name: &str) -> PathBuf {
        self.bed.dir.path().join("backups/pd-a").join(name)
    }

    pub async fn try_take(&self, name: &str) -> Result<TakenSet, EngineError> {
        let source = BackupSource {
            instance_id: "pd-a".into(),
            db_name: "shop".into(),
            backup_id: name.into(),
        };
        let set = self.set(name);
        let engine = &self.bed.engine;
        engine
            .take_set(&self.from, &db("shop"), &set, &source, &|_, _, _| {})
            .await
    }

    pub async fn take(&self, name: &str) -> TakenSet {
        self.try_take(name).await.expect("a backup")
    }

    /// Takes a set of data files, of what was written since another one if there is a base.
    pub async fn take_files(
        &self,
        name: &str,
        base: Option<&TakenSet>,
    ) -> Result<TakenSet, EngineError> {
        let source = BackupSource {
            instance_id: "pd-a".into(),
            db_name: "shop".into(),
            backup_id: name.into(),
        };
        let base = base.map(|taken| Base {
            set: BaseSet {
                backup_id: taken.manifest.source.backup_id.clone(),
                manifest_sha256: taken.manifest_sha256.clone(),
            },
            lsn: taken.manifest.physical.as_ref().expect("files").to_lsn,
        });
        let (set, database) = (self.set(name), db("shop"));
        self.bed
            .engine
            .take_physical_set(
                &self.from,
                &database,
                &set,
                &source,
                (base.as_ref(), None),
                &|_, _, _| {},
            )
            .await
    }

    /// Loads sets of data files that go on from each other.
    pub async fn load_chain(&self, chain: &[&TakenSet]) -> Result<(), EngineError> {
        let mut sets: Vec<_> = chain
            .iter()
            .map(|taken| {
                let name = &taken.manifest.source.backup_id;
                (self.set(name), taken.manifest.clone())
            })
            .collect();
        let (set, manifest) = sets.pop().expect("one at least");
        let engine = &self.bed.engine;
        engine
            .load_set(&self.to, &db("shop"), &sets, &set, &manifest, &|_, _, _| {})
            .await
    }

    pub async fn check(&self, name: &str, taken: &TakenSet) -> Result<Manifest, EngineError> {
        let set = self.set(name);
        self.bed
            .engine
            .check_set(&set, &taken.manifest_sha256)
            .await
    }

    pub async fn load(&self, name: &str, manifest: &Manifest) -> Result<(), EngineError> {
        let set = self.set(name);
        let engine = &self.bed.engine;
        engine
            .load_set(&self.to, &db("shop"), &[], &set, manifest, &|_, _, _| {})
            .await
    }

    pub async fn verify(&self, manifest: &Manifest) -> Result<(), EngineError> {
        let engine = &self.bed.engine;
        engine
            .verify_set(&self.to, &db("shop"), manifest, &|_, _, _| {})
            .await
    }
}
