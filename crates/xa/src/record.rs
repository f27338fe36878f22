//! The form of the log: a head, then batches of records, each as it was written and synced at once.
//!
//! A crash can leave the last batch torn, which nobody was told of; it is dropped. A batch that
//! cannot be read *before* that is damage: a decision may be lost in it, so it is refused. The two
//! are told apart by what later batches say was synced before them.

use std::collections::BTreeMap;

use crate::{Node, TransactionId};

const HEAD_MAGIC: &[u8; 4] = b"OPXA";
const VERSION: u32 = 1;
/// Magic, version, coordinator, checksum.
pub(crate) const HEAD: usize = 4 + 4 + 8 + 4;

const BATCH_MAGIC: &[u8; 4] = b"OPXB";
/// Magic, what was synced before, length of the records, checksum of all but the magic.
const BATCH_HEAD: usize = 4 + 8 + 4 + 4;

const EPOCH: u8 = 1;
const COMMIT: u8 = 2;
const END: u8 = 3;

/// A transaction that is to be committed, and where it has branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which one.
    pub id: TransactionId,
    /// The nodes that it was prepared on.
    pub nodes: Vec<Node>,
}

/// Decisions that are not carried out on all nodes yet, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions(BTreeMap<TransactionId, Vec<Node>>);

impl Decisions {
    /// Whether it was decided that a transaction be committed.
    #[must_use]
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.0.contains_key(id)
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&TransactionId, &[Node])> {
        self.0.iter().map(|(id, nodes)| (id, &nodes[..]))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, decision: Decision) {
        self.0.insert(decision.id, decision.nodes);
    }

    /// Tells whether it was there.
    pub(crate) fn end(&mut self, id: &TransactionId) -> bool {
        self.0.remove(id).is_some()
    }
}

/// Something that the log is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A new life of the coordinator begins.
    Epoch(u32),
    /// To be committed.
    Commit(Decision),
    /// Committed on all nodes: nobody will ask for it any more.
    End(TransactionId),
}

/// A log that cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It does not begin as a log does.
    #[error("the log of decisions has no head, or a damaged one")]
    Head,
    /// It is of a version that is not known.
    #[error("the log of decisions is of version {0}")]
    Version(u32),
    /// Something that was synced cannot be read any more.
    #[error("the log of decisions is damaged at byte {at}")]
    Batch {
        /// Where the batch begins that cannot be read.
        at: usize,
    },
}

/// What a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) coordinator: u64,
    /// The last life that began; 0 for none.
    pub(crate) epoch: u32,
    pub(crate) decisions: Decisions,
    /// Where the next batch goes: behind the last one that is whole.
    pub(crate) length: usize,
}

/// The head of a log.
pub(crate) fn head(coordinator: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(HEAD_MAGIC);
    head[4..8].copy_from_slice(&VERSION.to_le_bytes());
    head[8..16].copy_from_slice(&coordinator.to_le_bytes());
    let checksum = crc32fast::hash(&head[..16]);
    head[16..].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// Appends a batch that begins at `synced`, all before which is synced.
pub(crate) fn put_batch<'a>(
    out: &mut Vec<u8>,
    synced: usize,
    records: impl IntoIterator<Item = &'a Record>,
) {
    let start = out.len();
    out.extend_from_slice(BATCH_MAGIC);
    out.extend_from_slice(&(synced as u64).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    for record in records {
        put_record(out, record);
    }
    let length = (out.len() - start - BATCH_HEAD) as u32;
    out[start + 12..start + 16].copy_from_slice(&length.to_le_bytes());
    let checksum = batch_checksum(&out[start..]);
    out[start + 16..start + BATCH_HEAD].copy_from_slice(&checksum.to_le_bytes());
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Epoch(epoch) => {
            out.push(EPOCH);
            out.extend_from_slice(&epoch.to_le_bytes());
        }
        Record::Commit(Decision { id, nodes }) => {
            out.push(COMMIT);
            put_id(out, id);
            out.extend_from_slice(&(nodes.len() as u16).to_le_bytes());
            for node in nodes {
                out.extend_from_slice(&node.0.to_le_bytes());
            }
        }
        Record::End(id) => {
            out.push(END);
            put_id(out, id);
        }
    }
}

fn put_id(out: &mut Vec<u8>, id: &TransactionId) {
    out.extend_from_slice(&id.epoch.to_le_bytes());
    out.extend_from_slice(&id.number.to_le_bytes());
}

/// Of a whole batch, its head included.
fn batch_checksum(batch: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&batch[4..16]);
    hasher.update(&batch[BATCH_HEAD..]);
    hasher.finalize()
}

/// Reads a log.
///
/// # Errors
/// [`Damage`] when something that was synced is not there any more.
pub(crate) fn read(log: &[u8]) -> Result<Contents, Damage> {
    let head = log.get(..HEAD).ok_or(Damage::Head)?;
    let checksum = u32::from_le_bytes(array(head, 16));
    if &head[..4] != HEAD_MAGIC || crc32fast::hash(&head[..16]) != checksum {
        return Err(Damage::Head);
    }
    let version = u32::from_le_bytes(array(head, 4));
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let mut contents = Contents {
        coordinator: u64::from_le_bytes(array(head, 8)),
        epoch: 0,
        decisions: Decisions::default(),
        length: HEAD,
    };
    while let Some(batch) = batch_at(log, contents.length) {
        let at = contents.length;
        let records = read_records(batch.records, contents.coordinator);
        // Its checksum is right, so this was never written by us.
        for record in records.ok_or(Damage::Batch { at })? {
            contents.take(record);
        }
        contents.length = batch.end;
    }
    if is_synced_beyond(log, contents.length) {
        return Err(Damage::Batch {
            at: contents.length,
        });
    }
    Ok(contents)
}

impl Contents {
    fn take(&mut self, record: Record) {
        match record {
            Record::Epoch(epoch) => self.epoch = epoch,
            Record::Commit(decision) => self.decisions.add(decision),
            Record::End(id) => {
                self.decisions.end(&id);
            }
        }
    }
}

struct Batch<'a> {
    synced: u64,
    records: &'a [u8],
    end: usize,
}

/// The batch that begins there, if it is whole.
fn batch_at(log: &[u8], at: usize) -> Option<Batch<'_>> {
    let rest = log.get(at..)?;
    if rest.len() < BATCH_HEAD || &rest[..4] != BATCH_MAGIC {
        return None;
    }
    let length = u32::from_le_bytes(array(rest, 12));
    let length = BATCH_HEAD.checked_add(usize::try_from(length).ok()?)?;
    let batch = rest.get(..length)?;
    let checksum = u32::from_le_bytes(array(rest, 16));
    (batch_checksum(batch) == checksum).then(|| Batch {
        synced: u64::from_le_bytes(array(rest, 4)),
        records: &batch[BATCH_HEAD..],
        end: at + length,
    })
}

/// Whether a batch behind `at` says that more than what is before `at` was synced.
fn is_synced_beyond(log: &[u8], at: usize) -> bool {
    (at + 1..log.len())
        .filter_map(|later| batch_at(log, later))
        .any(|batch| batch.synced > at as u64)
}

fn read_records(mut rest: &[u8], coordinator: u64) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while let Some((&kind, fields)) = rest.split_first() {
        rest = fields;
        let record = match kind {
            EPOCH => Record::Epoch(u32::from_le_bytes(take(&mut rest)?)),
            COMMIT => {
                let id = take_id(&mut rest, coordinator)?;
                let count = u16::from_le_bytes(take(&mut rest)?);
                let mut node = || Some(Node(u16::from_le_bytes(take(&mut rest)?)));
                let nodes = (0..count).map(|_| node()).collect::<Option<_>>()?;
                Record::Commit(Decision { id, nodes })
            }
            END => Record::End(take_id(&mut rest, coordinator)?),
            _ => return None,
        };
        records.push(record);
    }
    Some(records)
}

fn take_id(rest: &mut &[u8], coordinator: u64) -> Option<TransactionId> {
    Some(TransactionId {
        coordinator,
        epoch: u32::from_le_bytes(take(rest)?),
        number: u64::from_le_bytes(take(rest)?),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

/// The bytes there, which must be in it.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const OWN: u64 = 0xC0FFEE;

    fn id(number: u64) -> TransactionId {
        TransactionId {
            coordinator: OWN,
            epoch: 1,
            number,
        }
    }

    fn record() -> impl Strategy<Value = Record> {
        prop_oneof![
            (0..9_u32).prop_map(Record::Epoch),
            (0..9_u64, vec(any::<u16>(), 0..4)).prop_map(|(number, nodes)| {
                let nodes = nodes.into_iter().map(Node).collect();
                Record::Commit(Decision {
                    id: id(number),
                    nodes,
                })
            }),
            (0..9_u64).prop_map(|number| Record::End(id(number))),
        ]
    }

    /// A log of batches, each synced before the next, and where each ends.
    fn written(batches: &[Vec<Record>]) -> (Vec<u8>, Vec<usize>) {
        let mut log = head(OWN).to_vec();
        let mut ends = vec![log.len()];
        for batch in batches {
            let synced = log.len();
            put_batch(&mut log, synced, batch);
            ends.push(log.len());
        }
        (log, ends)
    }

    fn told(batches: &[Vec<Record>]) -> Contents {
        let mut contents = Contents {
            coordinator: OWN,
            epoch: 0,
            decisions: Decisions::default(),
            length: written(batches).0.len(),
        };
        let records = batches.iter().flatten().cloned();
        records.for_each(|record| contents.take(record));
        contents
    }

    #[test]
    fn decisions_are_there_until_they_end() {
        let decision = Decision {
            id: id(1),
            nodes: vec![Node(0), Node(2)],
        };
        let (log, _) = written(&[
            vec![Record::Epoch(4), Record::Commit(decision)],
            vec![Record::End(id(9))],
        ]);
        let contents = read(&log).expect("whole");
        assert_eq!((contents.epoch, contents.length), (4, log.len()));
        let found: Vec<_> = contents.decisions.iter().collect();
        assert_eq!(found, [(&id(1), &[Node(0), Node(2)][..])]);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert_eq!(read(b""), Err(Damage::Head));
        assert_eq!(read(&[0; 64]), Err(Damage::Head));
        let mut later = head(OWN);
        later[4] = 2;
        let checksum = crc32fast::hash(&later[..16]);
        later[16..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(read(&later), Err(Damage::Version(2)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(batches in vec(vec(record(), 0..5), 0..5)) {
            prop_assert_eq!(read(&written(&batches).0), Ok(told(&batches)));
        }

        /// A crash while a batch is written leaves any part of it, and any bytes in its place.
        #[test]
        fn a_torn_batch_is_dropped(
            batches in vec(vec(record(), 1..5), 1..5),
            cut in any::<prop::sample::Index>(),
            garbage in vec(any::<u8>(), 0..40),
        ) {
            let (log, ends) = written(&batches);
            let whole = ends[ends.len() - 2];
            let mut torn = log[..whole + cut.index(log.len() - whole)].to_vec();
            torn.extend(garbage);
            prop_assert_eq!(read(&torn), Ok(told(&batches[..batches.len() - 1])));
        }

        /// Whatever byte changes: what is read is right, or it is refused, or the change is in the
        /// last batch, which could be torn.
        #[test]
        fn damage_is_found(
            batches in vec(vec(record(), 1..5), 1..5),
            at in any::<prop::sample::Index>(),
            change in 1..=u8::MAX,
        ) {
            let (mut log, ends) = written(&batches);
            let at = at.index(log.len());
            log[at] ^= change;
            let last = ends[ends.len() - 2];
            match read(&log) {
                Ok(contents) => {
                    prop_assert!(at >= last);
                    prop_assert_eq!(contents, told(&batches[..batches.len() - 1]));
                }
                Err(_) => prop_assert!(at < last),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let mut log = head(OWN).to_vec();
            log.extend(bytes);
            let _ = read(&log);
        }
    }
}
