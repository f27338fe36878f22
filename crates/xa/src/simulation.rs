//! Transactions over nodes that crash, by a coordinator that crashes, with a log that loses what
//! was not synced: a seed makes everything that happens, so that a failure can be seen again.
//! `OPENPETA_SEEDS` says how many seeds there are.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{self, Decision, Record};
use crate::{Action, Branch, Commit, Failure, Fate, Node, Outcome, Step, TransactionId, fate};

const OWN: u64 = 9;
const NODES: u16 = 4;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// What a node knows of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It ends with its connection.
    Active,
    Prepared,
    Committed,
    RolledBack,
}

#[derive(Default)]
struct World {
    /// By transaction and node, of branches that wrote.
    branches: BTreeMap<(TransactionId, Node), State>,
    /// The log on disk, and what was written but not synced.
    log: Vec<u8>,
    unsynced: Vec<(TransactionId, Vec<Node>)>,
    epoch: u32,
    number: u64,
    /// Commits under way, with questions that nodes have not got, and answers that were not taken.
    live: BTreeMap<TransactionId, Live>,
    told: BTreeMap<TransactionId, Outcome>,
}

struct Live {
    commit: Commit,
    questions: Vec<(Node, Step)>,
    answers: Vec<(Node, Result<(), Failure>)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            log: record::head(OWN).to_vec(),
            ..Self::default()
        };
        world.start();
        world
    }

    /// The coordinator starts: all it knows is on disk.
    fn start(&mut self) {
        let contents = record::read(&self.log).expect("the log is whole");
        self.log.truncate(contents.length);
        self.epoch = contents.epoch + 1;
        self.number = 0;
        self.append(&[Record::Epoch(self.epoch)]);
    }

    fn append(&mut self, records: &[Record]) {
        let synced = self.log.len();
        record::put_batch(&mut self.log, synced, records);
    }

    fn begin(&mut self, random: &mut Random) {
        self.number += 1;
        let id = TransactionId {
            coordinator: OWN,
            epoch: self.epoch,
            number: self.number,
        };
        let nodes: BTreeSet<_> = (0..1 + random.below(usize::from(NODES)))
            .map(|_| Node(random.below(usize::from(NODES)) as u16))
            .collect();
        let branches: Vec<_> = nodes
            .into_iter()
            .map(|node| Branch {
                node,
                wrote: !random.one_in(4),
            })
            .collect();
        for branch in branches.iter().filter(|branch| branch.wrote) {
            self.branches.insert((id, branch.node), State::Active);
        }
        let (commit, actions) = Commit::begin(&branches);
        let live = Live {
            commit,
            questions: Vec::new(),
            answers: Vec::new(),
        };
        self.live.insert(id, live);
        self.carry_out(id, actions);
    }

    fn carry_out(&mut self, id: TransactionId, actions: Vec<Action>) {
        for action in actions {
            let live = self.live.get_mut(&id).expect("it is under way");
            match action {
                Action::Ask(node, step) => live.questions.push((node, step)),
                Action::Decide(nodes) => self.unsynced.push((id, nodes)),
                Action::Finish(outcome) => {
                    assert!(live.questions.is_empty() && live.answers.is_empty());
                    if outcome == (Outcome::Committed { pending: vec![] }) {
                        // Of those that were decided; for others it is without effect.
                        self.append(&[Record::End(id)]);
                    }
                    self.told.insert(id, outcome);
                    self.live.remove(&id);
                }
            }
        }
    }

    /// A node does what it was asked for, if it can.
    fn deliver(&mut self, random: &mut Random) {
        let Some((id, mut live)) = self.any(random) else {
            return;
        };
        if !live.questions.is_empty() {
            let (node, step) = live.questions.remove(random.below(live.questions.len()));
            let answer = self.ask(id, node, step, random);
            live.answers.push((node, answer));
        }
        self.live.insert(id, live);
    }

    fn ask(
        &mut self,
        id: TransactionId,
        node: Node,
        step: Step,
        random: &mut Random,
    ) -> Result<(), Failure> {
        let lost_before = random.one_in(25);
        if !lost_before && let Some(state) = self.branches.get_mut(&(id, node)) {
            *state = match (step, *state) {
                (Step::CommitOnePhase, State::Active) => match random.one_in(10) {
                    true => return Err(Failure::Refused),
                    false => State::Committed,
                },
                (Step::Prepare, State::Active) => match random.one_in(10) {
                    true => return Err(Failure::Refused),
                    false => State::Prepared,
                },
                (Step::Commit, State::Prepared) => State::Committed,
                (Step::RollBackPrepared, State::Prepared) => State::RolledBack,
                (Step::RollBack, State::Active) => State::RolledBack,
                // The node was down, or recovery came first: XAER_NOTA.
                (_, State::RolledBack | State::Committed) => return Err(Failure::Refused),
                (step, state) => panic!("{step:?} of a branch that is {state:?}"),
            };
        }
        if lost_before || random.one_in(25) {
            // Who is not prepared ends with the connection.
            if let Some(state @ State::Active) = self.branches.get_mut(&(id, node)) {
                *state = State::RolledBack;
            }
            return Err(Failure::Lost);
        }
        Ok(())
    }

    fn take_answer(&mut self, random: &mut Random) {
        let Some((id, mut live)) = self.any(random) else {
            return;
        };
        let mut actions = Vec::new();
        if !live.answers.is_empty() {
            let (node, answer) = live.answers.remove(random.below(live.answers.len()));
            actions = live.commit.answered(node, answer);
        }
        self.live.insert(id, live);
        self.carry_out(id, actions);
    }

    fn any(&mut self, random: &mut Random) -> Option<(TransactionId, Live)> {
        let ids: Vec<_> = self.live.keys().copied().collect();
        let id = *ids.get(random.below(ids.len().max(1)))?;
        let live = self.live.remove(&id)?;
        Some((id, live))
    }

    /// What was written is synced, and who waits for it is told; or that failed, and nobody knows whether it
    /// is on disk.
    fn sync(&mut self, random: &mut Random) {
        let decided = std::mem::take(&mut self.unsynced);
        let records: Vec<_> = decided
            .iter()
            .map(|(id, nodes)| {
                Record::Commit(Decision {
                    id: *id,
                    nodes: nodes.clone(),
                })
            })
            .collect();
        if records.is_empty() {
            return;
        }
        let is_synced = !random.one_in(50);
        if is_synced || random.one_in(2) {
            self.append(&records);
        }
        for (id, _) in decided {
            let live = self.live.get_mut(&id).expect("it waits");
            let actions = live.commit.decided(is_synced);
            self.carry_out(id, actions);
        }
    }

    /// What is prepared on a node that nobody answers for is committed or rolled back.
    fn recover(&mut self, node: Node) {
        let decisions = record::read(&self.log).expect("whole").decisions;
        let (live, epoch) = (&self.live, self.epoch);
        for ((id, _), state) in self
            .branches
            .iter_mut()
            .filter(|((_, its), state)| *its == node && **state == State::Prepared)
        {
            let is_at_work = |id: &TransactionId| id.epoch == epoch && live.contains_key(id);
            match fate(id, OWN, &decisions, is_at_work) {
                Fate::Commit => *state = State::Committed,
                Fate::Rollback => *state = State::RolledBack,
                Fate::Leave => {}
            }
        }
    }

    fn crash_node(&mut self, node: Node) {
        for ((_, its), state) in &mut self.branches {
            if *its == node && *state == State::Active {
                *state = State::RolledBack;
            }
        }
    }

    /// The coordinator dies; a part of what was not synced may be on disk all the same.
    fn crash(&mut self, random: &mut Random) {
        let records: Vec<_> = std::mem::take(&mut self.unsynced)
            .into_iter()
            .map(|(id, nodes)| Record::Commit(Decision { id, nodes }))
            .collect();
        let whole = self.log.len();
        self.append(&records);
        let kept = random.below(self.log.len() - whole + 1);
        self.log.truncate(whole + kept);
        self.live.clear();
        for state in self.branches.values_mut() {
            if *state == State::Active {
                *state = State::RolledBack;
            }
        }
        self.start();
    }

    fn check(&self) {
        let ids: BTreeSet<_> = self.branches.keys().map(|(id, _)| *id).collect();
        for id in ids {
            let states: BTreeSet<_> = (0..NODES)
                .filter_map(|node| self.branches.get(&(id, Node(node))))
                .map(|state| match state {
                    State::Committed => true,
                    State::RolledBack => false,
                    other => panic!("{id} is left {other:?}"),
                })
                .collect();
            assert_eq!(states.len(), 1, "{id} is committed in part");
            match self.told.get(&id) {
                Some(Outcome::Committed { .. }) => assert!(states.contains(&true), "{id} is lost"),
                Some(Outcome::RolledBack { .. }) => assert!(states.contains(&false), "{id}"),
                Some(Outcome::Unknown) | None => {}
            }
        }
    }
}

fn run(seed: u64) -> [usize; 3] {
    let mut random = Random(seed);
    let mut world = World::new();
    for _ in 0..400 {
        match random.below(24) {
            0..=3 => world.begin(&mut random),
            4..=11 => world.deliver(&mut random),
            12..=18 => world.take_answer(&mut random),
            19..=20 => world.sync(&mut random),
            21 => world.recover(Node(random.below(usize::from(NODES)) as u16)),
            22 if random.one_in(4) => {
                world.crash_node(Node(random.below(usize::from(NODES)) as u16));
            }
            23 if random.one_in(12) => world.crash(&mut random),
            _ => {}
        }
    }
    world.crash(&mut random);
    (0..NODES).for_each(|node| world.recover(Node(node)));
    world.check();
    let count = |wanted: fn(&Outcome) -> bool| world.told.values().filter(|it| wanted(it)).count();
    [
        count(|outcome| matches!(outcome, Outcome::Committed { .. })),
        count(|outcome| matches!(outcome, Outcome::RolledBack { .. })),
        count(|outcome| matches!(outcome, Outcome::Unknown)),
    ]
}

#[test]
fn nothing_is_committed_in_part_or_lost() {
    let seeds = std::env::var("OPENPETA_SEEDS").ok();
    let seeds = seeds.map_or(256, |text| text.parse().expect("a number of seeds"));
    let mut ends = [0; 3];
    for seed in 0..seeds {
        let found = std::panic::catch_unwind(|| run(seed));
        let found = found.unwrap_or_else(|_| panic!("seed {seed}"));
        for (sum, one) in ends.iter_mut().zip(found) {
            *sum += one;
        }
    }
    assert!(ends.iter().all(|&count| count > 0), "{ends:?}");
}
