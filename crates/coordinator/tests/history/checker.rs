//! Whether what clients saw of appends to lists can have happened under what the manual promises. Pure.
//!
//! The order of a list is the order of the transactions that wrote it, so that each read tells which
//! transactions it depends on, and on which it cannot: a cycle of such edges is an anomaly, with the names
//! that Adya gave them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// To a list, a value that nobody else appends.
    Append(u64, u64),
    Read(u64, Vec<u64>),
}

/// How a transaction ended, for all that its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Acknowledged,
    Failed,
    Unknown,
}

/// What the reads of a transaction see, as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Each what is committed then: `READ COMMITTED`.
    Committed,
    /// Each node as of one moment: `REPEATABLE READ`.
    OfNode,
    /// All nodes as of the moment of its begin.
    Moment,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub ops: Vec<Op>,
    pub view: View,
    pub end: End,
    /// What its client did, and what it was told.
    pub told: String,
    /// Times of one clock: before it was begun, and after it was told to have ended.
    pub began: u64,
    pub ended: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// Acknowledged, and not there in the end.
    Lost,
    /// There in part.
    Torn,
    /// There twice.
    Twice,
    /// Read, and nobody has written it.
    Unwritten,
    /// Two reads of a list of which none begins with the other.
    Disorder,
    /// A transaction does not see what it wrote itself, or does not see the same again.
    Internal,
    /// Acknowledged before the transaction began, and not seen by it.
    Stale,
    G0,
    /// What has failed was read.
    G1a,
    /// What was not final was read.
    G1b,
    G1c,
    /// One moment that is none: a cycle with one edge of a read that came too early.
    GSingle,
    /// The same with several such edges.
    G2,
}

#[derive(Clone, Debug)]
pub struct Found {
    pub anomaly: Anomaly,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// Wrote after it.
    Ww,
    /// Read what it wrote.
    Wr,
    /// Did not read what it wrote.
    Rw,
}

type Graph = Vec<Vec<(usize, Edge)>>;

/// Looks for what must not be. `lists` is what is there in the end.
pub fn check(history: &[Transaction], lists: &BTreeMap<u64, Vec<u64>>) -> Vec<Found> {
    let mut checker = Checker {
        history,
        lists,
        writers: HashMap::new(),
        found: Vec::new(),
    };
    for (number, transaction) in history.iter().enumerate() {
        for op in &transaction.ops {
            if let Op::Append(_, value) = op {
                checker.writers.insert(*value, number);
            }
        }
    }
    checker.in_the_end();
    for number in 0..history.len() {
        checker.reads(number);
    }
    checker.cycles();
    checker.found
}

struct Checker<'h> {
    history: &'h [Transaction],
    lists: &'h BTreeMap<u64, Vec<u64>>,
    /// By value.
    writers: HashMap<u64, usize>,
    found: Vec<Found>,
}

impl Checker<'_> {
    fn find(&mut self, anomaly: Anomaly, what: impl Into<String>) {
        let what = what.into();
        self.found.push(Found { anomaly, what });
    }

    /// The list as it is in the end.
    fn list(&self, key: u64) -> &[u64] {
        self.lists.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Appends are there wholly or not at all, and what was acknowledged is.
    fn in_the_end(&mut self) {
        let mut there = HashSet::new();
        for (key, list) in self.lists {
            for value in list {
                if !there.insert(*value) {
                    self.find(Anomaly::Twice, format!("{value} in {key}"));
                }
                if !self.writers.contains_key(value) {
                    self.find(Anomaly::Unwritten, format!("{value} in {key}"));
                }
            }
        }
        for transaction in self.history {
            let appends = transaction.ops.iter().filter_map(|op| match op {
                Op::Append(_, value) => Some(value),
                Op::Read(..) => None,
            });
            let (here, gone): (Vec<&u64>, Vec<&u64>) =
                appends.partition(|value| there.contains(value));
            let anomaly = match (transaction.end, here.is_empty(), gone.is_empty()) {
                (_, false, false) => Anomaly::Torn,
                (End::Acknowledged, _, false) => Anomaly::Lost,
                (End::Failed, false, _) => Anomaly::G1a,
                _ => continue,
            };
            self.find(
                anomaly,
                format!("{transaction:?}: {here:?} is there, {gone:?} is not"),
            );
        }
    }

    /// What each read shows by itself, and together with those before it.
    fn reads(&mut self, number: usize) {
        let transaction = &self.history[number];
        let told = |key: u64, read: &[u64]| format!("{key} is {read:?} to {transaction:?}");
        let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut seen: BTreeMap<u64, &[u64]> = BTreeMap::new();
        for op in &transaction.ops {
            let (key, read) = match op {
                Op::Append(key, value) => {
                    own.entry(*key).or_default().push(*value);
                    seen.remove(key);
                    continue;
                }
                Op::Read(key, read) => (*key, read.as_slice()),
            };
            let mine = own.get(&key).map_or(&[][..], Vec::as_slice);
            let Some(others) = read.strip_suffix(mine) else {
                self.find(Anomaly::Internal, told(key, read));
                continue;
            };
            let repeats = transaction.view != View::Committed;
            if let Some(before) = seen.insert(key, read)
                && repeats
                && before != read
            {
                self.find(
                    Anomaly::Internal,
                    format!("{before:?} before, then {}", told(key, read)),
                );
            }
            if !self.list(key).starts_with(others) {
                let first = others.iter().find(|value| !self.list(key).contains(value));
                let writer = first.and_then(|value| self.writers.get(value));
                let anomaly = match (first, writer) {
                    (Some(_), Some(_)) => Anomaly::G1a,
                    (Some(_), None) => Anomaly::Unwritten,
                    (None, _) => Anomaly::Disorder,
                };
                self.find(
                    anomaly,
                    format!("{}, in the end {:?}", told(key, read), self.list(key)),
                );
                continue;
            }
            if let Some(last) = others.last()
                && let Some(&writer) = self.writers.get(last)
                && writer != number
                && self.last_append(writer, key) != Some(*last)
            {
                self.find(Anomaly::G1b, told(key, read));
            }
            let unseen = self.list(key)[others.len()..].to_vec();
            for missing in unseen {
                let writer = self
                    .writers
                    .get(&missing)
                    .map(|writer| &self.history[*writer]);
                if writer
                    .is_some_and(|it| it.end == End::Acknowledged && it.ended < transaction.began)
                {
                    self.find(
                        Anomaly::Stale,
                        format!("{missing} is not seen: {}", told(key, read)),
                    );
                }
            }
        }
    }

    fn last_append(&self, writer: usize, key: u64) -> Option<u64> {
        let ops = self.history[writer].ops.iter().rev();
        ops.filter_map(|op| match op {
            Op::Append(of, value) if *of == key => Some(*value),
            _ => None,
        })
        .next()
    }

    /// The edges between transactions that have ended well. What one with a view of a moment reads is that of
    /// another transaction, which only reads, then: it writes to what is there when it writes, as MariaDB does.
    fn graph(&self) -> Graph {
        let mut graph: Graph = vec![Vec::new(); 2 * self.history.len()];
        let mut add = |from: usize, to: usize, edge| {
            if from != to && !graph[from].contains(&(to, edge)) {
                graph[from].push((to, edge));
            }
        };
        for list in self.lists.values() {
            for pair in list.windows(2) {
                if let (Some(&one), Some(&next)) =
                    (self.writers.get(&pair[0]), self.writers.get(&pair[1]))
                {
                    add(one, next, Edge::Ww);
                }
            }
        }
        for (number, transaction) in self.history.iter().enumerate() {
            if transaction.end == End::Failed {
                continue;
            }
            let reader = match transaction.view {
                View::Moment => self.history.len() + number,
                _ => number,
            };
            let mut own = HashSet::new();
            for op in &transaction.ops {
                match op {
                    Op::Append(key, _) => {
                        own.insert(*key);
                    }
                    // What it has written itself is read as it is now.
                    Op::Read(key, _) if own.contains(key) => {}
                    Op::Read(key, read) => {
                        let list = self.list(*key);
                        if let Some(&writer) = read.last().and_then(|last| self.writers.get(last)) {
                            add(writer, reader, Edge::Wr);
                        }
                        if let Some(&writer) =
                            list.get(read.len()).and_then(|next| self.writers.get(next))
                        {
                            add(reader, writer, Edge::Rw);
                        }
                    }
                }
            }
        }
        graph
    }

    fn cycles(&mut self) {
        let graph = self.graph();
        let count = self.history.len();
        let mut known: HashSet<usize> = HashSet::new();
        for level in 0..3 {
            let takes = |from: usize, edge: Edge| match edge {
                Edge::Ww => true,
                Edge::Wr => level > 0,
                Edge::Rw => level > 1 && from >= count,
            };
            for component in components(&graph, &takes) {
                if component.iter().any(|it| known.contains(it)) {
                    continue;
                }
                known.extend(&component);
                let cycle = shortest_cycle(&graph, &takes, &component);
                let early = cycle.iter().filter(|(_, edge)| *edge == Edge::Rw).count();
                let anomaly = match (level, early) {
                    (0, _) => Anomaly::G0,
                    (1, _) => Anomaly::G1c,
                    (_, 1) => Anomaly::GSingle,
                    _ => Anomaly::G2,
                };
                let told: Vec<_> = cycle
                    .iter()
                    .map(|(number, edge)| {
                        format!("{:?} -{edge:?}->", self.history[*number % count])
                    })
                    .collect();
                self.find(anomaly, told.join("\n  "));
            }
        }
    }
}

/// Those sets of more than one transaction in which each can be reached from each.
fn components(graph: &Graph, takes: &impl Fn(usize, Edge) -> bool) -> Vec<Vec<usize>> {
    let next = |from: usize| {
        graph[from]
            .iter()
            .filter(move |(_, edge)| takes(from, *edge))
            .map(|(to, _)| *to)
    };
    let mut order = Vec::new();
    let mut seen = vec![false; graph.len()];
    for start in 0..graph.len() {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let mut stack = vec![(start, next(start))];
        while let Some((from, rest)) = stack.last_mut() {
            match rest.next() {
                Some(to) if !std::mem::replace(&mut seen[to], true) => stack.push((to, next(to))),
                Some(_) => {}
                None => {
                    order.push(*from);
                    stack.pop();
                }
            }
        }
    }
    let mut back = vec![Vec::new(); graph.len()];
    for from in 0..graph.len() {
        for to in next(from) {
            back[to].push(from);
        }
    }
    let mut taken = vec![false; graph.len()];
    let mut found = Vec::new();
    for start in order.into_iter().rev() {
        if std::mem::replace(&mut taken[start], true) {
            continue;
        }
        let mut component = vec![start];
        let mut at = 0;
        while let Some(&from) = component.get(at) {
            at += 1;
            for &to in &back[from] {
                if !std::mem::replace(&mut taken[to], true) {
                    component.push(to);
                }
            }
        }
        if component.len() > 1 {
            found.push(component);
        }
    }
    found
}

/// The transactions of a shortest cycle of a component, each with the edge that leads on.
fn shortest_cycle(
    graph: &Graph,
    takes: &impl Fn(usize, Edge) -> bool,
    component: &[usize],
) -> Vec<(usize, Edge)> {
    let mut shortest: Vec<(usize, Edge)> = Vec::new();
    for &start in component {
        let mut came: HashMap<usize, (usize, Edge)> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for &(to, edge) in graph[from]
                .iter()
                .filter(|(to, edge)| takes(from, *edge) && component.contains(to))
            {
                if came.contains_key(&to) {
                    continue;
                }
                came.insert(to, (from, edge));
                queue.push_back(to);
            }
            if came.contains_key(&start) {
                break;
            }
        }
        let mut cycle = Vec::new();
        let mut at = start;
        while let Some(&(from, edge)) = came.get(&at) {
            cycle.push((from, edge));
            at = from;
            if at == start {
                break;
            }
        }
        cycle.reverse();
        if shortest.is_empty() || cycle.len() < shortest.len() {
            shortest = cycle;
        }
    }
    shortest
}
