//! Triggers of distributed tables.

use std::sync::Arc;

use super::copy::Copied;
use super::define::write;
use super::{Failure, Session};
use crate::Refusal;
use crate::node::Reply;
use crate::plan::define::{Define, Name};
use crate::plan::text::Tokens;
use crate::plan::{self, Plan};
use crate::service::{Intent, finish};
use crate::topology::Topology;

impl Session {
    /// A trigger is made or dropped: at home as the session says, then on all other nodes.
    pub(super) async fn trigger(
        &mut self,
        table: Name,
        tokens: &Tokens<'_>,
        more: bool,
    ) -> Result<Copied, Failure> {
        let instance = Arc::clone(&self.instance);
        let _redefined = self.redefine(std::slice::from_ref(&table)).await?;
        // The table may be another one by now.
        let catalogue = instance.catalogue().await?;
        let topology = instance.topology();
        let plan = plan::plan(tokens.text, &catalogue, &topology, &self.facts);
        let is_same =
            matches!(&plan, Plan::Define(define) if **define == Define::Trigger(table.clone()));
        if !is_same {
            let what = "the table, or the trigger, is another one by now: try again";
            return Err(Refusal::new("trigger", what).into());
        }
        let intent = Intent::Triggers { table };
        let written = write(&instance, &intent)?;
        instance.stops().come("trigger-written").await;
        let reply = self.home_defines(tokens.text).await?;
        instance.stops().come("trigger-home").await;
        let told = match &reply {
            Reply::Ok(ok) if ok.head.warnings > 0 => self.warnings_of(Topology::HOME).await?,
            _ => Vec::new(),
        };
        match finish(&instance, &intent).await {
            Ok(_) => written.done(),
            Err(failure) => {
                instance.has_intents(&failure);
                reply.ok()?;
                return Err(failure);
            }
        }
        match reply.ok()? {
            Reply::Ok(ok) => {
                self.diagnostics = Some(told);
                self.done(0, 0, ok.head.warnings, String::new(), more).await
            }
            _ => Err(Refusal::new("ddl-form", "this definition gives rows").into()),
        }
    }
}
