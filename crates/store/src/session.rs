//! A running transaction: what the functions of all resources hang on.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::{Connection, Params};

use crate::StoreError;
use crate::changes::{Topic, Touched};
use crate::column::Columns;
use crate::store::Shared;

/// A read transaction: every call sees the same state of the store.
pub struct Reader<'c> {
    connection: &'c Connection,
    pub(crate) shared: &'c Shared,
    /// Stays empty in a read transaction.
    pub(crate) touched: RefCell<Touched>,
}

/// The write transaction: reads as [`Reader`] does and sees its own changes.
pub struct Writer<'c> {
    reader: Reader<'c>,
    after_commit: RefCell<Vec<AfterCommit>>,
}

/// Something to do once the transaction is committed.
pub(crate) type AfterCommit = Box<dyn FnOnce() + Send>;

impl<'c> Reader<'c> {
    pub(crate) fn new(connection: &'c Connection, shared: &'c Shared) -> Self {
        Self {
            connection,
            shared,
            touched: RefCell::default(),
        }
    }

    /// Runs a query that gives at most one row.
    pub(crate) fn one<T>(
        &self,
        table: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&mut Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        match rows.next()? {
            Some(row) => Ok(Some(read(&mut Columns::new(table, row))?)),
            None => Ok(None),
        }
    }

    /// Runs a query and reads all of its rows.
    pub(crate) fn all<T>(
        &self,
        table: &'static str,
        sql: &str,
        params: impl Params,
        read: impl Fn(&mut Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            values.push(read(&mut Columns::new(table, row))?);
        }
        Ok(values)
    }
}

impl<'c> Writer<'c> {
    pub(crate) fn new(connection: &'c Connection, shared: &'c Shared) -> Self {
        Self {
            reader: Reader::new(connection, shared),
            after_commit: RefCell::default(),
        }
    }

    /// Asks for something to be done after the commit, on the committing thread, in the order
    /// asked for, before those are woken who wait for the change; forgotten when the transaction
    /// is rolled back. It may use the store, but not wait for this change.
    ///
    /// Whoever reads the store meanwhile sees the change and not yet the action's effect: what
    /// must hold as soon as a row says so is done before the commit.
    pub fn after_commit(&self, action: impl FnOnce() + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(action));
    }

    pub(crate) fn take_after_commit(&self) -> Vec<AfterCommit> {
        self.after_commit.take()
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        // SQLite ends the transaction by itself on some errors (disk full). What came after
        // such an error would be committed alone, without what came before.
        if self.connection.is_autocommit() {
            return Err(StoreError::Sqlite(rusqlite::Error::InvalidQuery));
        }
        Ok(self.connection.prepare_cached(sql)?.execute(params)?)
    }

    /// Runs a statement that changes one row; an error if there is no such row.
    pub(crate) fn change(
        &self,
        table: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<(), StoreError> {
        match self.execute(sql, params)? {
            0 => Err(StoreError::NotFound { table }),
            _ => Ok(()),
        }
    }

    /// The number that the last insert handed out.
    pub(crate) fn last_number(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// Notes that those who wait for the topic are to be woken.
    pub(crate) fn touch(&self, topic: Topic) {
        self.reader.touched.borrow_mut().topics.insert(topic);
    }
}

impl<'c> Deref for Writer<'c> {
    type Target = Reader<'c>;
    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}
