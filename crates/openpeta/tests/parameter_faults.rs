//! Every action with every parameter damaged in every way: missing, empty, of the wrong type,
//! beyond its bounds, in the wrong case, huge, with control characters, SQL, emoji. The answer
//! is success or a code of the action's page, in time, and each change leaves one audit row.
//!
//! What succeeds all the same hits objects that are made for it and replaced.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use openpeta_rpc_api::{Action, ActionSpec, ParameterKind, ParameterSpec, Section};
use openpeta_testkit::{Answer, Api, Examples, Request, Scheme, Service, wait_for};
use serde_json::{Value, json};

/// Codes that any action may answer to a damaged parameter, besides those of its page.
const COMMON: [&str; 2] = ["MissingParameter", "InvalidParameter"];

/// The longest that a call may take.
const LONGEST: Duration = Duration::from_secs(20);

/// The longest value that is read at all.
const LONGEST_VALUE: usize = 64 << 10;

/// Instances that orders left, beyond which they are deleted.
const MANY: usize = 6;

/// A value in the place of a good one.
struct Fault {
    /// `None` leaves the parameter out.
    value: Option<String>,
    /// Whether it must be refused.
    refused: bool,
    /// Whether it is not even meant as a value of the parameter.
    hostile: bool,
}

/// Whether a success costs so much that hostile values are sent while nothing can succeed.
fn is_costly(spec: &ActionSpec) -> bool {
    let makes_an_instance = matches!(
        spec.action,
        Action::CreateInstance | Action::RestoreDatabase
    );
    makes_an_instance || (spec.creates_task && spec.section != Section::Tables)
}

/// What a parameter is damaged with.
fn faults(parameter: &ParameterSpec, good: Option<&str>) -> Vec<Fault> {
    let any = |value: &str| Fault {
        value: Some(value.to_owned()),
        refused: false,
        hostile: false,
    };
    let hostile = |value: &str| Fault {
        hostile: true,
        ..any(value)
    };
    let mut faults = vec![
        Fault {
            value: None,
            refused: parameter.required,
            hostile: true,
        },
        Fault {
            value: Some(String::new()),
            refused: parameter.required,
            hostile: true,
        },
    ];
    faults.extend(HOSTILE.map(hostile));
    faults.push(hostile(&"a".repeat(64 << 10)));
    faults.push(hostile(&"名".repeat(22_000)));
    if parameter.kind == ParameterKind::Integer {
        faults.extend(NO_INTEGERS.map(|value| Fault {
            refused: true,
            ..any(value)
        }));
    }
    if parameter.kind == ParameterKind::Time {
        faults.extend(NO_TIMES.map(|value| Fault {
            refused: true,
            ..any(value)
        }));
    }
    faults.extend(parameter.allowed.iter().map(|value| any(value)));
    for value in good.iter().chain(parameter.allowed) {
        faults.push(hostile(&swapped_case(value)));
    }
    faults.extend(boundaries(parameter));
    faults
}

/// Values that hardly any parameter has.
const HOSTILE: [&str; 19] = [
    " ",
    "-1",
    "0",
    "1",
    "1.5",
    "99999999999999999999",
    "true",
    "x",
    "[]",
    "{\"ReadWrite\":[\"shop\"],\"ReadOnly\":{}}",
    "\0",
    "a\0b",
    "\u{1}\t\r\n\u{1b}[31m\u{7f}",
    "'; DROP TABLE keep; -- ",
    "` OR 1=1 /*",
    "%_\\\"",
    "😀",
    "e\u{301}\u{202e}\u{feff}",
    "../../etc/passwd",
];

const NO_INTEGERS: [&str; 5] = ["one", "1x", "0x1", "٣", "1e3"];

const NO_TIMES: [&str; 6] = [
    "2019-02-30T00:00:00Z",
    "2019-01-17",
    "2019-01-17T24:00:01Z",
    "2019-01-17T08:00:00",
    "17/01/2019 08:00",
    "0000-00-00T00:00:00Z",
];

fn swapped_case(text: &str) -> String {
    let swap = |c: char| match c.is_uppercase() {
        true => c.to_lowercase().to_string(),
        false => c.to_uppercase().to_string(),
    };
    text.chars().map(swap).collect()
}

/// Values below, at and above the bounds that the table names.
fn boundaries(parameter: &ParameterSpec) -> Vec<Fault> {
    // The rule of a repeated one says how many there may be.
    let bounds = Bounds::of(parameter.constraints);
    let Some(bounds) = bounds.filter(|_| parameter.kind != ParameterKind::Repeated) else {
        return Vec::new();
    };
    let (low, high) = (bounds.low, bounds.high);
    [low.saturating_sub(1), low, high, high.saturating_add(1)]
        .into_iter()
        .filter(|size| !(bounds.counts_characters && *size == 0))
        .map(|size| Fault {
            value: Some(match bounds.counts_characters {
                true => text_of(parameter, usize::try_from(size).expect("a length")),
                false => size.to_string(),
            }),
            refused: !(low..=high).contains(&size),
            hostile: false,
        })
        .collect()
}

/// A text that is wrong in nothing but perhaps its length.
fn text_of(parameter: &ParameterSpec, length: usize) -> String {
    let pattern = if parameter.secret { "Aa1!" } else { "a" };
    pattern.chars().cycle().take(length).collect()
}

/// How large a value may be.
#[derive(Debug, PartialEq, Eq)]
struct Bounds {
    low: u64,
    high: u64,
    counts_characters: bool,
}

impl Bounds {
    /// Reads `2-10 characters; …`, `integer 7..730`, `> 0, <= 2147483647`, `at most 64 letters`,
    /// as the table words them.
    fn of(text: &str) -> Option<Self> {
        let rule = text.split(';').next()?;
        let words: Vec<&str> = rule.split([' ', ',', ':']).collect();
        let number = |text: &str| text.parse::<u64>().ok();
        let range = words.iter().find_map(|word| {
            let (low, high) = word.split_once("..").or_else(|| word.split_once('-'))?;
            Some((number(low)?, number(high)?))
        });
        let to = words.windows(3).find_map(|three| match three {
            [low, "to", high] => Some((number(low)?, number(high)?)),
            _ => None,
        });
        let then = words.windows(4).find_map(|four| match four {
            ["then", "up", "to", high] => Some((1, number(high)? + 1)),
            _ => None,
        });
        let most = words.windows(2).find_map(|two| match two {
            ["<=" | "most" | "to", high] => Some((1, number(high)?)),
            _ => None,
        });
        let (low, high) = range.or(to).or(then).or(most)?;
        let counted = ["characters", "letters"];
        Some(Self {
            low,
            high,
            counts_characters: counted.iter().any(|unit| rule.contains(unit)),
        })
    }
}

/// The service, and what was asked of it.
struct Matrix {
    service: Service,
    api: Api,
    examples: Examples,
    /// RequestIds of changing calls, with the call in words, by action.
    changes: HashMap<&'static str, Vec<(String, String)>>,
    /// Instances that were ordered.
    ordered: Vec<String>,
    calls: usize,
    /// Whether nothing that costs can succeed.
    is_blocked: bool,
    /// What was not as it should be, in words.
    problems: Vec<String>,
}

impl Matrix {
    fn new() -> Self {
        let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
        // One exchange over TCP is a fraction of one over TLS.
        service.set("api", "allow_http_for_secrets", "always");
        // A number that was not damaged enough orders a database, not a hundred servers.
        service.set("quotas", "nodes_per_database", 4);
        service.start();
        let api = service.api();
        let examples = Examples::new(&service, api.clone());
        Self {
            service,
            api,
            examples,
            changes: HashMap::new(),
            ordered: Vec::new(),
            calls: 0,
            is_blocked: false,
            problems: Vec::new(),
        }
    }

    /// Calls an action with each of its parameters damaged in every way.
    fn damage(&mut self, spec: &'static ActionSpec) {
        if !is_costly(spec) {
            for parameter in spec.parameters {
                self.damage_parameter(spec, parameter, |_| true);
            }
            return;
        }
        self.block(true);
        for parameter in spec.parameters {
            self.damage_parameter(spec, parameter, |fault| fault.hostile);
        }
        self.block(false);
        for parameter in spec.parameters {
            self.damage_parameter(spec, parameter, |fault| !fault.hostile);
        }
    }

    /// Makes it so that no order and no change of the instance can succeed, or undoes that.
    fn block(&mut self, blocked: bool) {
        self.delete_ordered();
        let instance = self.examples.instance();
        let lock = match blocked {
            true => json!({
                "command": "instance-lock", "instance_id": instance, "reason": "being tested",
            }),
            false => json!({"command": "instance-unlock", "instance_id": instance}),
        };
        let account: u64 = self.api.account_id.parse().expect("a number");
        let quota = match blocked {
            true => self.api.instances().len(),
            false => 100,
        };
        let quota = json!({
            "command": "tenant-update", "account_id": account, "instance_quota": quota,
        });
        for command in [lock, quota] {
            self.service.admin(&command).expect("the operator may");
        }
        self.is_blocked = blocked;
    }

    /// The action's example, as far as it can be had.
    fn example(&mut self, spec: &'static ActionSpec) -> Vec<(&'static str, String)> {
        match self.is_blocked {
            true => self.examples.presumed(spec),
            false => self.examples.parameters(spec.action),
        }
    }

    /// Calls an action with one parameter damaged.
    fn damage_parameter(
        &mut self,
        spec: &'static ActionSpec,
        parameter: &'static ParameterSpec,
        wanted: impl Fn(&Fault) -> bool,
    ) {
        let name = parameter.name.replace(".N", ".1");
        let mut good = self.example(spec);
        let value = good.iter().find(|(other, _)| *other == name);
        let value = value.map(|(_, value)| value.clone());
        let faults = faults(parameter, value.as_deref());
        for fault in faults.into_iter().filter(wanted) {
            let mut sent: Vec<(&str, &str)> = good
                .iter()
                .filter(|(other, _)| *other != name)
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            if let Some(value) = &fault.value {
                sent.push((&name, value));
            }
            let answer = self.send(spec, &sent);
            let shown: Option<String> = fault
                .value
                .as_ref()
                .map(|value| value.chars().take(80).collect());
            let what = format!("{} {name}={shown:?}: {answer:?}", spec.name);
            let length = fault.value.as_ref().map_or(0, String::len);
            self.remember(spec, &what, &answer, length);
            let succeeded = answer.status == 200;
            if !is_documented(spec, &answer) || (fault.refused && succeeded) {
                self.problems.push(what);
            }
            if spec.mutating && succeeded {
                good = self.example(spec);
            }
        }
    }

    /// Sends a call, which must be answered in time.
    fn send(&mut self, spec: &'static ActionSpec, sent: &[(&str, &str)]) -> Answer {
        let request = Request {
            scheme: Scheme::Http,
            ..Request::new(spec.name, sent)
        };
        let start = Instant::now();
        let answer = self.api.send(&request);
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", spec.name));
        assert!(start.elapsed() < LONGEST, "{}: {answer:?}", spec.name);
        self.calls += 1;
        answer
    }

    /// Notes what the call must have left.
    fn remember(&mut self, spec: &'static ActionSpec, what: &str, answer: &Answer, length: usize) {
        // What is too long is refused before it is known who calls.
        if !spec.mutating || length > LONGEST_VALUE {
            return;
        }
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        let id = body["RequestId"].as_str().expect("every answer has one");
        let call = (id.to_owned(), what.to_owned());
        self.changes.entry(spec.name).or_default().push(call);
        // An order, or a restore, made an instance.
        let made = ["InstanceId", "NewInstanceId"].map(|name| body[name].as_str());
        if let Some(id) = made.into_iter().flatten().next()
            && id != self.examples.instance()
        {
            self.ordered.push(id.to_owned());
            if self.ordered.len() > MANY {
                self.delete_ordered();
            }
        }
    }

    fn delete_ordered(&mut self) {
        let ordered = std::mem::take(&mut self.ordered);
        for instance in &ordered {
            let _ = self.api.wait_active(instance);
            self.api
                .call("DeleteInstance", &[("InstanceId", instance)])
                .expect("it can be deleted");
        }
        for instance in &ordered {
            self.api.wait_gone(instance);
        }
    }

    /// One row of the audit trail for each changing call.
    fn check_audit(&mut self) {
        for (action, ids) in &self.changes {
            let mut rows: HashMap<String, usize> = HashMap::new();
            for row in self.service.audit(action) {
                let id = row["request_id"].as_str().expect("a text");
                *rows.entry(id.to_owned()).or_default() += 1;
            }
            for (id, what) in ids {
                let count = rows.get(id).unwrap_or(&0);
                if *count != 1 {
                    self.problems.push(format!("{count} audit rows: {what}"));
                }
            }
        }
    }
}

/// Success, or a code that the action's page lists.
fn is_documented(spec: &ActionSpec, answer: &Answer) -> bool {
    let is_listed = spec
        .errors
        .iter()
        .any(|error| error.code == answer.code() && error.http_status == answer.status);
    let is_common = answer.status == 400 && COMMON.contains(&answer.code());
    answer.status < 500 && (answer.status == 200 || is_listed || is_common)
}

#[test]
fn every_parameter_damaged_in_every_way() {
    let mut matrix = Matrix::new();
    let mut session = matrix.examples.login().connect().expect("a session");
    session
        .query("CREATE TABLE keep (id INT PRIMARY KEY)")
        .expect("it can be made");
    for action in Action::ALL {
        matrix.damage(action.spec());
    }
    matrix.examples.settle();
    let mut session = matrix.examples.login().connect().expect("a session");
    session
        .query("SELECT * FROM keep")
        .expect("nothing but SQL may drop it");
    matrix.check_audit();
    matrix.delete_ordered();
    for instance in matrix.api.instances() {
        wait_for("a deletion", || {
            let deleted = matrix
                .api
                .call("DeleteInstance", &[("InstanceId", &instance)]);
            deleted.is_ok().then_some(())
        });
        matrix.api.wait_gone(&instance);
    }
    matrix.service.assert_nothing_left();
    let count = matrix.problems.len();
    let problems = matrix.problems.join("\n");
    assert!(
        problems.is_empty(),
        "{count} of {} calls:\n{problems}",
        matrix.calls
    );
}

#[test]
fn bounds_are_read_as_the_table_words_them() {
    let bounds = |text| Bounds::of(text).map(|b| (b.low, b.high, b.counts_characters));
    assert_eq!(
        bounds("2-10 characters; first a letter"),
        Some((2, 10, true))
    );
    assert_eq!(bounds("<= 64 ASCII characters"), Some((1, 64, true)));
    assert_eq!(bounds("up to 16 characters: a letter"), Some((1, 16, true)));
    assert_eq!(
        bounds("a letter, then up to 63 letters"),
        Some((1, 64, true))
    );
    assert_eq!(bounds("integer 7..730"), Some((7, 730, false)));
    assert_eq!(bounds("3200..3999"), Some((3200, 3999, false)));
    assert_eq!(
        bounds("> 0, <= 2147483647"),
        Some((1, 2_147_483_647, false))
    );
    assert_eq!(
        bounds("decimal integer, 1 to 128; above 1 is refused"),
        Some((1, 128, false))
    );
    assert_eq!(bounds("in minutes"), None);
    assert_eq!(bounds("HH:mmZ-HH:mmZ"), None);
}
