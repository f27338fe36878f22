//! Random statements of all sorts, on a database over three nodes and on one server: nobody can tell them
//! apart. What the service refuses is counted.
//!
//! `OPENPETA_SEED` and `OPENPETA_STATEMENTS` say which and how many, `OPENPETA_LONG_CHECKS` makes it 50,000;
//! `OPENPETA_UPDATE` writes the figures into the manual. A difference is told with as few statements
//! before it as still lead to it. `OPENPETA_SCRIPT` names a file with a statement a line to be run instead.

mod define;
mod figures;
mod generator;
mod outcome;
mod read;
mod schema;
mod shrink;
mod write;

use crate::common::{Pair, World};
use figures::Figures;
use generator::{Generator, Order, Sort, Statement};
use outcome::Outcome;

/// After how many statements all tables are compared.
const BETWEEN_LOOKS: usize = 100;
/// How many statements are about the same tables.
const OF_ONE_SEED: u64 = 500;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_statements_are_as_on_one_server() {
    let long = std::env::var_os("OPENPETA_LONG_CHECKS").is_some();
    let count = setting("OPENPETA_STATEMENTS").unwrap_or(if long { 50_000 } else { 2_000 });
    let first = setting("OPENPETA_SEED").unwrap_or(1);
    let world = World::new().await;
    if let Ok(script) = std::env::var("OPENPETA_SCRIPT") {
        return follow(&world, &std::fs::read_to_string(script).expect("a script")).await;
    }
    let mut figures = Figures::default();
    let mut different = Vec::new();
    for seed in first..first + count.div_ceil(OF_ONE_SEED) {
        let mut history = Vec::new();
        let of_seed = OF_ONE_SEED.min(count) as usize;
        if let Err(difference) = run(&world, seed, of_seed, &mut history, &mut figures).await {
            eprintln!(
                "OPENPETA_SEED={seed}, statement {}: {difference}",
                history.len()
            );
            // One is enough to begin with.
            if different.is_empty() {
                for statement in shrink::shrunk(&world, history).await {
                    eprintln!("{};", statement.shown());
                }
            }
            different.push(seed);
        }
    }
    eprintln!("{}", figures.told());
    assert!(
        different.is_empty(),
        "seeds {different:?}: not as on one server"
    );
    assert!(figures.refused_share() <= 3.0, "too much is refused");
    if std::env::var_os("OPENPETA_UPDATE").is_some() {
        figures.write();
    }
}

/// Tells what both say to each line; what stands behind `--` is for ours alone.
#[expect(clippy::print_stderr, reason = "it is what is asked for")]
async fn follow(world: &World, script: &str) {
    let mut pair = emptied(world).await;
    for line in script.lines().filter(|line| !line.is_empty()) {
        let (plain, ours) = line.split_once("--").unwrap_or((line, ""));
        eprintln!("{line}");
        let text = format!("{plain}{ours}");
        eprintln!(
            "ours:  {}",
            outcome::run(&mut pair.ours, &text, None).await.told()
        );
        if !plain.is_empty() {
            eprintln!(
                "plain: {}",
                outcome::run(&mut pair.plain, plain, None).await.told()
            );
        }
    }
}

/// Runs the statements of a seed, as long as both agree.
async fn run(
    world: &World,
    seed: u64,
    count: usize,
    history: &mut Vec<Statement>,
    figures: &mut Figures,
) -> Result<(), String> {
    let mut pair = emptied(world).await;
    let mut generator = Generator::new(seed);
    for number in 1..=count {
        let statement = generator.next();
        history.push(statement.clone());
        let (ours, plain) = both(&mut pair, &statement).await?;
        figures.count(&statement, &ours, plain.as_ref());
        if statement.sort == Sort::Definition && ours.is_failed() {
            generator.failed();
        }
        if let Some(table) = &statement.numbers {
            generator.renumber(table, ours.is_failed());
        }
        if number % BETWEEN_LOOKS == 0 || number == count {
            for table in generator.tables.clone() {
                let look = Statement::new(Sort::Read, format!("SELECT * FROM {}", table.name));
                history.push(look.clone());
                both(&mut pair, &look).await?;
            }
        }
    }
    Ok(())
}

/// Runs a statement on both; what ours refuses is not run on the other.
async fn both(
    pair: &mut Pair,
    statement: &Statement,
) -> Result<(Outcome, Option<Outcome>), String> {
    let parameters = statement.parameters.as_deref();
    let ours = outcome::run(&mut pair.ours, &statement.text, parameters).await;
    if ours.refusal().is_some() {
        return Ok((ours, None));
    }
    let plain = outcome::run(&mut pair.plain, statement.for_plain(), parameters).await;
    if let Some(difference) = ours.against(&plain, statement) {
        return Err(format!("{}\n{difference}", statement.shown()));
    }
    if let Outcome::Done { warnings: 1.., .. } = plain
        && !statement.text.starts_with("CREATE TABLE")
    {
        let shown = Statement::new(Sort::Control, "SHOW WARNINGS");
        let mut seen = Vec::new();
        for conn in [&mut pair.ours, &mut pair.plain] {
            seen.push(
                outcome::run(conn, &shown.text, None)
                    .await
                    .without_row_numbers(),
            );
        }
        if let Some(difference) = seen[0].against(&seen[1], &shown) {
            return Err(format!("warnings of {}\n{difference}", statement.shown()));
        }
    }
    Ok((ours, Some(plain)))
}

/// New sessions, where there are no tables.
async fn emptied(world: &World) -> Pair {
    use mysql_async::prelude::Queryable;
    let mut pair = world.pair().await;
    for conn in [&mut pair.ours, &mut pair.plain] {
        let tables: Vec<(String, String)> = conn.query("SHOW FULL TABLES").await.expect("shown");
        for (name, kind) in tables {
            let kind = if kind == "VIEW" { "VIEW" } else { "TABLE" };
            conn.query_drop(format!("DROP {kind} {name}"))
                .await
                .expect("dropped");
        }
    }
    pair
}

/// The same seed makes the same statements, and they are of all sorts.
#[test]
fn a_seed_makes_the_same_statements() {
    let made = |seed| {
        let mut generator = Generator::new(seed);
        (0..3000).map(|_| generator.next()).collect::<Vec<_>>()
    };
    let (one, again, other) = (made(3), made(3), made(4));
    let texts = |of: &[Statement]| of.iter().map(Statement::shown).collect::<Vec<_>>();
    assert_eq!(texts(&one), texts(&again));
    assert_ne!(texts(&one), texts(&other));
    let all = texts(&one).join("\n");
    for word in [
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "OVER (",
        "WITH RECURSIVE",
        "ROLLUP",
        "LEFT JOIN",
        "EXISTS",
        "ON DUPLICATE KEY",
        "REPLACE",
        "TRUNCATE",
        "ALTER TABLE",
        "SAVEPOINT",
        "CREATE VIEW",
        "RETURNING",
        "LIMIT",
        "FOR UPDATE",
        "INSERT IGNORE",
        "?",
    ] {
        assert!(all.contains(word), "{word}");
    }
    assert!(!all.contains('\u{1}'));
    assert!(one.iter().any(|it| it.order == Order::Total));
}
