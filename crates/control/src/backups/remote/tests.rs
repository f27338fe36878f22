//! A bucket in memory, and sets that are some bytes.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use ring::digest::digest;
use tempfile::TempDir;

use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};

use super::parts::{SentPart, Whole};
use super::record::Upload;
use super::upload::PART;
use super::*;

/// More than one part.
const BYTES: usize = (PART + PART / 2) as usize;

struct World {
    dir: TempDir,
    objects: InMemory,
    sets: RemoteSets,
    instance: InstanceId,
    backup_id: BackupId,
    dump: DumpFile,
    manifest_sha256: String,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let content: Vec<u8> = (0..BYTES).map(|at| (at / 1009 + at) as u8).collect();
        let set = dir.path().join("set");
        fs::create_dir(&set).expect("ours");
        fs::write(set.join("dump"), &content).expect("ours");
        fs::write(set.join(MANIFEST), "{}").expect("ours");
        let objects = InMemory::new();
        Self {
            sets: Self::sets(&dir, &objects, "s3://b/p"),
            objects,
            instance: InstanceId::parse("pd-aaaaaaaaaaaaaa").expect("an id"),
            backup_id: BackupId::from_number(100_001),
            dump: DumpFile {
                name: "dump".into(),
                bytes: BYTES as u64,
                sha256: sha256(&content),
                sql_bytes: 0,
            },
            manifest_sha256: sha256(b"{}"),
            dir,
        }
    }

    fn sets(dir: &TempDir, objects: &InMemory, url: &str) -> RemoteSets {
        let bucket = Bucket {
            objects: Arc::new(objects.clone()),
            url: url.into(),
            prefix: ObjectPath::from("p"),
            patience: Duration::ZERO,
        };
        RemoteSets::new(Some(bucket), dir.path().join("records"))
    }

    fn set_dir(&self) -> PathBuf {
        self.dir.path().join("set")
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.set_dir()).expect("it is there");
        let mut names: Vec<_> = names
            .map(|entry| {
                entry
                    .expect("a file")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    }

    async fn put(&self) -> Result<()> {
        let dir = self.set_dir();
        self.sets.put(self.set(&dir), &|_| {}).await
    }

    async fn fetch(&self) -> Result<()> {
        let dir = self.set_dir();
        self.sets.fetch(self.set(&dir), &|_| {}).await
    }

    fn set<'a>(&'a self, dir: &'a Path) -> LocalSet<'a> {
        LocalSet {
            instance_id: &self.instance,
            backup_id: self.backup_id,
            dir,
            dump: &self.dump,
            manifest_sha256: &self.manifest_sha256,
        }
    }

    fn place(&self) -> Option<String> {
        self.sets.place_of(&self.instance, self.backup_id)
    }

    async fn remove(&self) -> Result<()> {
        self.sets.remove(&self.instance, self.backup_id).await
    }

    async fn objects(&self) -> Vec<String> {
        let found = self
            .objects
            .list(None)
            .map_ok(|object| object.location.to_string());
        found.try_collect().await.expect("memory")
    }

    fn object(&self, name: &str) -> ObjectPath {
        ObjectPath::from(format!("p/backups/pd-aaaaaaaaaaaaaa/100001/{name}"))
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digits = digest(&SHA256, bytes);
    digits
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn a_set_goes_there_comes_back_and_is_removed() {
    let world = World::new();
    world.put().await.expect("put");
    assert_eq!(world.place().as_deref(), Some("s3://b/p"));
    let names = ["dump", MANIFEST].map(|name| world.object(name).to_string());
    assert_eq!(world.objects().await, names);
    assert_eq!(world.files(), [MANIFEST]);
    // Twice is as good as once, also when only the last step was cut off.
    world.put().await.expect("it is there");
    world.fetch().await.expect("fetched");
    world.fetch().await.expect("it is here");
    assert_eq!(world.files(), ["dump", MANIFEST]);
    let content = fs::read(world.set_dir().join("dump")).expect("a file");
    assert_eq!(sha256(&content), world.dump.sha256);
    let release = world
        .sets
        .release_copy(&world.instance, world.backup_id, &world.set_dir());
    release.expect("it is elsewhere");
    assert_eq!(world.files(), [MANIFEST]);
    let listed = world.sets.sets().expect("records");
    assert_eq!(listed, [(world.instance.clone(), world.backup_id)]);
    world.remove().await.expect("removed");
    world.remove().await.expect("nothing to do");
    assert!(world.objects().await.is_empty());
    assert!(world.sets.sets().expect("records").is_empty());
}

#[tokio::test]
async fn what_is_not_what_was_put_there_is_noticed() {
    let mut world = World::new();
    let right = std::mem::replace(&mut world.dump.sha256, sha256(b"other"));
    let error = world.put().await.expect_err("not what was read");
    assert!(matches!(error, RemoteError::Differs(_)), "{error}");
    assert_eq!(world.place(), None);
    assert_eq!(
        world.files(),
        ["dump", MANIFEST],
        "nothing goes before all is there"
    );
    world.dump.sha256 = right;
    world.put().await.expect("put");
    let object = world.object("dump");
    let changed = |bytes: usize| vec![7; bytes].into();
    for bytes in [BYTES, BYTES - 1, BYTES + 1] {
        world
            .objects
            .put(&object, changed(bytes))
            .await
            .expect("memory");
        let error = world.fetch().await.expect_err("changed");
        assert!(matches!(error, RemoteError::Differs(_)), "{error}");
        assert_eq!(world.files(), [MANIFEST]);
    }
    world.objects.delete(&object).await.expect("memory");
    let error = world.fetch().await.expect_err("gone");
    assert!(matches!(error, RemoteError::Missing(_)), "{error}");
    let StepError::Permanent { message, cause } = error.into() else {
        panic!("it does not come back");
    };
    assert!(
        cause.contains("dump") && !message.contains("dump"),
        "{message}"
    );
}

impl World {
    /// Has the bucket and this host as they are when the upload was cut off after its first part.
    async fn cut_off(&self, sent: &[u8], noted: Option<&str>) -> Upload {
        let object = self.object("dump");
        let id = self.objects.create_multipart(&object).await;
        let upload = Upload {
            object: object.to_string(),
            id: id.expect("memory"),
        };
        let part = self
            .objects
            .put_part(&object, &upload.id, 0, sent.to_vec().into());
        let e_tag = part.await.expect("memory").content_id;
        let record = Record {
            url: "s3://b/p".into(),
            upload: Some(upload.clone()),
            is_whole: false,
        };
        let records = &self.sets.records;
        let written = records.write(&self.instance, self.backup_id, &record);
        written.expect("ours");
        if let Some(sha256) = noted {
            let whole = Whole {
                upload: upload.clone(),
                length: BYTES as u64,
                part_bytes: PART,
            };
            let part = SentPart {
                e_tag,
                sha256: sha256.to_owned(),
            };
            let parts = records.parts(&self.instance, self.backup_id);
            parts.begin(&whole, &[part]).expect("ours");
        }
        upload
    }

    fn record(&self) -> Record {
        let known = self.sets.records.read(&self.instance, self.backup_id);
        known.expect("ours").expect("a record")
    }

    fn first_part(&self) -> Vec<u8> {
        let content = fs::read(self.set_dir().join("dump")).expect("a file");
        content[..PART as usize].to_vec()
    }

    /// Whether the bucket knows an upload no more.
    async fn is_over(&self, upload: &Upload) -> bool {
        let object = self.object("dump");
        let late = self.objects.put_part(&object, &upload.id, 0, "x".into());
        late.await.is_err()
    }

    /// What is noted besides the record.
    fn has_part_notes(&self) -> bool {
        let notes = self.sets.records.parts(&self.instance, self.backup_id);
        notes.0.exists()
    }
}

#[tokio::test]
async fn an_upload_that_was_cut_off_goes_on_with_the_next_part() {
    let world = World::new();
    let first = world.first_part();
    let upload = world.cut_off(&first, Some(&sha256(&first))).await;
    world.put().await.expect("put");
    let record = world.record();
    assert_eq!((record.upload, record.is_whole), (None, true));
    assert!(world.is_over(&upload).await && !world.has_part_notes());
    world.fetch().await.expect("it is whole");

    // Was it that upload? What the bucket had of it is in what it has now.
    let world = World::new();
    let other = vec![7; PART as usize];
    world.cut_off(&other, Some(&sha256(&first))).await;
    let error = world
        .put()
        .await
        .expect_err("the first part is another one");
    assert!(matches!(error, RemoteError::Differs(_)), "{error}");
}

#[tokio::test]
async fn an_upload_of_other_bytes_or_of_which_no_part_is_noted_is_given_up() {
    for noted in [None, Some(sha256(b"other"))] {
        let world = World::new();
        let other = vec![7; PART as usize];
        let upload = world.cut_off(&other, noted.as_deref()).await;
        world.put().await.expect("put");
        assert!(world.record().is_whole && !world.has_part_notes());
        assert!(world.is_over(&upload).await, "it goes on");
        world.fetch().await.expect("it is what was put there");
    }
}

#[tokio::test]
async fn what_is_not_finished_leaves_nothing() {
    let world = World::new();
    let first = world.first_part();
    let upload = world.cut_off(&first, Some(&sha256(&first))).await;
    world.remove().await.expect("removed");
    assert!(world.is_over(&upload).await && !world.has_part_notes());
    assert!(world.objects().await.is_empty());
}

#[tokio::test]
async fn another_bucket_is_not_taken_for_the_one_that_has_the_set() {
    let mut world = World::new();
    world.put().await.expect("put");
    let bucket = world.sets.bucket.take();
    let other = World::sets(&world.dir, &InMemory::new(), "s3://other").bucket;
    for other in [None, other] {
        world.sets.bucket = other;
        let error = world.fetch().await.expect_err("elsewhere");
        assert!(error.to_string().contains("s3://b/p"), "{error}");
        assert!(world.remove().await.is_err());
    }
    world.sets.bucket = bucket;
    world.fetch().await.expect("it is there still");
}

#[tokio::test]
async fn what_the_storage_refuses_is_not_asked_for_again_and_is_no_fault_of_a_set() {
    let world = World::new();
    let bucket = world.sets.bucket.as_ref().expect("there is one");
    let bucket = Bucket {
        patience: Duration::from_secs(60),
        ..bucket.clone()
    };
    let generic = |text: &str| ObjectError::Generic {
        store: "S3",
        source: text.into(),
    };
    let refusals = ["507 Insufficient Storage", "QuotaExceeded", "NoSuchBucket"];
    for text in refusals {
        let asked = bucket.ask::<(), _>(&|_| panic!("again"), || async { Err(generic(text)) });
        let error = asked.await.expect_err("it always fails");
        assert!(!matches!(error, RemoteError::Failed(_)), "{error}");
    }
    for text in refusals.iter().chain(&["connection refused"]) {
        let StepError::Permanent { message, .. } = RemoteError::from(generic(text)).into() else {
            panic!("it was tried for long enough");
        };
        assert!(is_of_storage(&message), "{message}");
    }
    assert!(!is_of_storage("The backup set is damaged."));
}
