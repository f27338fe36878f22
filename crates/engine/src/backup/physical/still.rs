//! The moment of a copy, where transactions over nodes may write to what is copied: one that is prepared
//! at that moment would be in the copy as such, and its end behind it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openpeta_types::NodeId;
use tokio::sync::mpsc;

use super::relay::{Held, Stage};
use super::truth::{go, next};
use crate::backup::moment::{Moment, begin};
use crate::backup::session::Session;
use crate::backup::spread::require_nothing_prepared;
use crate::error::{EngineError, Result};

/// How often it is tried to have nobody carry out a transaction over nodes. Definitions wait meanwhile.
const ATTEMPTS: u32 = 40;
/// Between two attempts others go on.
const PAUSE: Duration = Duration::from_millis(250);

/// Something that is done while others stand still; why not, if they do not.
pub type Stood<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Has everybody stand still who carries out transactions over nodes.
pub trait Stillness: Sync {
    /// Does something while no transaction over nodes is being carried out; whether there can be any. The
    /// work may have been begun, and given up, when they do not stand still.
    fn stand_still<'a>(
        &'a self,
        work: Stood<'a, ()>,
    ) -> Stood<'a, std::result::Result<bool, String>>;
}

/// Lets the copy come to its moment, and begins a snapshot that sees it. The statement that ends the
/// moment is still held.
pub(super) async fn reach(
    session: &mut Session,
    node: &NodeId,
    first: Held,
    held: &mut mpsc::Receiver<Held>,
    still: Option<&dyn Stillness>,
) -> Result<(Held, Moment)> {
    let Some(still) = still else {
        return at_moment(session, first, held).await;
    };
    let mut first = Some(first);
    for attempt in 1.. {
        let mut reached = None;
        let work = Box::pin(async {
            let Some(first) = first.take() else {
                return;
            };
            reached = Some(at_moment(session, first, held).await);
        });
        let stood = still.stand_still(work).await;
        match (stood, reached) {
            (Ok(can_be), Some(reached)) => {
                let reached = reached?;
                if can_be {
                    // Nobody commits or prepares anything before the statement goes.
                    require_nothing_prepared(session, node).await?;
                }
                return Ok(reached);
            }
            // The copy has not gone on.
            (Err(_), None) if first.is_some() && attempt < ATTEMPTS => {}
            (Err(why), _) => return Err(EngineError::NotStill { why }),
            (Ok(_), None) => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    let why = "nothing was done".to_owned();
    Err(EngineError::NotStill { why })
}

async fn at_moment(
    session: &mut Session,
    first: Held,
    held: &mut mpsc::Receiver<Held>,
) -> Result<(Held, Moment)> {
    go(first)?;
    let last = next(held, Stage::End).await?;
    Ok((last, begin(session).await?))
}
