//! A node's `my.cnf`: every setting is there, none is given on a command line, and none comes
//! from elsewhere.

use std::fmt::Write;
use std::path::Path;

use openpeta_types::NodeSettings;

/// Sessions beyond the sold number that the server admits: administration, monitoring, backup
/// and replication must get in when clients have filled their share.
pub(crate) const RESERVED_CONNECTIONS: u32 = 16;

/// The file's name in the node's directory.
pub(crate) const FILE_NAME: &str = "my.cnf";

const READ_ONLY: &str = "read_only=";

const EVENTS: &str = "event_scheduler=";

/// Writes the settings that a node starts with.
///
/// `dir` is the node's directory; the caller has checked that it has no quotes and no control
/// characters.
pub(crate) fn render(
    dir: &Path,
    settings: &NodeSettings,
    server_id: u32,
    read_only: bool,
) -> String {
    let mut text =
        String::from("# Written by OpenPeta; changes are overwritten.\n[mariadbd]\n# Places\n");
    for (option, name) in [
        ("datadir", "data"),
        ("socket", "mysqld.sock"),
        ("pid_file", "mysqld.pid"),
        ("log_error", "error.log"),
        ("tmpdir", "tmp"),
        // Server-side files of tenants, should one ever get the FILE privilege: an empty place.
        ("secure_file_priv", "files"),
        ("log_bin", "binlog/bin"),
        ("relay_log", "relay/relay"),
        ("slow_query_log_file", "slow.log"),
        ("general_log_file", "general.log"),
    ] {
        let path = dir.join(name).to_string_lossy().replace('\\', "\\\\");
        line(&mut text, format_args!("{option}=\"{path}\""));
    }
    line(&mut text, format_args!("# Size"));
    line(
        &mut text,
        format_args!("innodb_buffer_pool_size={}", settings.buffer_pool_bytes),
    );
    line(
        &mut text,
        format_args!("innodb_log_file_size={}", settings.redo_log_bytes),
    );
    line(
        &mut text,
        format_args!("max_connections={}", server_connections(settings)),
    );
    line(&mut text, format_args!("# Identity"));
    line(&mut text, format_args!("server_id={server_id}"));
    line(
        &mut text,
        format_args!("{READ_ONLY}{}", if read_only { "ON" } else { "OFF" }),
    );
    text.push_str(FIXED);
    text
}

/// What the server is told as `max_connections`.
pub(crate) const fn server_connections(settings: &NodeSettings) -> u32 {
    settings
        .max_connections
        .saturating_add(RESERVED_CONNECTIONS)
}

/// Whether a file written by [`render`] makes the node read-only.
pub(crate) fn is_read_only(text: &str) -> bool {
    text.lines()
        .any(|line| line.strip_prefix(READ_ONLY) == Some("ON"))
}

/// The file's text with another read-only setting.
pub(crate) fn with_read_only(text: &str, read_only: bool) -> String {
    let mut changed = String::with_capacity(text.len() + 1);
    for old in text.lines() {
        if old.starts_with(READ_ONLY) {
            let value = if read_only { "ON" } else { "OFF" };
            line(&mut changed, format_args!("{READ_ONLY}{value}"));
        } else {
            line(&mut changed, format_args!("{old}"));
        }
    }
    changed
}

/// The options for making the template, which must agree with what nodes start with.
///
/// The server need not sync its files: a copy of them is synced when all is done. That takes
/// four fifths off the time on a busy disk.
pub(crate) fn render_install(data_dir: &Path, redo_log_bytes: u64) -> String {
    let path = data_dir.to_string_lossy().replace('\\', "\\\\");
    format!(
        "[mariadbd]\ndatadir=\"{path}\"\ninnodb_log_file_size={redo_log_bytes}\n\
         character_set_server=utf8mb4\ncollation_server=utf8mb4_general_ci\n\
         performance_schema=OFF\nskip_log_bin\n\
         loose_debug_no_sync=ON\nloose_innodb_flush_method=nosync\n\
         innodb_flush_log_at_trx_commit=0\nloose_innodb_doublewrite=OFF\n"
    )
}

/// Whether a node starts without running events.
pub(crate) fn is_loading(text: &str) -> bool {
    text.lines()
        .any(|line| line.strip_prefix(EVENTS) == Some("OFF"))
}

/// The file's text with another setting of whether events run.
pub(crate) fn with_loading(text: &str, is_loading: bool) -> String {
    let mut changed = String::with_capacity(text.len() + 1);
    for old in text.lines() {
        if old.starts_with(EVENTS) {
            let value = if is_loading { "OFF" } else { "ON" };
            line(&mut changed, format_args!("{EVENTS}{value}"));
        } else {
            line(&mut changed, format_args!("{old}"));
        }
    }
    changed
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// What is the same on every node.
const FIXED: &str = "\
# Access: the socket only. The gateway on this host says in a PROXY header who the client is.
skip_networking
skip_name_resolve
skip_ssl
proxy_protocol_networks=localhost
local_infile=ON
symbolic_links=OFF
max_connect_errors=4294967295
# The gateway limits the time that a login may take; it alone connects.
connect_timeout=3600
max_allowed_packet=64M
# Text and time
character_set_server=utf8mb4
collation_server=utf8mb4_general_ci
default_time_zone='+00:00'
# Durability, replication, point-in-time recovery
innodb_flush_log_at_trx_commit=1
sync_binlog=1
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
# With row events a function cannot make the binlog wrong; without this, triggers need SUPER.
log_bin_trust_function_creators=ON
log_slave_updates=ON
# A restore to a point in time applies relay logs, and begins anew when the node was restarted.
skip_slave_start=ON
gtid_strict_mode=ON
max_binlog_size=256M
expire_logs_days=3
# Small when idle
performance_schema=OFF
innodb_log_buffer_size=2M
aria_pagecache_buffer_size=1M
key_buffer_size=1M
query_cache_type=OFF
query_cache_size=0
table_open_cache=400
table_definition_cache=400
# Behaviour
event_scheduler=ON
log_warnings=1
";

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: NodeSettings = NodeSettings {
        buffer_pool_bytes: 64 << 20,
        redo_log_bytes: 16 << 20,
        max_connections: 500,
        disk_quota_bytes: 1 << 30,
    };

    #[test]
    fn the_settings_are_written_once_each() {
        let text = render(Path::new("/srv/a b/nd-1"), &SETTINGS, 7, false);
        assert!(text.contains("datadir=\"/srv/a b/nd-1/data\"\n"), "{text}");
        assert!(text.contains("innodb_buffer_pool_size=67108864\n"));
        assert!(text.contains("max_connections=516\n"));
        assert!(text.contains("server_id=7\n"));
        let mut options: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with(['#', '[']))
            .map(|line| line.split('=').next().unwrap_or(line))
            .collect();
        options.sort_unstable();
        let count = options.len();
        options.dedup();
        assert_eq!(options.len(), count, "an option is given twice");
    }

    #[test]
    fn read_only_is_read_back_and_changed_alone() {
        let open = render(Path::new("/n"), &SETTINGS, 7, false);
        let locked = render(Path::new("/n"), &SETTINGS, 7, true);
        assert!(!is_read_only(&open));
        assert!(is_read_only(&locked));
        assert_eq!(with_read_only(&open, true), locked);
        assert_eq!(with_read_only(&locked, false), open);
        let loading = with_loading(&locked, true);
        assert!(is_loading(&loading) && !is_loading(&locked));
        assert!(is_read_only(&loading));
        assert_eq!(with_loading(&loading, false), locked);
    }
}
