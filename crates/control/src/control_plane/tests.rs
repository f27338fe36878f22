//! A backup of the control plane is whole or refused; a restored one knows what it does not know.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use openpeta_store::Store;
use tempfile::TempDir;

use super::archive::{self, Content, Source};
use super::*;
use crate::testing::{TestEngine, World};
use crate::{ControlConfig, DataDir};

/// An archive of three files, one of them public, and the directory that it is in.
fn small_archive() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("a.tar");
    let source = |name: &str, content: &[u8], is_public| Source {
        name: name.to_owned(),
        content: Content::Bytes(content.to_vec()),
        is_public,
    };
    let sources = [
        source("store.sqlite3", &[7; 300], false),
        source("tls/ca.pem", b"certificate", true),
        source("empty", b"", false),
    ];
    archive::write(&path, manifest(), &sources).expect("written");
    (directory, path)
}

fn manifest() -> ArchiveManifest {
    ArchiveManifest {
        format: 0,
        version: "9.9".to_owned(),
        schema: openpeta_store::schema_version(),
        taken_at: Timestamp::UNIX_EPOCH,
        data_dir: "/srv/it".to_owned(),
        instances: Vec::new(),
        members: Vec::new(),
    }
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

#[test]
fn an_archive_gives_back_what_was_put_in() {
    let (directory, path) = small_archive();
    assert_eq!(mode(&path), 0o600);
    let checked = check(&path).expect("whole");
    let names: Vec<_> = checked.members.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["store.sqlite3", "tls/ca.pem", "empty"]);
    let target = directory.path().join("there");
    fs::create_dir(&target).expect("a directory");
    assert_eq!(archive::unpack(&path, &target).expect("whole"), checked);
    assert_eq!(
        fs::read(target.join("store.sqlite3")).expect("a file"),
        [7; 300]
    );
    assert_eq!(
        fs::read(target.join("tls/ca.pem")).expect("a file"),
        b"certificate"
    );
    assert_eq!(fs::read(target.join("empty")).expect("a file"), b"");
    assert_eq!(mode(&target.join("store.sqlite3")), 0o600);
    assert_eq!(mode(&target.join("tls/ca.pem")), 0o644);
}

#[test]
fn an_archive_with_any_byte_changed_or_cut_off_is_refused_or_gives_the_same() {
    let (directory, path) = small_archive();
    let whole = fs::read(&path).expect("a file");
    let expected = check(&path).expect("whole");
    let changed = directory.path().join("changed.tar");
    let mut refused = 0;
    // Headers, manifest and members are all longer than a step.
    for at in (0..whole.len()).step_by(11) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&changed, &bytes).expect("written");
        match check(&changed) {
            Err(ArchiveError::Damaged { .. } | ArchiveError::Newer { .. }) => refused += 1,
            Err(error) => panic!("{at}: {error}"),
            // What fills blocks up means nothing.
            Ok(found) => assert_eq!(found, expected, "{at}"),
        }
    }
    let content: u64 = expected.members.iter().map(|member| member.bytes).sum();
    assert!(refused * 11 > content, "{refused}");
    // The last kilobyte is the end mark of the form, which may be missing.
    for length in (0..whole.len() - 1024).step_by(192) {
        fs::write(&changed, &whole[..length]).expect("written");
        assert!(check(&changed).is_err(), "{length}");
    }
}

#[test]
fn archives_of_later_versions_and_names_that_lead_elsewhere_are_refused() {
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("a.tar");
    let schema = openpeta_store::schema_version() + 1;
    archive::write(
        &path,
        ArchiveManifest {
            schema,
            ..manifest()
        },
        &[],
    )
    .expect("written");
    let error = check(&path).expect_err("a later schema").to_string();
    assert!(error.contains("9.9") && error.contains("schema"), "{error}");

    // What this version would not write.
    let write = |member: &str, format: u32| {
        let file = fs::File::create(&path).expect("a file");
        let mut tar = tar::Builder::new(file);
        let manifest = serde_json::json!({
            "format": format, "version": "9.9", "schema": 1, "taken_at": "2026-01-01T00:00:00Z",
            "data_dir": "/", "instances": [],
            "members": [{ "name": member, "bytes": 0, "is_public": false,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }],
        });
        let text = manifest.to_string();
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let digest = format!("{}  manifest.json\n", digits.collect::<String>());
        for (name, content) in [("manifest.json", &text), ("manifest.json.sha256", &digest)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes())
                .expect("written");
        }
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..member.len()].copy_from_slice(member.as_bytes());
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, &[][..]).expect("written");
        tar.finish().expect("written");
    };
    write("store.key", 1);
    check(&path).expect("as it should be");
    write("store.key", 2);
    let error = check(&path).expect_err("another form");
    assert!(matches!(error, ArchiveError::Newer { .. }), "{error}");
    for member in ["../store.key", "/etc/passwd", "tls/../../x"] {
        write(member, 1);
        let error = check(&path).expect_err(member);
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
    }
}

/// A world with an order, its data directory made to look like that of a service.
async fn world(engine: &TestEngine) -> World {
    let mut config = ControlConfig::default();
    config.backup.control_plane_keep = 2;
    let world = World::configured(engine, config);
    let tls = DataDir::new(world.parts.store.data_dir()).tls();
    fs::create_dir(&tls).expect("a directory");
    fs::write(tls.join("ca.key"), "key").expect("written");
    world.order();
    world
}

fn accounts(store: &Store) -> usize {
    let tenants = store.read(|reader| reader.tenants());
    tenants.expect("the store works").len()
}

#[tokio::test]
async fn a_restored_control_plane_is_the_one_that_was_backed_up() {
    let world = world(&TestEngine::new().await).await;
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("state.tar");
    let now = Timestamp::now();
    let parts = &world.parts;
    let taken = parts.back_up_control_plane(Some(file.clone()), now).await;
    assert_eq!(taken.expect("taken").manifest.instances.len(), 1);
    // What comes after is not in it.
    world.add_tenant("late");
    let again = parts.back_up_control_plane(Some(file.clone()), now).await;
    let again = again.expect_err("the file is there");
    assert!(matches!(again, ArchiveError::InTheWay { .. }), "{again}");
    // Of writing nothing is left but the file.
    let left: Vec<_> = fs::read_dir(directory.path()).expect("readable").collect();
    assert_eq!(left.len(), 1);

    let target = directory.path().join("new/data");
    let restored = restore(&file, &target).expect("an empty place");
    assert_eq!(restored.data_dir, target);
    assert_eq!(
        fs::read_to_string(target.join("tls/ca.key")).expect("a file"),
        "key"
    );
    let again = restore(&file, &target).expect_err("not empty any more");
    assert!(matches!(again, ArchiveError::InTheWay { .. }), "{again}");
    let store = Store::open(&target).expect("store and key belong together");
    assert_eq!(accounts(&store), accounts(&parts.store) - 1);
    assert_eq!(
        store.derive_secret("x").expose(),
        parts.store.derive_secret("x").expose()
    );
    // Numbers that the lost state may have handed out are not handed out again.
    let tasks = |store: &Store| {
        let tasks = store.read(|reader| reader.unfinished_tasks());
        tasks.expect("the store works")[0].task_id
    };
    assert_eq!(tasks(&store), tasks(&parts.store));
    let audit = openpeta_store::AuditFilter::default();
    let rows = store.read(|reader| reader.audit(&audit, 1));
    let rows = rows.expect("the store works");
    assert_eq!(rows[0].entry.action, "admin:control-plane-restore");
}

#[tokio::test]
async fn what_cannot_be_restored_leaves_the_place_as_it_was() {
    let world = world(&TestEngine::new().await).await;
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("state.tar");
    let parts = &world.parts;
    let taken = parts.back_up_control_plane(Some(file.clone()), Timestamp::now());
    taken.await.expect("taken");
    let target = directory.path().join("data");
    // The key of another store.
    let strange = directory.path().join("strange.tar");
    let manifest = check(&file).expect("whole");
    let source = |name: &str, content| Source {
        name: name.to_owned(),
        content,
        is_public: false,
    };
    let copy = directory.path().join("copy");
    parts.store.copy_to(&copy).expect("copied");
    let members = [
        source("store.sqlite3", Content::File(copy)),
        source("store.key", Content::Bytes(vec![1; 32])),
    ];
    let without = ArchiveManifest {
        members: Vec::new(),
        ..manifest
    };
    archive::write(&strange, without, &members).expect("written");
    let error = restore(&strange, &target)
        .expect_err("another key")
        .to_string();
    assert!(error.contains("cannot be decrypted"), "{error}");
    assert!(!target.exists());
    // What a restore left that was cut off.
    let half = directory.path().join("data.restoring");
    fs::create_dir(&half).expect("a directory");
    let error = restore(&file, &target).expect_err("in the way").to_string();
    assert!(
        error.contains("data.restoring") && error.contains("remove it"),
        "{error}"
    );
    fs::remove_dir(&half).expect("empty");
    fs::create_dir(&target).expect("a directory");
    restore(&file, &target).expect("an empty directory will do");
}

#[tokio::test]
async fn backups_are_taken_when_they_are_due_and_the_oldest_go() {
    let world = world(&TestEngine::new().await).await;
    let parts = &world.parts;
    let directory = DataDir::new(parts.store.data_dir()).control_plane_backups();
    let begin: Timestamp = "2026-11-29T17:00:00Z".parse().expect("a time");
    let taken = async |hours: i64| {
        let now = begin + SignedDuration::from_hours(hours);
        let taken = parts.back_up_control_plane_if_due(now).await;
        taken.expect("the disk works")
    };
    let names = || {
        let entries = fs::read_dir(&directory).expect("readable");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("readable")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    };
    assert!(taken(0).await);
    assert!(!taken(23).await);
    fs::write(directory.join("mine.tar"), "").expect("written");
    assert!(taken(24).await);
    assert!(taken(48).await);
    let expected = [
        "control-plane-20261130T170000Z.tar",
        "control-plane-20261201T170000Z.tar",
        "mine.tar",
    ];
    assert_eq!(names(), expected);
    // One that fails is told of, and none goes for it.
    fs::remove_dir_all(DataDir::new(parts.store.data_dir()).tls()).expect("removed");
    fs::write(DataDir::new(parts.store.data_dir()).tls(), "no directory").expect("written");
    let now = begin + SignedDuration::from_hours(72);
    let failed = parts.back_up_control_plane_if_due(now).await;
    failed.expect_err("certificates cannot be read");
    assert_eq!(names(), expected);
}
