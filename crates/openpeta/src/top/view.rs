//! How `top` looks. Pure: a model in, a frame out.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::model::{DigestLine, InstanceLine, Model, NodeLine};
use crate::metrics::scale::{bytes, number, spark};

/// Columns of the sparkline.
const SPARK: usize = 20;

/// What the screen shows beside the model.
#[derive(Debug, Default)]
pub struct Screen {
    /// Instances that were scrolled away at the top.
    pub skipped: usize,
    /// Why nothing new is shown; empty if all is well.
    pub trouble: String,
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, screen: &Screen) {
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(2);
    let area = frame.area();
    let most = area.height.saturating_sub(1);
    let digests = rows(model.digests.len()).min(most / 4);
    let nodes = rows(model.nodes.len()).min(most / 3);
    let [head, instances, nodes, digests] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(nodes),
        Constraint::Length(digests),
    ])
    .areas(area);
    draw_head(frame, head, model, screen);
    draw_instances(frame, instances, model, screen);
    draw_nodes(frame, nodes, model);
    draw_digests(frame, digests, model);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, model: &Model, screen: &Screen) {
    let sessions: u64 = model.instances.iter().filter_map(|its| its.sessions).sum();
    let rates = model.instances.iter().filter_map(|its| its.statements);
    let down = model
        .nodes
        .iter()
        .filter(|node| node.health == "down")
        .count();
    let mut text = vec![
        Span::styled("openpeta ", Modifier::BOLD),
        Span::raw(format!(
            "{} instances, {sessions} sessions, {}/s statements, {} tasks",
            model.instances.len(),
            number(rates.sum()),
            model.unfinished_tasks,
        )),
    ];
    let alarm = |count: usize, what: &str| {
        let text = format!(", {count} {what}");
        (count > 0).then(|| Span::styled(text, Color::Red))
    };
    text.extend(alarm(model.stuck_tasks as usize, "stuck"));
    text.extend(alarm(down, "nodes down"));
    match screen.trouble.as_str() {
        "" => text.push(Span::styled(
            format!("   q quit  s order: {}", model.order.name()),
            Color::DarkGray,
        )),
        trouble => text.push(Span::styled(format!("   {trouble}"), Color::Red)),
    }
    frame.render_widget(Paragraph::new(Line::from(text)), area);
}

fn draw_instances(frame: &mut Frame<'_>, area: Rect, model: &Model, screen: &Screen) {
    let head = [
        "INSTANCE",
        "STATUS",
        "SESSIONS",
        "STMT/S",
        "READS/S",
        "WRITES/S",
        "FAILED/S",
        "READ MS",
        "WRITE MS",
        "STATEMENTS/S",
    ];
    let rows = model.instances.iter().skip(screen.skipped).map(instance);
    let widths = [18, 15, 10, 8, 8, 8, 8, 8, 8].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Min(SPARK as u16)]);
    frame.render_widget(table("Instances", head, rows, widths), area);
}

fn instance(its: &InstanceLine) -> Row<'_> {
    let status = match its.status.as_str() {
        "ACTIVE" => Style::new(),
        "INACTIVE" => Style::from(Color::Red),
        _ => Style::from(Color::Yellow),
    };
    let sessions = its.sessions.map_or("-".to_owned(), |sessions| {
        format!("{sessions}/{}", its.sessions_limit)
    });
    Row::new([
        Cell::from(&*its.instance_id),
        Cell::from(&*its.status).style(status),
        Cell::from(sessions),
        rate(its.statements),
        rate(its.reads),
        rate(its.writes),
        rate(its.failed),
        rate(its.read_ms),
        rate(its.write_ms),
        Cell::from(spark(&its.history, SPARK)).style(Color::Cyan),
    ])
}

fn draw_nodes(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let head = [
        "NODE", "INSTANCE", "HEALTH", "CPU %", "MEMORY", "FILES", "OF QUOTA", "RESTARTS",
    ];
    let rows = model.nodes.iter().map(node);
    let widths = [18, 18, 11, 8, 10, 10, 9, 9].map(Constraint::Length);
    frame.render_widget(table("Nodes", head, rows, widths), area);
}

fn node(its: &NodeLine) -> Row<'_> {
    let health = match its.health.as_str() {
        "up" => Color::Green,
        "down" => Color::Red,
        _ => Color::Yellow,
    };
    let size = |value: Option<u64>| value.map_or("-".to_owned(), |value| bytes(value as f64));
    let quota = its.disk_percent.map(|percent| format!("{percent:.0} %"));
    Row::new([
        Cell::from(&*its.node_id),
        Cell::from(&*its.instance_id),
        Cell::from(&*its.health).style(health),
        rate(its.cpu_percent),
        Cell::from(size(its.resident_bytes)),
        Cell::from(size(its.disk_bytes)),
        Cell::from(quota.unwrap_or_else(|| "-".to_owned())),
        Cell::from(its.restarts.to_string()),
    ])
}

fn draw_digests(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let head = [
        "INSTANCE",
        "RUN/S",
        "LOAD",
        "COUNT",
        "ERRORS",
        "P95 MS",
        "STATEMENT",
    ];
    let rows = model.digests.iter().map(digest);
    let widths = [18, 8, 8, 9, 8, 8].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Min(20)]);
    frame.render_widget(table("Statements", head, rows, widths), area);
}

fn digest(its: &DigestLine) -> Row<'_> {
    Row::new([
        Cell::from(&*its.instance_id),
        rate(its.per_second),
        rate(its.load),
        Cell::from(number(its.count as f64)),
        Cell::from(number(its.errors as f64)),
        rate(Some(its.p95_ms)),
        Cell::from(its.statement.replace(['\n', '\t'], " ")),
    ])
}

fn rate<'a>(value: Option<f64>) -> Cell<'a> {
    Cell::from(value.map_or("-".to_owned(), number))
}

fn table<'a, const N: usize>(
    title: &'a str,
    head: [&'a str; N],
    rows: impl Iterator<Item = Row<'a>>,
    widths: impl IntoIterator<Item = Constraint>,
) -> Table<'a> {
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(Color::DarkGray)
        .title(title);
    let head = Row::new(head).style(Modifier::BOLD);
    Table::new(rows, widths).header(head).block(block)
}

#[cfg(test)]
mod tests {
    use super::super::as_text;
    use super::super::model::tests::{digest, instance, node, overview};
    use super::*;

    fn model() -> Model {
        let mut model = Model::default();
        for look in 0..5_u64 {
            let at_ms = 10_000 + 1000 * look as i64;
            let instances = vec![
                instance("pd-a", 100 * look * look, 3),
                instance("pd-b", 0, 0),
            ];
            let mut now = overview(at_ms, instances);
            now.instances[1].lock_mode = Some("LockByDiskQuota".into());
            now.nodes = vec![node(at_ms, 250_000 * look)];
            now.digests = vec![digest(7 * look)];
            now.stuck_tasks = 1;
            model.take(now);
        }
        model
    }

    #[test]
    fn everything_is_on_the_screen() {
        let text = as_text(&model(), &Screen::default(), 130, 24);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].starts_with(
                "openpeta 2 instances, 3 sessions, 700/s statements, 0 tasks, 1 stuck"
            ),
            "{text}"
        );
        let line = |name: &str| {
            let found = lines.iter().find(|line| line.starts_with(name));
            found
                .unwrap_or_else(|| panic!("{name} in\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
        };
        let busy = [
            "pd-a",
            "ACTIVE",
            "3/100",
            "700",
            "700",
            "0",
            "0",
            "0.50",
            "-",
            "▁▃▆█",
        ];
        assert_eq!(line("pd-a"), busy);
        assert_eq!(line("pd-b")[1], "LockByDiskQuota");
        let health = [
            "nd-aaaaaaaaaaaaaa",
            "pd-a",
            "up",
            "25",
            "64M",
            "25M",
            "25",
            "%",
            "2",
        ];
        assert_eq!(line("nd-"), health);
        let statement = lines.iter().rfind(|line| line.contains("SELECT ?"));
        let statement: Vec<_> = statement.expect("there").split_whitespace().collect();
        assert_eq!(
            statement,
            ["pd-a", "7", "0.0070", "28", "1", "2.5", "SELECT", "?"]
        );
    }

    #[test]
    fn a_small_screen_shows_what_fits() {
        for (width, height) in [(20, 3), (1, 1), (80, 10), (300, 100)] {
            let text = as_text(&model(), &Screen::default(), width, height);
            assert!(text.lines().count() <= usize::from(height));
        }
    }

    #[test]
    fn instances_can_be_scrolled_and_trouble_is_told() {
        let screen = Screen {
            skipped: 1,
            trouble: "no service answers".into(),
        };
        let text = as_text(&model(), &screen, 130, 24);
        let shown = text.lines().filter(|line| line.starts_with("pd-b")).count();
        assert_eq!(shown, 1);
        assert!(!text.contains("ACTIVE"));
        assert!(
            text.lines()
                .next()
                .expect("a line")
                .ends_with("no service answers")
        );
    }
}
