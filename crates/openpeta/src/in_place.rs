//! `restore-database --in-place`: a restore, and the switch to what came of it, as one command.
//!
//! The API has an action for either and no parameter for both. Between them the restored instance
//! is one like any other, so that a command that is cut off leaves nothing that needs repair.

use std::time::Duration;

use crate::call::print_answer;
use crate::cli::options::OutputOptions;
use crate::client::Client;
use crate::failure::Failure;
use crate::invocation::{Invocation, Parameters};
use crate::output;
use crate::wait::Watch;

/// Restores, waits, switches, waits, and tells how to go back.
///
/// # Errors
/// Whatever keeps the calls or their tasks from succeeding. A switch that fails leaves the
/// restored instance, and a remark that names it.
pub fn run(
    client: &Client,
    restore: &Invocation,
    timeout: Duration,
    shown: &OutputOptions,
) -> Result<(), Failure> {
    let watch = Watch::prepare(client, restore, timeout)?;
    let answer = client.call(restore)?;
    if !shown.json {
        print_answer(&restore.action, &answer, false, shown.view())?;
    }
    let new = answer.node.text("NewInstanceId").unwrap_or_default();
    watch.run(client, &answer)?;

    let places = Places {
        source: restore.parameters.get("SrcInstanceId").unwrap_or_default(),
        new,
        db_name: restore.parameters.get("SrcDBName").unwrap_or_default(),
    };
    let switched = places.switch(client, timeout).inspect_err(|_| {
        output::remark(&format!(
            "{new} has the restored content; it was not switched to. Once what is in the way is gone:  {}",
            places.command()
        ));
    })?;
    if shown.json {
        return output::result(&switched.to_json(&answer.text));
    }
    output::result(&places.to_text(places.release_time(client).as_deref()))
}

/// The instances and the database that are switched.
struct Places<'a> {
    source: &'a str,
    new: &'a str,
    db_name: &'a str,
}

impl Places<'_> {
    fn switch(&self, client: &Client, timeout: Duration) -> Result<crate::wait::Outcome, Failure> {
        let mut parameters = Parameters::default();
        parameters.set("SourceInstanceId", self.source);
        parameters.set("NewInstanceId", self.new);
        parameters.set("DBName", self.db_name);
        parameters.set("ReleaseReplaced", "true");
        let call = Invocation::new("SwitchBackupDatabase", parameters);
        let watch = Watch::prepare(client, &call, timeout)?;
        let answer = client.call(&call)?;
        watch.run(client, &answer)
    }

    /// The command that switches, there and back.
    fn command(&self) -> String {
        format!(
            "openpeta switch-backup-database --source-instance-id {} --new-instance-id {} --db-name {} --wait",
            self.source, self.new, self.db_name
        )
    }

    /// When what was replaced goes by itself, if it does.
    fn release_time(&self, client: &Client) -> Option<String> {
        let mut parameters = Parameters::default();
        parameters.set("InstanceId", self.new);
        let answer = client.call(&Invocation::new("DescribeInstanceInfo", parameters));
        // All is done; what cannot be told now can be asked later.
        Some(answer.ok()?.node.text("ReleaseTime")?.to_owned())
    }

    fn to_text(&self, release_time: Option<&str>) -> String {
        let Self { source, new, .. } = self;
        let until = release_time.map(|time| format!(", until {time}"));
        format!(
            "{source} serves the restored content; {new} has what it served before{}\nBack again with  {}\nWhen all is well  openpeta delete-instance {new}",
            until.unwrap_or_default(),
            self.command()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_told() {
        let places = Places {
            source: "pd-a",
            new: "pd-b",
            db_name: "shop",
        };
        let text = places.to_text(Some("2026-12-06T12:00:00Z"));
        let until = "has what it served before, until 2026-12-06T12:00:00Z\n";
        assert!(text.contains(until), "{text}");
        let text = places.to_text(None);
        assert!(
            text.starts_with("pd-a serves the restored content; pd-b has"),
            "{text}"
        );
        let back = "switch-backup-database --source-instance-id pd-a --new-instance-id pd-b --db-name shop";
        assert!(text.contains(back), "{text}");
        assert!(text.ends_with("openpeta delete-instance pd-b"), "{text}");
    }
}
