//! The connections of a session: home, and the branches that it has opened.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use openpeta_mysql_wire::Status;

use super::Failure;
use super::transaction::Transaction;
use super::variables::Variables;
use crate::node::{Connector, NodeConnection, NodeLogin, Reply, kill};
use crate::service::{Entry, Instance, Running};
use crate::topology::Topology;

/// Longer statements, in bytes, are sent alone.
const TOGETHER: usize = 1 << 20;

/// A session's connections to nodes.
#[derive(Debug)]
pub struct Nodes {
    instance: Arc<Instance>,
    home: NodeConnection,
    branches: BTreeMap<u16, Branch>,
    login: Option<NodeLogin>,
    variables: Arc<Variables>,
    transaction: Option<Transaction>,
    entry: Entry,
    /// How branches are connected to.
    connector: Connector,
    /// Where a branch may be in a transaction that shows a read one moment.
    looking: Vec<u16>,
    /// As of which changes of the instance all branches are to nodes of it.
    as_of: u64,
}

/// A connection to a node that is not home.
#[derive(Debug)]
struct Branch {
    connection: NodeConnection,
    /// Where the node listens that it is to.
    socket: PathBuf,
    /// What was last set there.
    variables: Option<Arc<Variables>>,
    /// A command is under way: what it runs is to be killed when nobody waits for it any more.
    busy: bool,
    /// The session's prepared statements by home's numbers, under the node's own.
    prepared: HashMap<u32, u32>,
}

impl Nodes {
    pub(super) fn new(
        instance: Arc<Instance>,
        home: NodeConnection,
        login: Option<NodeLogin>,
        connector: Connector,
    ) -> Self {
        Self {
            entry: instance.enter(home.thread_id()),
            instance,
            home,
            branches: BTreeMap::new(),
            login,
            variables: Arc::default(),
            transaction: None,
            connector,
            looking: Vec::new(),
            as_of: 0,
        }
    }

    /// The instance that they are of.
    #[must_use]
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// What others may know of the session.
    #[must_use]
    pub fn running(&self) -> &Arc<Running> {
        self.entry.running()
    }

    /// The session's connection to home.
    pub fn home(&mut self) -> &mut NodeConnection {
        &mut self.home
    }

    /// The session's variables, as home told them last.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Asks home for the session's variables.
    pub(super) async fn learn_variables(&mut self) -> Result<(), Failure> {
        let reply = self.home.query(Variables::question()).await;
        let rows = match reply.map_err(Failure::Home)? {
            Reply::Rows(rows) => rows.texts(),
            Reply::Ok(_) => Ok(Vec::new()),
            Reply::Err(error) => return Err(error.into()),
        };
        let row = rows.map_err(|error| Failure::Home(error.into()))?.pop();
        self.variables = Arc::new(Variables::of_row(row.unwrap_or_default()));
        Ok(())
    }

    /// As whom branches are connected to from now on.
    pub(super) fn set_login(&mut self, login: Option<NodeLogin>) {
        self.login = login;
    }

    /// As whom branches are connected to.
    #[must_use]
    pub fn login(&self) -> Option<&NodeLogin> {
        self.login.as_ref()
    }

    /// The transaction over nodes that is open.
    #[must_use]
    pub fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    pub(super) fn transaction_mut(&mut self) -> Option<&mut Transaction> {
        self.transaction.as_mut()
    }

    pub(super) fn set_transaction(&mut self, transaction: Transaction) {
        self.running().set_transaction(Some(transaction.id.number));
        self.transaction = Some(transaction);
    }

    pub(super) fn take_transaction(&mut self) -> Option<Transaction> {
        self.running().set_transaction(None);
        self.transaction.take()
    }

    /// Notes that a statement may write on a node.
    pub(super) fn wrote(&mut self, node: u16) {
        if let Some(wrote) = self
            .transaction
            .as_mut()
            .and_then(|it| it.nodes.get_mut(&node))
        {
            *wrote = true;
        }
    }

    /// The connection to a node, if there is one.
    pub(super) fn existing(&mut self, node: u16) -> Option<&mut NodeConnection> {
        match node {
            Topology::HOME => Some(&mut self.home),
            _ => self
                .branches
                .get_mut(&node)
                .map(|branch| &mut branch.connection),
        }
    }

    /// The connection to a node that is there for certain.
    pub(super) fn joined(&mut self, node: u16) -> &mut NodeConnection {
        self.existing(node).expect("it is part of the transaction")
    }

    /// The connection to a node, opened if it is not yet, with the session's variables and in its
    /// transaction.
    ///
    /// # Errors
    /// [`Failure::Branch`] when it is not reached.
    pub async fn node(&mut self, node: u16) -> Result<&mut NodeConnection, Failure> {
        if node != Topology::HOME {
            self.open(node).await?;
        }
        self.join(node).await?;
        match node {
            Topology::HOME => Ok(&mut self.home),
            _ => {
                let branch = self.branches.get_mut(&node).expect("opened above");
                branch.busy = true;
                Ok(&mut branch.connection)
            }
        }
    }

    /// Makes a node ready for a statement of that length, as [`Self::node`]. What is told has to be run there ahead
    /// of the statement, together with it: where that can be, the node's part of the transaction begins so, and the
    /// node is not asked once more.
    pub(super) async fn begin_on(
        &mut self,
        node: u16,
        length: usize,
    ) -> Result<Vec<String>, Failure> {
        if node != Topology::HOME {
            self.open(node).await?;
        }
        let is_short = length < TOGETHER && self.joined(node).takes_several();
        if let Some(transaction) = &mut self.transaction
            && is_short
            && !transaction.broken
            && !transaction.nodes.contains_key(&node)
        {
            let start = transaction.start(node);
            transaction.nodes.insert(node, false);
            if let Some(branch) = self
                .branches
                .get_mut(&node)
                .filter(|_| node != Topology::HOME)
            {
                branch.busy = true;
            }
            return Ok(start);
        }
        self.node(node).await?;
        Ok(Vec::new())
    }

    /// The connections to several nodes, home among them or not, each opened and made ready.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub async fn several(
        &mut self,
        nodes: &[u16],
    ) -> Result<Vec<(u16, &mut NodeConnection)>, Failure> {
        for node in nodes {
            self.node(*node).await?;
        }
        let mut found = Vec::with_capacity(nodes.len());
        if nodes.contains(&Topology::HOME) {
            found.push((Topology::HOME, &mut self.home));
        }
        for (node, branch) in &mut self.branches {
            // Home's rows may be read over a connection besides the session's.
            if nodes.contains(node) && *node != Topology::HOME {
                branch.busy = true;
                found.push((*node, &mut branch.connection));
            }
        }
        Ok(found)
    }

    /// Home, and connections that rows can be read from. Outside of a transaction home's own rows are
    /// read over a connection besides the session's, as a branch; inside of one, by the session's own.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub async fn readers(
        &mut self,
        nodes: &[u16],
        in_transaction: bool,
    ) -> Result<(&mut NodeConnection, Vec<(u16, &mut NodeConnection)>), Failure> {
        let is_read =
            |node: u16| nodes.contains(&node) && !(in_transaction && node == Topology::HOME);
        if in_transaction && nodes.contains(&Topology::HOME) {
            self.join(Topology::HOME).await?;
        }
        for node in nodes.iter().filter(|node| is_read(**node)) {
            self.open(*node).await?;
            if in_transaction {
                self.join(*node).await?;
            }
        }
        let mut found = Vec::with_capacity(nodes.len());
        for (node, branch) in &mut self.branches {
            if is_read(*node) {
                branch.busy = true;
                found.push((*node, &mut branch.connection));
            }
        }
        Ok((&mut self.home, found))
    }

    /// Notes that branches begin a transaction to show a read one moment, until [`Self::has_looked`].
    pub(crate) fn look(&mut self, nodes: &[u16]) {
        self.looking = nodes.to_vec();
    }

    /// Notes that these have ended.
    pub(crate) fn has_looked(&mut self) {
        self.looking.clear();
    }

    /// The connection to a node that needs nothing before a statement, as [`Self::node`] would leave it;
    /// `None` if there is something to do.
    pub(super) fn ready(&mut self, node: u16) -> Option<&mut NodeConnection> {
        self.forget_removed();
        if let Some(transaction) = &self.transaction
            && (transaction.broken || !transaction.nodes.contains_key(&node))
        {
            return None;
        }
        if node == Topology::HOME {
            return Some(&mut self.home).filter(|home| home.due() == 0);
        }
        let branch = self.branches.get_mut(&node)?;
        let variables = branch.variables.as_ref()?;
        if !Arc::ptr_eq(variables, &self.variables) || branch.connection.due() > 0 {
            return None;
        }
        branch.busy = true;
        Some(&mut branch.connection)
    }

    /// A node's number of a statement that home has prepared, if it has one.
    pub(super) fn known_as(&self, node: u16, id: u32) -> Option<u32> {
        match node {
            Topology::HOME => Some(id),
            _ => self.branches.get(&node)?.prepared.get(&id).copied(),
        }
    }

    /// Whether a statement on a node needs no transaction to begin there before.
    pub(super) fn has_begun_on(&self, node: u16) -> bool {
        match &self.transaction {
            Some(transaction) => transaction.nodes.contains_key(&node),
            None => self.home.status().contains(Status::AUTOCOMMIT),
        }
    }

    /// Makes a node part of the transaction, if there is one.
    pub(super) async fn join(&mut self, node: u16) -> Result<(), Failure> {
        if self.transaction.as_ref().is_some_and(|it| it.broken) {
            return Err(Failure::of_node(node, crate::node::NodeError::closed()));
        }
        let start = match &self.transaction {
            Some(transaction) if !transaction.nodes.contains_key(&node) => transaction.start(node),
            _ => return Ok(()),
        };
        let connection = self.joined(node);
        let replies = connection.query_all(&start).await;
        let replies = replies.map_err(|source| Failure::of_node(node, source))?;
        if let Some(transaction) = &mut self.transaction {
            transaction.nodes.insert(node, false);
        }
        for reply in replies {
            reply.ok()?;
        }
        Ok(())
    }

    /// Whether what a branch writes would wait for the end of a transaction that the session does not know.
    fn is_left_in_transaction(&self, node: u16) -> bool {
        let transaction = self.transaction.as_ref();
        let is_known = transaction.is_some_and(|it| it.nodes.contains_key(&node));
        let branch = self.branches.get(&node).filter(|_| !is_known);
        branch.is_some_and(|it| it.connection.status().contains(Status::IN_TRANS))
    }

    /// Lets go of branches to nodes that have left the instance: another may have the number of one since.
    fn forget_removed(&mut self) {
        let changes = self.instance.changes();
        if changes == self.as_of {
            return;
        }
        self.as_of = changes;
        let topology = self.instance.topology();
        let removed = |(node, branch): (&u16, &Branch)| {
            (topology.socket(*node) != Some(&branch.socket)).then_some(*node)
        };
        let removed: Vec<u16> = self.branches.iter().filter_map(removed).collect();
        for node in removed {
            self.lose(node);
        }
    }

    async fn open(&mut self, node: u16) -> Result<(), Failure> {
        let failed = |source| Failure::Branch { node, source };
        self.forget_removed();
        if self.is_left_in_transaction(node) {
            tracing::error!(node, "a branch was in a transaction that nobody has begun");
            self.lose(node);
        }
        if !self.branches.contains_key(&node) {
            let login = self.login.clone().ok_or_else(|| {
                Failure::from(crate::Refusal::new(
                    "account-unknown",
                    "the service does not know this account, so it cannot reach other nodes for it",
                ))
            })?;
            let topology = self.instance.topology();
            let socket = topology.socket(node).map(std::path::Path::to_owned);
            let socket = socket.ok_or_else(|| failed(crate::node::NodeError::closed()))?;
            // One that is down is told of at once.
            let connection = NodeConnection::connect_by(&self.connector, &socket, &login).await;
            let connection = connection.map_err(failed)?;
            // Where it was lost, it may not have all yet that was acknowledged.
            self.instance.doubt().wait(&[node]).await?;
            let branch = Branch {
                connection,
                socket,
                variables: None,
                busy: false,
                prepared: HashMap::new(),
            };
            let thread = branch.connection.thread_id();
            self.running().set_branch(node, Some(thread));
            self.branches.insert(node, branch);
        }
        let branch = self.branches.get_mut(&node).expect("opened above");
        let before = branch.variables.as_ref();
        if before.is_some_and(|before| Arc::ptr_eq(before, &self.variables)) {
            return Ok(());
        }
        let mut statements = Vec::new();
        statements.extend(self.variables.change(before.map(Arc::as_ref)));
        let had = before.and_then(|before| before.database.as_ref());
        let topology = self.instance.topology();
        if let Some(database) = &self.variables.database
            && had != Some(database)
        {
            statements.push(format!("USE `{}`", database.replace('`', "``")));
        }
        if statements.is_empty() {
            branch.variables = Some(Arc::clone(&self.variables));
            return Ok(());
        }
        let database = self.variables.database.as_deref();
        let is_at_home_alone = database.is_some_and(|database| !topology.is_spread(database));
        branch.busy = true;
        for reply in branch
            .connection
            .query_all(&statements)
            .await
            .map_err(failed)?
        {
            match reply {
                // The database may exist at home alone; names without one are never sent then. Who has
                // rights on some databases only is not told that it does not exist.
                Reply::Err(error) if error.code == 1049 => {}
                Reply::Err(error) if error.code == 1044 && is_at_home_alone => {}
                Reply::Err(error) => return Err(error.into()),
                _ => {}
            }
        }
        branch.busy = false;
        branch.variables = Some(Arc::clone(&self.variables));
        Ok(())
    }

    /// A node's number of a statement that home has prepared, which is prepared there if it is not yet.
    pub(super) async fn prepared(
        &mut self,
        node: u16,
        id: u32,
        text: &[u8],
    ) -> Result<u32, Failure> {
        let Some(branch) = self
            .branches
            .get_mut(&node)
            .filter(|_| node != Topology::HOME)
        else {
            return Ok(id);
        };
        if let Some(known) = branch.prepared.get(&id) {
            return Ok(*known);
        }
        let prepared = branch.connection.prepare(text).await;
        let prepared = prepared.map_err(|source| Failure::of_node(node, source))??;
        branch.prepared.insert(id, prepared.id);
        Ok(prepared.id)
    }

    /// Home has forgotten a statement, so others need not know it any more.
    pub(super) async fn close_prepared(&mut self, id: u32) {
        for branch in self.branches.values_mut() {
            if let Some(theirs) = branch.prepared.remove(&id) {
                // A connection that is lost is noticed when it is next used.
                let _ = branch.connection.close_statement(theirs).await;
            }
        }
    }

    /// Notes that no command is under way on any branch.
    pub fn rest(&mut self) {
        for branch in self.branches.values_mut() {
            branch.busy = false;
        }
    }

    /// Reads replies that nobody waits for any more: what is asked next must not be answered by them, nor
    /// become part of a transaction that a read has left behind.
    ///
    /// # Errors
    /// [`Failure::Home`].
    pub(super) async fn drain(&mut self) -> Result<(), Failure> {
        for node in std::mem::take(&mut self.looking) {
            self.lose(node);
        }
        let mut lost = Vec::new();
        for (node, branch) in &mut self.branches {
            if branch.connection.drain().await.is_err() {
                lost.push(*node);
            }
        }
        for node in lost {
            self.lose(node);
        }
        self.home.drain().await.map_err(Failure::Home)
    }

    /// Lets go of a branch, whatever it does.
    pub(super) fn lose(&mut self, node: u16) {
        self.instance.doubt().look();
        self.branches.remove(&node);
        self.running().set_branch(node, None);
        if let Some(transaction) = &mut self.transaction {
            transaction.broken |= transaction.nodes.contains_key(&node);
        }
    }

    /// Lets go of all branches and of the transaction; what branches run is killed.
    pub(super) fn abandon(&mut self) {
        if let Some(transaction) = self.take_transaction() {
            self.instance.life().end_transaction(&transaction.id);
        }
        let branches = std::mem::take(&mut self.branches);
        for node in branches.keys() {
            self.running().set_branch(*node, None);
        }
        let mut running: Vec<(u16, u32)> = branches
            .into_iter()
            .filter(|(_, branch)| branch.busy || branch.connection.due() > 0)
            .map(|(node, branch)| (node, branch.connection.thread_id()))
            .collect();
        if self.home.due() > 0 {
            running.push((Topology::HOME, self.home.thread_id()));
        }
        for (node, thread) in running {
            let topology = self.instance.topology();
            let socket = topology.socket(node).map(std::path::Path::to_owned);
            if let (Some(socket), Some(login)) = (socket, self.login.clone()) {
                tokio::spawn(async move {
                    if let Err(error) = kill(&socket, &login, thread).await {
                        tracing::debug!(node, %error, "a branch could not be killed");
                    }
                });
            }
        }
    }
}
