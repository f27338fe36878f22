//! Turns totals that are looked at every second into rows of five seconds. Pure: times come in.

use std::collections::HashMap;
use std::time::Duration;

use openpeta_monitor::{Fold, Values};

use super::columns::{Column, FOLDS, totals};
use crate::Traffic;

/// Seconds that a row is of.
const ROW_SECONDS: i64 = 5;

/// What is known of all sources in the present five seconds.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// When the present row began, by the clock on the wall.
    began: i64,
    sources: HashMap<String, Source>,
}

/// Rows that are complete, and the time that they are of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complete {
    pub(super) at: i64,
    pub(super) rows: Vec<(String, Values)>,
}

/// A source and its present row.
#[derive(Debug, Default)]
struct Source {
    /// The totals at the last look, and as what they were counted; none if it was not there.
    last: Option<(u64, Traffic)>,
    was_seen: bool,
    row: Values,
}

impl Sampler {
    /// Goes on to a time on the wall's clock. If that is in another row, which may be an earlier
    /// one, the present row is complete.
    pub(super) fn go_to(&mut self, wall: i64) -> Option<Complete> {
        let begins = wall - wall.rem_euclid(ROW_SECONDS);
        if begins == self.began {
            return None;
        }
        let complete = self.complete();
        self.began = begins;
        (!complete.rows.is_empty()).then_some(complete)
    }

    /// The present row as far as it goes.
    pub(super) fn complete(&mut self) -> Complete {
        let rows = self
            .sources
            .iter_mut()
            .filter(|(_, source)| !source.row.is_empty());
        let rows = rows.map(|(name, source)| (name.clone(), std::mem::take(&mut source.row)));
        let complete = Complete {
            at: self.began,
            rows: rows.collect(),
        };
        self.sources.retain(|_, source| source.last.is_some());
        complete
    }

    /// A look at all sources that can be seen, `elapsed` after the one before. Those that are not
    /// among them have a gap from here on.
    pub(super) fn look(&mut self, elapsed: Duration, seen: Vec<(String, u64, Traffic)>) {
        for (name, counted_as, traffic) in seen {
            let source = self.sources.entry(name).or_default();
            source.look(elapsed, counted_as, &traffic);
        }
        for source in self.sources.values_mut() {
            if !std::mem::take(&mut source.was_seen) {
                source.last = None;
            }
        }
    }

    /// Something else was measured of a source.
    pub(super) fn measured(&mut self, name: &str, values: &[(Column, u64)]) {
        let source = match self.sources.get_mut(name) {
            Some(source) => source,
            None => self.sources.entry(name.to_owned()).or_default(),
        };
        for (column, value) in values {
            source.add(*column, *value);
        }
    }
}

impl Source {
    fn look(&mut self, elapsed: Duration, counted_as: u64, now: &Traffic) {
        // Counting began from zero when it began anew; no total ever falls otherwise.
        let before = match &self.last {
            Some((same, before)) if *same == counted_as => totals(before),
            _ => totals(&Traffic::default()),
        };
        for ((column, now), (_, before)) in totals(now).into_iter().zip(before) {
            self.add(column, now.checked_sub(before).unwrap_or(now));
        }
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.add(Column::Covered, millis);
        self.add(Column::Looks, 1);
        self.add(Column::Sessions, now.sessions);
        self.add(Column::MostSessions, now.sessions);
        for (column, longest) in [
            (Column::LongestRead, now.longest_read_us),
            (Column::LongestWrite, now.longest_write_us),
        ] {
            if longest > 0 {
                self.add(column, longest);
            }
        }
        self.last = Some((counted_as, *now));
        self.was_seen = true;
    }

    fn add(&mut self, column: Column, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.row.resize(FOLDS.len(), None);
        let held = &mut self.row[column as usize];
        *held = Some(match (column.fold(), *held) {
            (Fold::Sum, Some(held)) => held.saturating_add(value),
            (Fold::Max, Some(held)) => held.max(value),
            _ => value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn traffic(finished: u64, sessions: u64) -> Traffic {
        Traffic {
            finished,
            sessions,
            longest_read_us: finished,
            ..Traffic::default()
        }
    }

    fn look(sampler: &mut Sampler, counted_as: u64, traffic: Traffic) {
        sampler.look(SECOND, vec![("pd-a".into(), counted_as, traffic)]);
    }

    fn values(complete: &Complete, columns: &[Column]) -> Vec<Option<i64>> {
        let row = &complete.rows[0].1;
        columns.iter().map(|column| row[*column as usize]).collect()
    }

    const SOME: [Column; 5] = [
        Column::Covered,
        Column::Finished,
        Column::Sessions,
        Column::MostSessions,
        Column::LongestRead,
    ];

    #[test]
    fn a_row_has_what_was_added_in_its_five_seconds() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.go_to(100), None);
        for (second, (finished, sessions)) in [(10, 1), (10, 3), (17, 2)].into_iter().enumerate() {
            assert_eq!(sampler.go_to(100 + second as i64), None);
            look(&mut sampler, 1, traffic(finished, sessions));
        }
        let first = sampler.go_to(105).expect("complete");
        assert_eq!(first.at, 100);
        assert_eq!(values(&first, &SOME), [3000, 17, 6, 3, 17].map(Some));
        look(&mut sampler, 1, traffic(20, 0));
        sampler.measured("pd-a", &[(Column::Data, 7), (Column::Data, 9)]);
        let second = sampler.complete();
        assert_eq!(values(&second, &SOME[..2]), [Some(1000), Some(3)]);
        assert_eq!(
            values(&second, &[Column::Data, Column::Quota]),
            [Some(9), None]
        );
    }

    #[test]
    fn counting_that_began_anew_began_at_zero() {
        let mut sampler = Sampler::default();
        sampler.go_to(100);
        look(&mut sampler, 1, traffic(10, 0));
        // As many again, and more: the number alone tells.
        look(&mut sampler, 2, traffic(12, 0));
        look(&mut sampler, 2, traffic(15, 0));
        let row = sampler.complete();
        assert_eq!(values(&row, &SOME[..2]), [Some(3000), Some(10 + 12 + 3)]);
        // A total that fell without one.
        look(&mut sampler, 2, traffic(4, 0));
        assert_eq!(values(&sampler.complete(), &SOME[1..2]), [Some(4)]);
    }

    #[test]
    fn what_is_not_seen_is_a_gap() {
        let mut sampler = Sampler::default();
        sampler.go_to(100);
        look(&mut sampler, 1, traffic(10, 0));
        sampler.look(SECOND, Vec::new());
        let row = sampler.go_to(105).expect("complete");
        assert_eq!(values(&row, &SOME[..2]), [Some(1000), Some(10)]);
        sampler.look(SECOND, Vec::new());
        assert_eq!(sampler.go_to(110), None, "nothing, rather than zeros");
        look(&mut sampler, 1, traffic(0, 0));
        let none = sampler.go_to(115).expect("complete");
        assert_eq!(
            values(&none, &[Column::Finished, Column::LongestRead]),
            [Some(0), None]
        );
    }

    #[test]
    fn a_clock_that_jumps_ends_the_row() {
        let mut sampler = Sampler::default();
        sampler.go_to(1000);
        look(&mut sampler, 1, traffic(1, 0));
        assert_eq!(sampler.go_to(400).map(|row| row.at), Some(1000));
        look(&mut sampler, 1, traffic(3, 0));
        let back = sampler.go_to(9000).expect("complete");
        assert_eq!(
            (back.at, values(&back, &SOME[..2])),
            (400, vec![Some(1000), Some(2)])
        );
    }
}
