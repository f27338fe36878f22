//! Tables that come to be past the coordinator: an import puts them in their place on each node.

use std::future::Future;

use super::Instance;

/// Why nothing was done. Trying again later helps in all cases but that it is not served.
#[derive(Debug, thiserror::Error)]
pub enum RedefineError {
    /// Nobody coordinates it.
    #[error("the instance has no coordinator")]
    NotServed,
    /// Tables are being defined.
    #[error("tables are being defined")]
    Defining,
}

impl Instance {
    /// Does something that changes which tables there are, while nobody defines any and no statement
    /// is told what tables there are: whoever comes meanwhile waits and is told what there is then. So none
    /// takes a distributed table for one that is whole at home.
    ///
    /// # Errors
    /// [`RedefineError`]; the work was not begun then.
    pub async fn redefine<T>(&self, work: impl Future<Output = T>) -> Result<T, RedefineError> {
        let defining = |_| RedefineError::Defining;
        self.finish_definitions().await.map_err(defining)?;
        // Nobody must queue behind us for as long as a definition takes.
        let definitions = self.definitions().try_write_owned();
        let _definitions = definitions.map_err(|_| RedefineError::Defining)?;
        let _loading = self.loading().await;
        self.forget_tables();
        let done = work.await;
        self.forget_tables();
        Ok(done)
    }
}
