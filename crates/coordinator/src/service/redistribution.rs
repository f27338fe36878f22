//! A table whose rows go to where another distribution wants them: what of that is on the nodes at which
//! time, and how it is brought to its end, whoever does so.
//!
//! The rows are copied to a hidden table on each node that shall have some. Until it is decided, the table
//! is what it was: where it was whole at home it has another name meanwhile, so that nobody reaches it past
//! the coordinator. Once decided, the hidden tables take its name.

use serde::{Deserialize, Serialize};

use super::Instance;
use super::intents::{connect, exists, others, run};
use crate::node::NodeConnection;
use crate::plan::define::{Name, quoted};
use crate::session::Failure;
use crate::topology::Topology;

/// What is written down of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redistribution {
    /// The table.
    pub name: Name,
    /// What its rows are copied to.
    pub hidden: String,
    /// What it is called when it is to be dropped.
    pub old: String,
    /// It was whole at home.
    pub was_single: bool,
    /// It will be.
    pub becomes_single: bool,
    /// The copy is the table from now on.
    pub decided: bool,
}

impl Redistribution {
    /// What its rows are copied to.
    #[must_use]
    pub fn hidden(&self) -> Name {
        (self.name.0.clone(), self.hidden.clone())
    }

    /// What it is called when it is to be dropped.
    #[must_use]
    pub fn old(&self) -> Name {
        (self.name.0.clone(), self.old.clone())
    }

    /// Brings it to its end, forward if that is decided and back if not. May be done as often as one likes.
    ///
    /// # Errors
    /// When a node does not answer, or somebody uses the table there.
    pub(crate) async fn finish(&self, instance: &Instance) -> Result<(), Failure> {
        // Home knows what tables there are: it is the last to have a new one.
        for node in others(instance, &self.name.0)
            .into_iter()
            .chain([Topology::HOME])
        {
            let mut connection = connect(instance, node).await?;
            self.finish_on(&mut connection, node).await?;
            connection.quit().await;
            instance.stops().come("one-node").await;
        }
        if self.decided && self.becomes_single {
            // The server numbers its rows again.
            instance.ids().forget(instance, &self.name, None).await?;
        }
        Ok(())
    }

    async fn finish_on(&self, connection: &mut NodeConnection, node: u16) -> Result<(), Failure> {
        let (name, hidden, old) = (&self.name, self.hidden(), self.old());
        let mut statements =
            vec!["SET SESSION lock_wait_timeout = 20, foreign_key_checks = 0".to_owned()];
        let rename = |pairs: &[(&Name, &Name)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(from, to)| format!("{} TO {}", quoted(from), quoted(to)))
                .collect();
            format!("RENAME TABLE {}", pairs.join(", "))
        };
        let has = [name, &hidden, &old];
        let mut there = [false; 3];
        for (there, name) in there.iter_mut().zip(has) {
            *there = exists(connection, name).await?;
        }
        let [has_name, has_hidden, has_old] = there;
        if self.decided {
            if has_hidden && has_name {
                statements.push(rename(&[(name, &old), (&hidden, name)]));
            } else if has_hidden {
                statements.push(rename(&[(&hidden, name)]));
            } else if self.becomes_single && node != Topology::HOME && has_name {
                statements.push(rename(&[(name, &old)]));
            }
            statements.push(format!("DROP TABLE IF EXISTS {}", quoted(&old)));
        } else {
            if has_old && !has_name {
                statements.push(rename(&[(&old, name)]));
            }
            statements.push(format!("DROP TABLE IF EXISTS {}", quoted(&hidden)));
        }
        run(connection, node, &statements).await
    }
}
