//! Measures the archive: bytes a sample, samples a second, queries over a year.
//!
//! `cargo run --release -p openpeta-monitor --example archive_figures [sources] [days] [file]`
//!
//! With a file, the same load by the minute is written there as text, and nothing is measured, so that
//! `promtool tsdb create-blocks-from openmetrics` makes Prometheus' blocks of it.
//!
//! The figures are of a made-up load: day and night, noise, errors now and then, databases that
//! grow by pages. A quarter of the sources is idle.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use openpeta_monitor::{Archive, ArchiveConfig, Fold};

/// Counts, times, maxima, sizes: as many as the sampler has of an instance.
const COLUMNS: usize = 30;
/// Where the noise begins.
const SEED: u64 = 88_172_645_463_325_252;
/// A midnight.
const BEGIN: i64 = 1_704_067_200;
const DAY: i64 = 86_400;

struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1)) as i64
    }
}

/// What a source did in `seconds`.
fn row(source: usize, at: i64, seconds: i64, noise: &mut Noise, row: &mut Vec<Option<i64>>) {
    row.clear();
    let hour = (at.rem_euclid(DAY)) / 3600;
    let load = if source.is_multiple_of(4) {
        0
    } else {
        20 + 40 * (12 - (hour - 12).abs())
    };
    let reads = load * seconds + noise.below((load * seconds / 4) as u64);
    let writes = reads / 5 + noise.below((reads / 20) as u64);
    let jitter = if noise.below(4) == 0 {
        noise.below(7) - 3
    } else {
        0
    };
    let mut add = |value| row.push(Some(value));
    add(seconds * 1000 + jitter);
    add(seconds);
    for part in [1, 1, 2, 3, 8, 20] {
        add(reads / part);
        add(writes / part);
    }
    for count in [reads, writes] {
        add(count * (180 + noise.below(40)));
        add(if count > 0 {
            2000 + noise.below(30_000)
        } else {
            0
        });
        add(count * 61 + noise.below(1 + 5 * count as u64));
    }
    (0..4).for_each(|_| add(i64::from(noise.below(200) == 0)));
    let grown = if load > 0 {
        (at - BEGIN) / 40 * 16_384
    } else {
        0
    };
    for size in [1 << 30, 1 << 28, 1 << 20, 0] {
        add(size + grown);
    }
    add(64 << 30);
    add(load / 8 + noise.below(1 + load as u64 / 16));
}

/// The median and the longest.
fn summary(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

/// Writes what the sources do each minute as OpenMetrics.
fn write_text(path: &Path, sources: usize, days: i64) -> io::Result<()> {
    let mut noise = Noise(SEED);
    let mut rows = Vec::new();
    for at in (BEGIN..BEGIN + days * DAY).step_by(60) {
        for source in 0..sources {
            let mut values = Vec::new();
            row(source, at, 60, &mut noise, &mut values);
            rows.push((source, at, values));
        }
    }
    rows.sort_by_key(|(source, at, _)| (*source, *at));
    let mut out = BufWriter::new(File::create(path)?);
    for column in 0..COLUMNS {
        writeln!(out, "# TYPE column_{column} gauge")?;
        for (source, at, values) in &rows {
            let value = values[column].unwrap_or(0);
            writeln!(
                out,
                "column_{column}{{source=\"pd-{source:017}\"}} {value} {at}"
            )?;
        }
    }
    writeln!(out, "# EOF")?;
    out.flush()
}

/// Has the system forget what it holds of the archive's files, as after a start of the machine.
fn forget(dir: &Path) -> io::Result<()> {
    for tier in fs::read_dir(dir)? {
        for file in fs::read_dir(tier?.path())? {
            let file = File::open(file?.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default| arguments.next().map_or(Ok(default), |text| text.parse());
    let (sources, days): (usize, i64) = (argument(100)? as usize, argument(365)?);
    if let Some(path) = arguments.next() {
        return Ok(write_text(Path::new(&path), sources, days)?);
    }
    let names: Vec<_> = (0..sources)
        .map(|number| format!("pd-{number:017}"))
        .collect();
    let mut folds = vec![Fold::Sum; COLUMNS];
    folds[24..].fill(Fold::Last);
    let mut noise = Noise(SEED);
    let mut rows = vec![Vec::new(); sources];

    // Six hours of five seconds.
    let dir = std::env::temp_dir().join(format!("archive-figures-{}", std::process::id()));
    let mut archive = Archive::open(&dir, ArchiveConfig::new(folds.clone()))?;
    let mut spent = Duration::ZERO;
    let end = BEGIN + 6 * 3600;
    for at in (BEGIN..end).step_by(5) {
        for (source, row_of) in rows.iter_mut().enumerate() {
            row(source, at, 5, &mut noise, row_of);
        }
        let batch: Vec<_> = names
            .iter()
            .zip(&rows)
            .map(|(name, row)| (&**name, &**row))
            .collect();
        let begun = Instant::now();
        archive.append(at, &batch)?;
        spent += begun.elapsed();
    }
    let samples = 6 * 720 * sources * COLUMNS;
    let bytes = archive.usage().bytes;
    println!(
        "five seconds: {samples} samples, {:.2} bytes each, roll-ups and log included",
        bytes as f64 / samples as f64
    );
    println!(
        "appended: {:.0} samples/s",
        samples as f64 / spent.as_secs_f64()
    );
    drop(archive);
    fs::remove_dir_all(&dir)?;

    // Many days of minutes.
    let keep = ArchiveConfig {
        keep_seconds: [0, 500 * DAY, 500 * DAY],
        ..ArchiveConfig::new(folds)
    };
    let mut archive = Archive::open(&dir, keep.clone())?;
    let end = BEGIN + days * DAY;
    for at in (BEGIN..end).step_by(60) {
        for (source, row_of) in rows.iter_mut().enumerate() {
            row(source, at, 60, &mut noise, row_of);
        }
        let batch: Vec<_> = names
            .iter()
            .zip(&rows)
            .map(|(name, row)| (&**name, &**row))
            .collect();
        archive.append(at, &batch)?;
        if at % DAY == 0 {
            archive.forget_old(at)?;
        }
    }
    archive.forget_old(end)?;
    let samples = days * 1440 * sources as i64 * COLUMNS as i64;
    let bytes = archive.usage().bytes;
    println!(
        "minutes of {days} days: {samples} samples, {bytes} bytes, {:.2} each",
        bytes as f64 / samples as f64
    );
    drop(archive);
    let begun = Instant::now();
    let archive = Archive::open(&dir, keep)?;
    println!("opened in {:?}", begun.elapsed());
    let all: Vec<_> = (0..COLUMNS).collect();
    // Columns that lie apart, as those of most keys do.
    let (one, every) = (&[13, 20][..], &all[..]);
    // 400 points, of hours and of minutes.
    let step = days * DAY / 400;
    let (hours, minutes) = (step / 3600 * 3600, step / 60 * 60 - 60);
    for (what, columns, step, is_cold) in [
        ("one key from hours", one, hours, false),
        ("one key from minutes", one, minutes, false),
        ("all columns from hours", every, hours, false),
        ("all columns from minutes", every, minutes, false),
        ("one key from a day of minutes", one, 240, false),
        ("one key from hours, read from disk", one, hours, true),
        ("one key from minutes, read from disk", one, minutes, true),
        (
            "all columns from minutes, read from disk",
            every,
            minutes,
            true,
        ),
    ] {
        let times = names.iter().map(|name| {
            let range = end - 400 * step.max(60)..end;
            if is_cold {
                forget(&dir)?;
            }
            let begun = Instant::now();
            let answer = archive.query(name, columns, range, step.max(60));
            assert_eq!(answer.damaged, 0);
            Ok(begun.elapsed())
        });
        let times = times.collect::<Result<Vec<_>, io::Error>>()?;
        let (middle, most) = summary(times);
        println!("400 points, {what}: median {middle:?}, at most {most:?}");
    }
    drop(archive);
    fs::remove_dir_all(&dir)?;
    Ok(())
}
