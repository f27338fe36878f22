//! Every action of the table, called over the real program in every role: what a role may do,
//! what it is told otherwise, and what the audit trail says of it afterwards. An action that is
//! added to the table fails here until it has its parameters below, a page and a command.

use std::path::Path;

use openpeta_rpc_api::{Action, ActionSpec, Availability, HttpsRule};
use openpeta_testkit::{Answer, Api, Credentials, Request, Scheme, Service, Signing};
use serde_json::{Value, json};

const SECRET: &str = "Secr3t-of-the-test";
const ACCOUNT_OF_OWNER: &str = "own";
const ACCOUNT_OF_GRANTED: &str = "second";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nobody: the request has no signature.
    Unsigned,
    /// A sub-user without a policy.
    Denied,
    /// A sub-user who may do this, but only to another instance.
    Elsewhere,
    /// Another tenant.
    OtherTenant,
    /// The tenant, without any parameter.
    Bare,
    /// A sub-user who may do exactly this.
    Granted,
    /// The tenant.
    Owner,
}

/// In this order: those who must not succeed come before those who change something.
const ROLES: [Role; 7] = [
    Role::Unsigned,
    Role::Denied,
    Role::Elsewhere,
    Role::OtherTenant,
    Role::Bare,
    Role::Granted,
    Role::Owner,
];

/// What a role is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Success,
    Code(&'static str),
    /// Success where nothing is required, else an error of the action's page.
    Documented,
}

/// Whether the call names an instance, so that others than its owner do not find it.
fn names_instance(action: Action) -> bool {
    parameters_of(action)
        .iter()
        .any(|(name, _)| *name == "InstanceId")
}

/// The matrix.
fn expected(spec: &ActionSpec, role: Role) -> Expected {
    use Expected::{Code, Documented, Success};
    let named = names_instance(spec.action);
    match (role, spec.availability) {
        (Role::Unsigned, _) => Code("MissingParameter"),
        (_, Availability::Planned) => Code("ActionUnauthorized"),
        (Role::Denied, _) => Code("Forbidden.RAM"),
        // A list shows what one may see; it is the filter that names the instance.
        (Role::Elsewhere | Role::OtherTenant, _) if spec.action == Action::DescribeInstances => {
            Success
        }
        (Role::Elsewhere, _) => Code("Forbidden.RAM"),
        (Role::OtherTenant, _) if named => Code("InvalidDBInstanceId.NotFound"),
        (Role::Bare, _) => Documented,
        (Role::OtherTenant | Role::Granted | Role::Owner, _) => Success,
    }
}

/// Parameters with which an action that is available succeeds; `{…}` is filled in by role.
fn parameters_of(action: Action) -> &'static [(&'static str, &'static str)] {
    const ID: (&str, &str) = ("InstanceId", "{instance}");
    match action {
        Action::CreateInstance => &[
            ("RegionId", "cn-hangzhou"),
            ("ZoneId", "cn-hangzhou-b"),
            ("DBName", "shop"),
            ("NodeSpec", "petadata.s2.xlarge"),
            ("NodeNumber", "1"),
            ("AccountName", "alice"),
            ("AccountPassword", SECRET),
        ],
        Action::DeleteInstance => &[ID],
        Action::ModifyInstanceName => &[ID, ("NewInstanceName", "renamed")],
        Action::DescribeInstances => &[ID],
        Action::DescribeInstanceInfo => &[ID],
        Action::DescribeTasks => &[
            ID,
            ("StartTime", "2019-01-01T00:00:00Z"),
            ("EndTime", "2999-01-01T00:00:00Z"),
            ("PageNumbers", "1"),
            ("MaxRecordsPerPage", "30"),
        ],
        Action::DescribeTaskStatus => &[ID, ("TaskId", "{task}")],
        Action::DescribeSecurityIPs => &[ID],
        Action::ModifySecurityIPs => &[ID, ("SecurityIPList", "127.0.0.1,10.0.0.0/8")],
        Action::DescribeDatabases => &[ID],
        Action::CreateAccount => &[
            ID,
            ("AccountName", "{account}"),
            ("AccountPassword", SECRET),
        ],
        Action::DeleteAccount => &[ID, ("AccountName", "{account}")],
        Action::DescribeAccounts => &[ID],
        Action::DescribeRegions => &[],
        planned => {
            let spec = planned.spec();
            assert_eq!(
                spec.availability,
                Availability::Planned,
                "{}: say with which parameters it succeeds",
                spec.name
            );
            &[ID]
        }
    }
}

/// The service and those who call it.
struct World {
    service: Service,
    owner: Api,
    other_tenant: Api,
    denied: Api,
    elsewhere: Api,
    granted: Api,
    /// The instance that calls are about.
    instance: String,
    /// The task that made it.
    task: String,
    /// Instances that the actions themselves ordered, to be deleted by DeleteInstance.
    ordered: Vec<(Role, String)>,
}

impl World {
    fn new() -> Self {
        let mut service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
        // Each role that may adds one account.
        service.set("quotas", "accounts_per_instance", 5);
        service.start();
        let owner = service.api();
        let instance = owner.order(&[]).expect("an order is taken");
        let _ = owner.wait_active(&instance);
        let list = json!({"command": "task-list", "instance_id": instance});
        let tasks = service.admin(&list).expect("tasks can be listed");
        let account: u64 = owner.account_id.parse().expect("a number");
        let user = |name: &str| {
            let make = json!({
                "command": "ram-user-create", "account_id": account, "user_name": name,
            });
            service.admin(&make).expect("a user can be made");
            let key = json!({
                "command": "access-key-create", "account_id": account, "user_name": name,
            });
            owner.with_key(Credentials::of(
                &service.admin(&key).expect("a key can be made"),
            ))
        };
        let (denied, elsewhere, granted) = (user("denied"), user("elsewhere"), user("granted"));
        let tenant = json!({"command": "tenant-create", "name": "other"});
        let tenant = service.admin(&tenant).expect("a tenant can be made");
        Self {
            other_tenant: owner.with_key(Credentials::of(&tenant)),
            denied,
            elsewhere,
            granted,
            task: tasks[0]["task_id"].as_str().expect("a text").to_owned(),
            instance,
            ordered: Vec::new(),
            owner,
            service,
        }
    }

    fn api(&self, role: Role) -> &Api {
        match role {
            Role::Unsigned | Role::Bare | Role::Owner => &self.owner,
            Role::Denied => &self.denied,
            Role::Elsewhere => &self.elsewhere,
            Role::OtherTenant => &self.other_tenant,
            Role::Granted => &self.granted,
        }
    }

    /// Lets the two sub-users with policies do this action and no other.
    fn grant(&self, action: Action) {
        let account: u64 = self.owner.account_id.parse().expect("a number");
        let another = "acs:petadata:*:*:dbinstance/pd-another0000000";
        for (user, resource) in [("granted", "*"), ("elsewhere", another)] {
            let document = json!({
                "Version": "1",
                "Statement": [{
                    "Effect": "Allow",
                    "Action": format!("petadata:{}", action.name()),
                    "Resource": resource,
                }],
            });
            let attach = json!({
                "command": "policy-attach", "account_id": account, "user_name": user,
                "policy_name": "only", "document": document.to_string(),
            });
            self.service
                .admin(&attach)
                .expect("a policy can be attached");
        }
    }

    fn fill(&self, action: Action, role: Role, value: &str) -> String {
        let may = matches!(role, Role::Granted | Role::Owner);
        let mut ordered = self.ordered.iter();
        let ordered = ordered.find(|(orderer, _)| may && *orderer == role);
        match value {
            "{instance}" if action == Action::DeleteInstance => ordered
                .map_or(&self.instance, |(_, instance)| instance)
                .clone(),
            "{instance}" => self.instance.clone(),
            "{task}" => self.task.clone(),
            "{account}" if role == Role::Granted => ACCOUNT_OF_GRANTED.to_owned(),
            "{account}" => ACCOUNT_OF_OWNER.to_owned(),
            literal => literal.to_owned(),
        }
    }

    fn send(&self, action: Action, role: Role, scheme: Scheme) -> Answer {
        let template = match role {
            Role::Bare => &[],
            _ => parameters_of(action),
        };
        let filled: Vec<(&str, String)> = template
            .iter()
            .map(|(name, value)| (*name, self.fill(action, role, value)))
            .collect();
        let parameters: Vec<(&str, &str)> = filled
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let request = Request {
            scheme,
            // All ways to sign and to send take their turns.
            method: if role == Role::Owner { "POST" } else { "GET" },
            signing: match role {
                Role::Unsigned => Signing::Unsigned,
                Role::Granted | Role::OtherTenant => Signing::Acs3,
                _ => Signing::V1,
            },
            ..Request::new(action.name(), &parameters)
        };
        let sent = self.api(role).send(&request);
        sent.unwrap_or_else(|error| panic!("{} {role:?}: {error}", action.name()))
    }
}

/// The answer's body.
fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("JSON in {answer:?}"))
}

fn request_id(answer: &Answer) -> String {
    body(answer)["RequestId"]
        .as_str()
        .expect("every answer has one")
        .to_owned()
}

/// The outcome of a call as it is expected and as the audit trail should have it.
fn check_answer(spec: &ActionSpec, role: Role, answer: &Answer) {
    let what = format!("{} {role:?}: {answer:?}", spec.name);
    match expected(spec, role) {
        Expected::Success => assert_eq!(answer.status, 200, "{what}"),
        Expected::Code(code) => {
            assert_eq!(answer.code(), code, "{what}");
            assert!((400..500).contains(&answer.status), "{what}");
        }
        Expected::Documented => {
            let is_listed = spec
                .errors
                .iter()
                .any(|error| error.code == answer.code() && error.http_status == answer.status);
            let needs_nothing = spec.parameters.iter().all(|parameter| !parameter.required);
            assert!(
                is_listed || (answer.status == 200 && needs_nothing),
                "{what}"
            );
        }
    }
    assert!(!answer.body.contains(SECRET), "{what}");
}

/// One row for a changing call of somebody, none for one that reads or that nobody signed.
fn check_audit(spec: &ActionSpec, role: Role, answer: &Answer, rows: &[Value]) {
    let id = request_id(answer);
    let rows: Vec<_> = rows.iter().filter(|row| row["request_id"] == id).collect();
    let what = format!("{} {role:?}: {rows:?}", spec.name);
    if !spec.mutating || role == Role::Unsigned {
        assert!(rows.is_empty(), "{what}");
        return;
    }
    assert_eq!(rows.len(), 1, "{what}");
    let outcome = match answer.status {
        200 => "OK",
        _ => answer.code(),
    };
    assert_eq!(rows[0]["outcome"], outcome, "{what}");
    let user = match role {
        Role::Denied => json!("denied"),
        Role::Elsewhere => json!("elsewhere"),
        Role::Granted => json!("granted"),
        _ => Value::Null,
    };
    assert_eq!(rows[0]["ram_user"], user, "{what}");
    assert!(!rows[0].to_string().contains(SECRET), "{what}");
    for parameter in spec.parameters.iter().filter(|parameter| parameter.secret) {
        let shown = &rows[0]["parameters"][parameter.name];
        assert!(*shown == "***" || shown.is_null(), "{what}");
    }
    if names_instance(spec.action) && role != Role::Bare {
        assert!(rows[0]["instance_id"].is_string(), "{what}");
    }
}

#[test]
fn every_action_in_every_role() {
    let mut world = World::new();
    let mut answers = Vec::new();
    for &action in Action::ALL {
        let spec = action.spec();
        world.grant(action);
        if action == Action::DeleteInstance {
            for (role, instance) in &world.ordered {
                let tenant = match role {
                    Role::OtherTenant => &world.other_tenant,
                    _ => &world.owner,
                };
                let _ = tenant.wait_active(instance);
            }
        }
        for role in ROLES {
            let answer = world.send(action, role, Scheme::Https);
            check_answer(spec, role, &answer);
            if action == Action::CreateInstance && answer.status == 200 {
                let id = body(&answer)["InstanceId"]
                    .as_str()
                    .expect("an id")
                    .to_owned();
                world.ordered.push((role, id));
            }
            if action == Action::DescribeInstances && role != Role::Bare {
                // Others find an empty list, not an error that tells of the instance.
                let seen = answer.body.contains(&world.instance);
                let may = matches!(role, Role::Granted | Role::Owner);
                assert_eq!(seen, may, "{role:?} {answer:?}");
            }
            answers.push((spec, role, answer));
        }

        // Over plain HTTP a password is refused, also for what is not carried out yet.
        let answer = world.send(action, Role::Owner, Scheme::Http);
        let is_secret = spec.parameters.iter().any(|parameter| parameter.secret);
        let what = format!("{} over HTTP: {answer:?}", spec.name);
        assert_eq!(spec.https == HttpsRule::CarriesSecret, is_secret, "{what}");
        assert_eq!(
            answer.code() == "InvalidProtocol.NeedSsl",
            is_secret,
            "{what}"
        );
        if spec.mutating {
            let rows = world.service.audit(spec.name);
            let id = request_id(&answer);
            let count = rows.iter().filter(|row| row["request_id"] == id).count();
            assert_eq!(count, 1, "{what}");
        }
    }
    for (spec, role, answer) in &answers {
        let rows = world.service.audit(spec.name);
        check_audit(spec, *role, answer, &rows);
    }

    // What the other tenant ordered is its own, and nobody else's.
    let (_, foreign) = world
        .ordered
        .iter()
        .find(|(role, _)| *role == Role::OtherTenant)
        .expect("the other tenant ordered");
    assert_eq!(world.other_tenant.instances(), [foreign.as_str()]);
    assert!(!world.owner.instances().contains(foreign));
    world.other_tenant.delete(foreign);
    for (_, instance) in world.ordered.iter().filter(|(_, id)| id != foreign) {
        world.owner.wait_gone(instance);
    }
    world.owner.delete(&world.instance);
    world.service.assert_nothing_left();
}

#[test]
fn every_action_has_a_page_and_a_command() {
    let service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    let help = service.cli(&["--help"]);
    let help = String::from_utf8(help.stdout).expect("a text");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api");
    for action in Action::ALL {
        let spec = action.spec();
        let page = std::fs::read_to_string(docs.join(format!("{}.md", spec.name)));
        let page = page.unwrap_or_else(|error| panic!("the page of {}: {error}", spec.name));
        for parameter in spec.parameters {
            assert!(
                page.contains(parameter.name),
                "{} {}",
                spec.name,
                parameter.name
            );
        }
        // Commands are spelled as the action, in words.
        let is_its = |word: &&str| word.replace('-', "") == spec.name.to_lowercase();
        let command = help.split_whitespace().find(is_its);
        let command = command.unwrap_or_else(|| panic!("{} has no command", spec.name));
        let output = service.cli(&[command, "--help"]);
        assert!(output.status.success(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("a text");
        let is_planned = spec.availability == Availability::Planned;
        assert_eq!(
            text.contains("not carry it out yet"),
            is_planned,
            "{command}: {text}"
        );
        let output = service.cli(&["call", spec.name, "--help"]);
        assert!(output.status.success(), "{}: {output:?}", spec.name);
    }
}
