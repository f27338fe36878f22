//! RestoreDatabase: a new instance with the content of a backup set, or of a point in time.

use jiff::{SignedDuration, Timestamp};
use openpeta_engine::{BinlogPosition, EngineError, Logged, Manifest, ReplayUntil};
use openpeta_rpc_api::ApiError;
use openpeta_rpc_api::backups::{RestoreDatabaseRequest, RestoreDatabaseResponse, RestorePoint};
use openpeta_store::{Account, BackupPolicy, BackupSet, Database, Instance, Reader, Writer};
use openpeta_types::route::AccountLogin;
use openpeta_types::{
    AccountStatus, BackupId, BackupStatus, DbName, Gtid, InstanceId, NodeId, OrderId,
};
use serde::{Deserialize, Serialize};

use super::Moment;
use crate::authorize::{require_database, require_unlocked};
use crate::instance_nodes::is_spread;
use crate::instances::NewInstance;
use crate::parts::Parts;
use crate::workflows::restore_database::{RestoreDatabase, RestoreDatabaseParams};
use crate::{Control, ControlError, MutatingCall, audit, idempotency, random};

/// What a repeated call is answered.
#[derive(Serialize, Deserialize)]
struct Answer {
    instance_id: InstanceId,
    db_name: DbName,
    order_id: OrderId,
}

impl Control {
    /// RestoreDatabase: orders an instance like the source and has the set loaded into it.
    /// Returns when the order is on disk; a task does the rest.
    ///
    /// # Errors
    /// Those of the action's table; nothing is ordered then.
    pub fn restore_database(
        &self,
        call: &MutatingCall,
        request: &RestoreDatabaseRequest,
    ) -> Result<RestoreDatabaseResponse, ControlError> {
        let id = &request.instance_id;
        let answer = self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if let Some(answer) = idempotency::answered::<Answer>(writer, call, token)? {
                audit::record(writer, call, Some(id), None)?;
                return Ok::<_, ControlError>(answer);
            }
            let source = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&source)?;
            let answer = self.place_restore(writer, call, request, source)?;
            idempotency::remember(writer, call, token, &answer)?;
            Ok(answer)
        })?;
        self.parts.wake_reconcilers();
        Ok(RestoreDatabaseResponse {
            instance_id: answer.instance_id,
            db_name: answer.db_name,
            order_id: answer.order_id,
        })
    }

    fn place_restore(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        request: &RestoreDatabaseRequest,
        source: Instance,
    ) -> Result<Answer, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        let database = require_database(writer, id, db_name)?;
        let mut moment = None;
        let (backup_id, until) = match request.point {
            RestorePoint::Set(backup_id) => (backup_id, None),
            RestorePoint::Time(time) if time > call.caller.now => {
                return Err(ApiError::malformed("RestoreTime").into());
            }
            RestorePoint::Time(time) if is_spread(&database) => {
                let (backup_id, last) = self.set_before_moment(writer, &source, &database, time)?;
                moment = last;
                (backup_id, None)
            }
            RestorePoint::Time(time) => {
                let end = ReplayUntil::Second(time);
                self.set_before(writer, &source, db_name, end)?.begin()
            }
            RestorePoint::Transaction { gtid, is_included } if is_spread(&database) => {
                let (mut time, _) = self.time_before(writer, &source, &database, gtid)?;
                if is_included {
                    time = self.time_with(writer, &source, &database, gtid)?;
                }
                let (backup_id, last) = self.set_before_moment(writer, &source, &database, time)?;
                moment = last;
                (backup_id, None)
            }
            RestorePoint::Transaction { gtid, is_included } => {
                let end = end_at(gtid, is_included);
                self.set_before(writer, &source, db_name, end)?.begin()
            }
        };
        let (manifest_sha256, node_number) = whole_set(writer, id, db_name, backup_id)?;
        let charge_type = database.charge_type;
        self.check_instance_order(writer, &call.buyer(), charge_type, node_number)?;
        let placed = self.place_instance(
            writer,
            &call.buyer(),
            NewInstance {
                name: request.instance_name.clone().or(source.name),
                region_id: source.region_id,
                zone_id: source.zone_id,
                network_type: source.network_type,
                vpc_id: source.vpc_id,
                vswitch_id: source.vswitch_id,
                charge_type: database.charge_type,
                db_name: db_name.clone(),
                spec: database.node_spec,
                settings: database.settings,
                node_number,
                source_instance_id: Some(id.clone()),
                whitelist: writer.whitelist_groups(id)?,
                account: None,
            },
        )?;
        let new_id = placed.params.instance_id.clone();
        let set = (id, backup_id, manifest_sha256.as_str());
        self.parts.place_partitions(writer, &new_id, db_name, set)?;
        if request.with_accounts {
            copy_accounts(writer, id, &new_id, db_name)?;
        }
        if request.with_policy {
            copy_policy(writer, id, &new_id, db_name, call.caller.now)?;
        }
        let mut params = RestoreDatabaseParams {
            instance: placed.params,
            db_name: db_name.clone(),
            source_instance_id: id.clone(),
            backup_id,
            manifest_sha256,
            until: None,
            before: None,
            through: None,
            moment,
            with_accounts: request.with_accounts,
        };
        match until {
            Some(ReplayUntil::Second(time)) => params.until = Some(time),
            Some(ReplayUntil::Before(gtid)) => params.before = Some(gtid),
            Some(ReplayUntil::Through(gtid)) => params.through = Some(gtid),
            Some(ReplayUntil::Position { .. }) | None => {}
        }
        let of_database = Some(db_name.clone());
        let task = self.enqueue::<RestoreDatabase>(writer, call, &new_id, of_database, params)?;
        audit::record(writer, call, Some(id), Some(task))?;
        Ok(Answer {
            instance_id: new_id,
            db_name: db_name.clone(),
            order_id: placed.order_id,
        })
    }
}

impl Parts {
    /// Has the partitions of a new database where those of the set are that is restored into it.
    ///
    /// # Errors
    /// `OperationDenied.NotFoundBackup` when the set does not tell.
    pub(crate) fn place_partitions(
        &self,
        writer: &Writer<'_>,
        new_id: &InstanceId,
        db_name: &DbName,
        (source, backup_id, manifest_sha256): (&InstanceId, BackupId, &str),
    ) -> Result<(), ControlError> {
        if !writer.partitions(new_id)?.contains_key(db_name) {
            return Ok(());
        }
        let directory = self.backup_dir(source, backup_id);
        let manifest = self.engine.read_manifest(&directory, manifest_sha256);
        let spread = manifest.ok().and_then(|manifest| manifest.spread);
        let spread = spread.ok_or_else(|| {
            let detail = format!(
                "Backup set {backup_id} does not tell on which nodes partitions are: it is damaged, or its key is missing."
            );
            ApiError::no_backup().with_detail(&detail)
        })?;
        Ok(writer.put_partitions(new_id, db_name, &spread.partitions)?)
    }
}

/// Of how many sets one that a restore to a point in time can begin with is looked for.
const MAX_SETS: u32 = 10_000;

/// Gives a new instance the accounts of its source, with their passwords, limits and what the API
/// granted them on the database. The task makes them on the node.
fn copy_accounts(
    writer: &Writer<'_>,
    source: &InstanceId,
    new: &InstanceId,
    db_name: &DbName,
) -> Result<(), ControlError> {
    let limits = writer.account_limits(source)?;
    for account in writer.accounts(source)? {
        // One that is being made or dropped there is none of which anybody was told.
        if account.status != AccountStatus::Active {
            continue;
        }
        let name = account.name.clone();
        writer.insert_account(&Account {
            instance_id: new.clone(),
            status: AccountStatus::Create,
            login: AccountLogin {
                // On each node another one.
                backend_password: random::backend_password()?,
                ..account.login
            },
            ..account
        })?;
        for grant in writer.grants(source, &name)? {
            if grant.db_name == *db_name {
                writer.set_grant(new, &name, db_name, Some(grant.privilege))?;
            }
        }
        if let Some(limits) = limits.get(name.as_str()) {
            writer.put_account_limits(new, &name, *limits)?;
        }
    }
    Ok(())
}

/// Gives a new database the policy of its source; for a time before it no backup is owed.
fn copy_policy(
    writer: &Writer<'_>,
    source: &InstanceId,
    new: &InstanceId,
    db_name: &DbName,
    now: Timestamp,
) -> Result<(), ControlError> {
    if let Some(policy) = writer.backup_policy(source, db_name)? {
        let policy = BackupPolicy {
            effective_at: now,
            ..policy
        };
        writer.put_backup_policy(new, db_name, &policy)?;
    }
    Ok(())
}

/// A set from which the log is gone on with.
struct Begin {
    backup_id: BackupId,
    position: BinlogPosition,
    /// How far; `None` when the set itself is that.
    end: Option<ReplayUntil>,
}

impl Begin {
    fn begin(self) -> (BackupId, Option<ReplayUntil>) {
        (self.backup_id, self.end)
    }
}

fn end_at(gtid: Gtid, is_included: bool) -> ReplayUntil {
    if is_included {
        ReplayUntil::Through(gtid)
    } else {
        ReplayUntil::Before(gtid)
    }
}

impl Control {
    /// Whether the archived log has the transaction that a restore names, so that one which it
    /// lacks is told now and not by the task. What else is wrong is told by the call itself.
    ///
    /// # Errors
    /// `OperationDenied.NotFoundBackup`.
    pub async fn check_restore_point(
        &self,
        call: &MutatingCall,
        request: &RestoreDatabaseRequest,
    ) -> Result<(), ControlError> {
        if let RestorePoint::Set(_) = request.point {
            return Ok(());
        }
        self.complete_log_for(call, request).await?;
        let RestorePoint::Transaction { gtid, is_included } = request.point else {
            return Ok(());
        };
        let found = self.parts.store.read(|reader| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<Answer>(reader, call, token)?.is_some() {
                return Ok::<_, ControlError>(None);
            }
            let id = &request.instance_id;
            let source = self.active_instance(reader, &call.caller, call.action, id)?;
            let database = require_database(reader, id, &request.db_name)?;
            if is_spread(&database) {
                if is_included {
                    self.time_with(reader, &source, &database, gtid)?;
                }
                let (_, position) = self.time_before(reader, &source, &database, gtid)?;
                let node = NodeId::parse(&position.node).map_err(ControlError::internal)?;
                return Ok(Some((node, position)));
            }
            let end = end_at(gtid, is_included);
            let begin = self.set_before(reader, &source, &request.db_name, end)?;
            let node = source.node_id.filter(|_| begin.end.is_some());
            Ok(node.map(|node| (node, begin.position)))
        })?;
        let Some((node, position)) = found else {
            return Ok(());
        };
        let archive = self.parts.log_archive(&node);
        let engine = &self.parts.engine;
        let logged = engine.find_logged(&archive, &position, gtid).await;
        let what = match logged.map_err(ControlError::unavailable)? {
            Logged::Yes => return Ok(()),
            Logged::NotYet => "does not go as far as",
            Logged::Never => "does not have",
        };
        let detail = format!("The archived binary log {what} transaction {gtid}.");
        Err(ApiError::no_backup().with_detail(&detail).into())
    }

    /// Has what the archived log lacks fetched, for whoever may restore the source.
    async fn complete_log_for(
        &self,
        call: &MutatingCall,
        request: &RestoreDatabaseRequest,
    ) -> Result<(), ControlError> {
        let id = &request.instance_id;
        let source = self
            .parts
            .store
            .read(|reader| self.active_instance(reader, &call.caller, call.action, id))?;
        for node in self.parts.nodes_of(&source.instance_id)? {
            let node = &node.node_id;
            let is_logged = self.parts.is_log_archived(node);
            if is_logged {
                // A set may have been taken, or something committed, since the last look.
                self.parts.archive_log(node, id).await;
            }
            if is_logged || source.node_id.as_ref() == Some(node) {
                self.parts.complete_log(node, id).await;
            }
        }
        Ok(())
    }

    /// The newest set from which the archived log leads to a point.
    fn set_before(
        &self,
        reader: &Reader<'_>,
        source: &Instance,
        db_name: &DbName,
        end: ReplayUntil,
    ) -> Result<Begin, ControlError> {
        let refused = |detail: &str| ApiError::no_backup().with_detail(detail).into();
        let id = &source.instance_id;
        let policy = reader.backup_policy(id, db_name)?.unwrap_or_default();
        if !policy.is_binlog_enabled {
            return Err(refused(NOT_LOGGED));
        }
        let (mut first_reason, mut oldest, mut running) = (None, None, None);
        for set in reader.backup_sets(Some(id), MAX_SETS)? {
            if set.set.db_name != *db_name {
                continue;
            }
            if set.status == BackupStatus::Progress {
                running = Some(set.backup_id);
            }
            if set.status != BackupStatus::Success {
                continue;
            }
            match self.leads_to(&set, source, end) {
                Ok(Leads::On(begin)) => return Ok(begin),
                Ok(Leads::Away(taken_at)) => oldest = Some((set.backup_id, taken_at)),
                Err(reason) => drop(first_reason.get_or_insert(reason)),
            }
        }
        let what = match end {
            ReplayUntil::Second(_) | ReplayUntil::Position { .. } => "that time",
            ReplayUntil::Before(_) | ReplayUntil::Through(_) => "that transaction",
        };
        let none = || {
            let since = match (oldest, running) {
                (Some((id, at)), _) => format!(" The oldest one, {id}, is of {at:.3}."),
                (None, Some(id)) => format!(" Backup set {id} is being taken."),
                (None, None) => String::new(),
            };
            format!("No backup set was taken before {what}.{since}")
        };
        Err(refused(&first_reason.unwrap_or_else(none)))
    }

    /// The newest set of a database over nodes from before a time, and the last moment before that time to
    /// which the archived logs lead on from it; without one the set itself is that moment.
    fn set_before_moment(
        &self,
        reader: &Reader<'_>,
        source: &Instance,
        database: &Database,
        time: Timestamp,
    ) -> Result<(BackupId, Option<Moment>), ControlError> {
        let refused = |detail: &str| ApiError::no_backup().with_detail(detail).into();
        let (id, db_name) = (&source.instance_id, &database.db_name);
        let policy = reader.backup_policy(id, db_name)?.unwrap_or_default();
        if !policy.is_binlog_enabled {
            return Err(refused(NOT_LOGGED));
        }
        let home = source.node_id.as_ref();
        let moment = match home {
            Some(home) => self.parts.moment_before(home, time)?,
            None => None,
        };
        let mut first_reason = None;
        for set in reader.backup_sets(Some(id), MAX_SETS)? {
            if set.set.db_name != *db_name || set.status != BackupStatus::Success {
                continue;
            }
            match self.leads_to_moment(&set, source, time, moment.as_ref()) {
                Ok(Some(moment)) => return Ok((set.backup_id, moment)),
                Ok(None) => {}
                Err(reason) => drop(first_reason.get_or_insert(reason)),
            }
        }
        let none = || "No backup set was taken before that time.".to_owned();
        Err(refused(&first_reason.unwrap_or_else(none)))
    }

    /// The time of the last moment, or set, from before a transaction of one of the nodes, and where that
    /// node's log was then.
    fn time_before(
        &self,
        reader: &Reader<'_>,
        source: &Instance,
        database: &Database,
        gtid: Gtid,
    ) -> Result<(Timestamp, BinlogPosition), ControlError> {
        // Each node names its transactions by a server of its own.
        let its = |positions: Vec<BinlogPosition>| {
            positions.into_iter().find(|position| {
                let last = gtid.of_domain(&position.gtid);
                last.is_some_and(|last| last.server == gtid.server && last.sequence < gtid.sequence)
            })
        };
        let mut found = None;
        if let Some(home) = &source.node_id {
            let moments = self.parts.moments_of(home)?.into_iter().rev();
            let mut moments = moments.filter_map(|moment| Some((moment.at, its(moment.nodes)?)));
            found = moments.next();
        }
        for manifest in self.whole_manifests(reader, source, database)? {
            let after = manifest.taken_at + SignedDuration::from_nanos(1);
            if found.as_ref().is_none_or(|(at, _)| *at < after)
                && let Some(position) = its(manifest.binlogs())
            {
                found = Some((after, position));
            }
        }
        found.ok_or_else(|| {
            let detail = format!(
                "No moment of all nodes, and no backup set, is from before transaction {gtid} of one of them."
            );
            ApiError::no_backup().with_detail(&detail).into()
        })
    }

    /// The time of the first moment, or set, that has a transaction of one of the nodes, and so all that it
    /// did on others.
    fn time_with(
        &self,
        reader: &Reader<'_>,
        source: &Instance,
        database: &Database,
        gtid: Gtid,
    ) -> Result<Timestamp, ControlError> {
        let has = |positions: &[BinlogPosition]| {
            positions.iter().any(|position| {
                let last = gtid.of_domain(&position.gtid);
                last.is_some_and(|last| {
                    last.server == gtid.server && last.sequence >= gtid.sequence
                })
            })
        };
        let mut found = None;
        if let Some(home) = &source.node_id {
            let mut moments = self.parts.moments_of(home)?.into_iter();
            found = moments.find(|moment| has(&moment.nodes));
        }
        let sets = self.whole_manifests(reader, source, database)?;
        let sets = sets.iter().filter(|manifest| has(&manifest.binlogs()));
        // What is asked for is what is there right behind the set.
        let sets = sets.map(|manifest| manifest.taken_at + SignedDuration::from_nanos(1));
        let first = sets.chain(found.map(|moment| moment.at)).min();
        first.ok_or_else(|| {
            let detail = format!(
                "No moment of all nodes was noted since transaction {gtid} of one of them."
            );
            ApiError::no_backup().with_detail(&detail).into()
        })
    }

    /// The manifests of the whole sets of a database that can be read.
    fn whole_manifests(
        &self,
        reader: &Reader<'_>,
        source: &Instance,
        database: &Database,
    ) -> Result<Vec<Manifest>, ControlError> {
        let mut sets = reader.backup_sets(Some(&source.instance_id), MAX_SETS)?;
        sets.retain(|set| {
            set.set.db_name == database.db_name && set.status == BackupStatus::Success
        });
        let read = sets.iter().map(|set| self.manifest_of(set, source));
        Ok(read.filter_map(Result::ok).collect())
    }

    /// The moment to which the logs lead from a set, which may be the set's own; `None` when the set is
    /// of a later time.
    fn leads_to_moment(
        &self,
        set: &BackupSet,
        source: &Instance,
        time: Timestamp,
        moment: Option<&Moment>,
    ) -> Result<Option<Option<Moment>>, String> {
        let backup_id = set.backup_id;
        let manifest = self.manifest_of(set, source)?;
        if manifest.taken_at >= time {
            return Ok(None);
        }
        let mut begins = vec![manifest.binlog.clone()];
        begins.extend(manifest.further_binlogs());
        let is_now = source.node_id.as_ref();
        if is_now.is_none_or(|node| node.as_str() != manifest.binlog.node) {
            return Err(goes_not_on(backup_id));
        }
        let Some(moment) = moment.filter(|moment| moment.at >= manifest.taken_at) else {
            return Ok(Some(None));
        };
        let placed = manifest.spread.as_ref().map(|spread| &spread.partitions);
        if placed != moment.partitions.get(&set.set.db_name) {
            return Err(format!(
                "Partitions have been moved since backup set {backup_id}: the binary logs do not go on from it."
            ));
        }
        // Others of the instance may be on more nodes.
        let ends = moment.nodes.iter();
        let lead = begins.len() <= moment.nodes.len()
            && begins
                .iter()
                .zip(ends)
                .all(|(begin, end)| begin.leads_to(end));
        if !lead {
            return Err(goes_not_on(backup_id));
        }
        if let Some(table) = manifest.table_without_moment() {
            return Err(without_moment(table, backup_id));
        }
        let engine = &self.parts.engine;
        let goes_on = begins.iter().all(|begin| {
            let archive = NodeId::parse(&begin.node).map(|node| self.parts.log_archive(&node));
            archive.is_ok_and(|archive| {
                engine
                    .archive_goes_on_from(&archive, begin)
                    .unwrap_or_default()
            })
        });
        match goes_on {
            true => Ok(Some(Some(moment.clone()))),
            false => Err(not_archived(backup_id)),
        }
    }

    /// The manifest of a set; else why it cannot be read.
    fn manifest_of(&self, set: &BackupSet, source: &Instance) -> Result<Manifest, String> {
        let backup_id = set.backup_id;
        let directory = self.parts.backup_dir(&source.instance_id, backup_id);
        let sha256 = set.outcome.manifest_sha256.as_deref().unwrap_or_default();
        let manifest = self.parts.engine.read_manifest(&directory, sha256);
        manifest.map_err(|error| match error {
            EngineError::NoKey { key_id, .. } => format!(
                "Backup set {backup_id} is encrypted with the key {key_id}, which the service does not have."
            ),
            _ => format!("Backup set {backup_id} is damaged."),
        })
    }

    /// How a set leads to a point, if it is of an earlier one; an error that says why not when
    /// the log does not lead on from it.
    fn leads_to(
        &self,
        set: &BackupSet,
        source: &Instance,
        end: ReplayUntil,
    ) -> Result<Leads, String> {
        let backup_id = set.backup_id;
        let engine = &self.parts.engine;
        let manifest = self.manifest_of(set, source)?;
        let node = source.node_id.as_ref();
        let archive = node.map(|node| self.parts.log_archive(node));
        let is_its_log = node.is_some_and(|node| node.as_str() == manifest.binlog.node);
        let seen = match (end, &archive) {
            (ReplayUntil::Second(time), Some(archive)) if is_its_log => {
                let side = engine.is_before_second(archive, &manifest.binlog, time);
                side.unwrap_or_default()
            }
            _ => None,
        };
        let relation = relation(&manifest, end, seen);
        if relation == Relation::After {
            return Ok(Leads::Away(manifest.taken_at));
        }
        if node.is_none_or(|node| node.as_str() != manifest.binlog.node) {
            return Err(goes_not_on(backup_id));
        }
        if relation == Relation::Same {
            return Ok(Leads::On(Begin {
                backup_id,
                position: manifest.binlog,
                end: None,
            }));
        }
        if let Some(table) = manifest.table_without_moment() {
            return Err(without_moment(table, backup_id));
        }
        let goes_on = archive.is_some_and(|archive| {
            let goes_on = engine.archive_goes_on_from(&archive, &manifest.binlog);
            goes_on.unwrap_or_default()
        });
        if !goes_on {
            return Err(not_archived(backup_id));
        }
        Ok(Leads::On(Begin {
            backup_id,
            position: manifest.binlog,
            end: Some(end),
        }))
    }
}

/// Where a set leads to.
enum Leads {
    /// To the point.
    On(Begin),
    /// It is of a later moment.
    Away(Timestamp),
}

/// Where a set is, seen from a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Before,
    Same,
    After,
}

/// Where a set is, seen from a point. What the archive saw of the log goes before the time that the set
/// was given: the clock may have been put back since. `is_before` is that, of a second.
fn relation(manifest: &Manifest, end: ReplayUntil, is_before: Option<bool>) -> Relation {
    let of = |is_before| {
        if is_before {
            Relation::Before
        } else {
            Relation::After
        }
    };
    let before_transaction = |gtid: Gtid| {
        let last = gtid.of_domain(&manifest.binlog.gtid);
        of(last.is_none_or(|last| last.sequence < gtid.sequence))
    };
    match end {
        ReplayUntil::Second(time) => of(is_before.unwrap_or(manifest.taken_at < time)),
        // With other domains it has more than what is before that transaction.
        ReplayUntil::Through(gtid) if manifest.binlog.gtid == gtid.to_string() => Relation::Same,
        ReplayUntil::Before(gtid) | ReplayUntil::Through(gtid) => before_transaction(gtid),
        // Those are of nodes of other databases.
        ReplayUntil::Position { .. } => Relation::After,
    }
}

const NOT_LOGGED: &str = "The binary log of the database is not backed up (EnableBinlogBackup).";

fn goes_not_on(backup_id: BackupId) -> String {
    format!(
        "What the instance serves since a switch or an upgrade does not go on from backup set {backup_id}."
    )
}

fn without_moment(table: &str, backup_id: BackupId) -> String {
    format!(
        "Table {table} of backup set {backup_id} has an engine without transactions: the binary log does not go on from it."
    )
}

fn not_archived(backup_id: BackupId) -> String {
    format!("The binary log since backup set {backup_id} was not archived.")
}

/// The SHA-256 of the manifest of a set that can be restored, and of how many nodes it is.
///
/// # Errors
/// `InvalidBackupId.NotFound`, also for a set of another database; `OperationDenied.BackupStatus`.
fn whole_set(
    reader: &Reader<'_>,
    instance: &InstanceId,
    db_name: &DbName,
    backup_id: BackupId,
) -> Result<(String, u32), ControlError> {
    let is_its = |set: &BackupSet| set.set.instance_id == *instance && set.set.db_name == *db_name;
    let found = reader.backup_set(backup_id)?.filter(is_its);
    let set = found.ok_or_else(ApiError::backup_not_found)?;
    match set.outcome.manifest_sha256 {
        Some(sha256) if set.status == BackupStatus::Success => Ok((sha256, set.set.node_number)),
        _ => {
            let detail = format!("The set is {}.", set.status);
            Err(ApiError::backup_status().with_detail(&detail).into())
        }
    }
}
