//! Every action of the table, called over the real program in every role: what a role may do,
//! what it is told otherwise, and what the audit trail says of it afterwards. An action that is
//! added to the table fails here until its example succeeds, and it has a page and a command.

use std::path::Path;

use jiff::Timestamp;
use openpeta_rpc_api::{Action, ActionSpec, HttpsRule, docs};
use openpeta_testkit::{
    Answer, Api, Credentials, Examples, Request, Scheme, Service, Signing, wait_for,
};
use serde_json::{Value, json};

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nobody: the request has no signature.
    Unsigned,
    /// Temporary credentials of the tenant, after their end.
    ExpiredToken,
    /// Temporary credentials of the tenant, with another token than theirs.
    MalformedToken,
    /// The tenant, with a key that was disabled.
    DisabledKey,
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
    /// The same with temporary credentials.
    GrantedToken,
    /// The tenant.
    Owner,
}

/// In this order: those who must not succeed come before those who change something.
const ROLES: [Role; 11] = [
    Role::Unsigned,
    Role::ExpiredToken,
    Role::MalformedToken,
    Role::DisabledKey,
    Role::Denied,
    Role::Elsewhere,
    Role::OtherTenant,
    Role::Bare,
    Role::Granted,
    Role::GrantedToken,
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
fn names_instance(spec: &ActionSpec) -> bool {
    let means_one = ["{InstanceId}", "{ConnectionString}"];
    spec.example
        .iter()
        .any(|(_, value)| means_one.contains(value))
}

/// Whether the answer is a list of what the caller may see.
fn lists(action: Action) -> bool {
    matches!(
        action,
        Action::DescribeInstances | Action::DescribeDatabaseList
    )
}

/// The matrix.
fn expected(spec: &ActionSpec, role: Role) -> Expected {
    use Expected::{Code, Documented, Success};
    let named = names_instance(spec);
    match role {
        Role::Unsigned => Code("MissingParameter"),
        Role::ExpiredToken => Code("InvalidSecurityToken.Expired"),
        Role::MalformedToken => Code("InvalidSecurityToken.Malformed"),
        Role::DisabledKey => Code("InvalidAccessKeyId.NotFound"),
        Role::Denied => Code("Forbidden.RAM"),
        Role::Elsewhere if lists(spec.action) => Success,
        Role::Elsewhere => Code("Forbidden.RAM"),
        Role::OtherTenant if named => Code("InvalidDBInstanceId.NotFound"),
        Role::Bare => Documented,
        Role::OtherTenant | Role::Granted | Role::GrantedToken | Role::Owner => Success,
    }
}

/// The service and those who call it.
struct World {
    service: Service,
    owner: Api,
    expired_token: Api,
    malformed_token: Api,
    disabled_key: Api,
    other_tenant: Api,
    denied: Api,
    elsewhere: Api,
    granted: Api,
    granted_token: Api,
    /// What the owner's calls are about, and those that are refused.
    examples: Examples,
    /// What the granted sub-user's calls are about, with either kind of key.
    examples_of_granted: Examples,
}

impl World {
    fn new() -> Self {
        let mut service = Service::started(env!("CARGO_BIN_EXE_openpeta"));
        let owner = service.api();
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
        let with_key_of = |command: Value| {
            let key = service.admin(&command).expect("a key can be made");
            owner.with_key(Credentials::of(&key))
        };
        let token_of = |user: Value| {
            with_key_of(json!({
                "command": "sts-issue", "account_id": account, "user_name": user,
                "duration_seconds": 43_200,
            }))
        };
        let expired_token = token_of(Value::Null);
        let mut malformed_token = token_of(Value::Null);
        malformed_token.key.security_token = expired_token.key.security_token.clone();
        let disabled_key = with_key_of(json!({
            "command": "access-key-create", "account_id": account, "user_name": null,
        }));
        let disable = json!({
            "command": "access-key-disable", "access_key_id": disabled_key.key.access_key_id,
        });
        service.admin(&disable).expect("a key can be disabled");
        let granted_token = token_of("granted".into());
        let tenant = json!({"command": "tenant-create", "name": "other"});
        let tenant = service.admin(&tenant).expect("a tenant can be made");
        // Nobody waits for the shortest life time there is, a quarter of an hour.
        assert_eq!(service.stop(), Some(0));
        let now = Timestamp::now().as_microsecond();
        service.edit_store(&format!(
            "UPDATE access_keys SET expires_at = {now} WHERE access_key_id = '{}'",
            expired_token.key.access_key_id
        ));
        service.start();
        // It may listen on other ports now.
        let moved = |api: Api| service.api().with_key(api.key);
        Self {
            expired_token: moved(expired_token),
            malformed_token: moved(malformed_token),
            disabled_key: moved(disabled_key),
            other_tenant: service.api().with_key(Credentials::of(&tenant)),
            denied: moved(denied),
            elsewhere: moved(elsewhere),
            granted: moved(granted),
            granted_token: moved(granted_token),
            examples: Examples::new(&service, service.api()),
            examples_of_granted: Examples::new(&service, service.api()),
            owner: service.api(),
            service,
        }
    }

    fn api(&self, role: Role) -> &Api {
        match role {
            Role::Unsigned | Role::Bare | Role::Owner => &self.owner,
            Role::ExpiredToken => &self.expired_token,
            Role::MalformedToken => &self.malformed_token,
            Role::DisabledKey => &self.disabled_key,
            Role::Denied => &self.denied,
            Role::Elsewhere => &self.elsewhere,
            Role::OtherTenant => &self.other_tenant,
            Role::Granted => &self.granted,
            Role::GrantedToken => &self.granted_token,
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

    fn send(
        &self,
        action: Action,
        role: Role,
        scheme: Scheme,
        parameters: &[(&str, String)],
    ) -> Answer {
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let request = Request {
            scheme,
            // All ways to sign and to send take their turns.
            method: if role == Role::Owner { "POST" } else { "GET" },
            signing: match role {
                Role::Unsigned => Signing::Unsigned,
                Role::Granted | Role::OtherTenant | Role::MalformedToken => Signing::Acs3,
                _ => Signing::V1,
            },
            ..Request::new(action.name(), &parameters)
        };
        let sent = self.api(role).send(&request);
        sent.unwrap_or_else(|error| panic!("{} {role:?}: {error}", action.name()))
    }
}

/// What must not be seen again of a call's parameters.
fn secrets(spec: &ActionSpec) -> impl Iterator<Item = &'static str> {
    let is_secret = |name: &str| spec.parameter(name).is_some_and(|known| known.secret);
    let secrets = spec.example.iter();
    secrets.filter_map(move |(name, value)| is_secret(name).then_some(*value))
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
    assert!(
        secrets(spec).all(|secret| !answer.body.contains(secret)),
        "{what}"
    );
}

/// One row for a changing call of somebody, none for one that reads or that nobody known signed.
fn check_audit(spec: &ActionSpec, role: Role, answer: &Answer, rows: &[Value]) {
    let id = request_id(answer);
    let rows: Vec<_> = rows.iter().filter(|row| row["request_id"] == id).collect();
    let what = format!("{} {role:?}: {rows:?}", spec.name);
    let is_nobody = matches!(
        role,
        Role::Unsigned | Role::ExpiredToken | Role::MalformedToken | Role::DisabledKey
    );
    if !spec.mutating || is_nobody {
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
        Role::Granted | Role::GrantedToken => json!("granted"),
        _ => Value::Null,
    };
    assert_eq!(rows[0]["ram_user"], user, "{what}");
    let row = rows[0].to_string();
    assert!(secrets(spec).all(|secret| !row.contains(secret)), "{what}");
    for parameter in spec.parameters.iter().filter(|parameter| parameter.secret) {
        let shown = &rows[0]["parameters"][parameter.name];
        assert!(*shown == "***" || shown.is_null(), "{what}");
    }
    // A call about several resources has none in its row.
    let names_several = spec.parameter("ResourceId.N").is_some();
    if names_instance(spec) && !names_several && role != Role::Bare {
        assert!(rows[0]["instance_id"].is_string(), "{what}");
    }
}

/// Deletes instances of a tenant, also those that are on their way or gone by now.
fn delete_all(tenant: &Api, instances: &[String]) {
    for instance in instances {
        let is_still_there = wait_for("the end of an order", || {
            let info = tenant.info(instance).expect("the call succeeds");
            let is_transient =
                |info: &Value| matches!(info["InstanceStatus"].as_str(), Some("CREATE" | "DELETE"));
            (!info.as_ref().is_some_and(is_transient)).then_some(info.is_some())
        });
        if is_still_there {
            tenant.delete(instance);
        }
    }
}

#[test]
fn every_action_in_every_role() {
    let mut world = World::new();
    let mut answers = Vec::new();
    for &action in Action::ALL {
        let spec = action.spec();
        world.grant(action);
        let parameters = world.examples.parameters(action);
        let mut parameters_of_granted = world.examples_of_granted.parameters(action);
        for role in ROLES {
            if role == Role::GrantedToken {
                // What the permanent key did is done.
                parameters_of_granted = world.examples_of_granted.parameters(action);
            }
            let sent = match role {
                Role::Bare => &[][..],
                Role::Granted | Role::GrantedToken => &parameters_of_granted,
                _ => &parameters,
            };
            let answer = world.send(action, role, Scheme::Https, sent);
            check_answer(spec, role, &answer);
            if lists(action) && role != Role::Bare && answer.status == 200 {
                // Others find an empty list, not an error that tells of the instance.
                let seen = answer.body.contains(world.examples.instance());
                let may = matches!(role, Role::Granted | Role::GrantedToken | Role::Owner);
                assert_eq!(seen, may, "{role:?} {answer:?}");
            }
            answers.push((spec, role, answer));
        }

        // Over plain HTTP a password is refused.
        let answer = world.send(action, Role::Owner, Scheme::Http, &parameters);
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

    world.examples.settle();
    world.examples_of_granted.settle();
    // What the other tenant ordered is its own, and nobody else's.
    let foreign = world.other_tenant.instances();
    let own = world.owner.instances();
    assert!(!foreign.is_empty());
    assert!(foreign.iter().all(|instance| !own.contains(instance)));
    delete_all(&world.other_tenant, &foreign);
    delete_all(&world.owner, &own);
    world.service.assert_nothing_left();
}

#[test]
fn every_action_has_a_page_a_command_and_a_place_in_the_fuzz() {
    let service = Service::new(env!("CARGO_BIN_EXE_openpeta"));
    let help = service.cli(&["--help"]);
    let help = String::from_utf8(help.stdout).expect("a text");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api");
    let description = std::fs::read(docs.join("openapi.json")).expect("it is checked in");
    let description: Value = serde_json::from_slice(&description).expect("JSON");
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
        // What the fuzzer of the description sends.
        let operation = &description["paths"][format!("/{}", spec.name)]["post"];
        assert_eq!(operation["operationId"], spec.name);
        let form = "application/x-www-form-urlencoded";
        let example = &operation["requestBody"]["content"][form]["example"];
        for (name, value) in docs::example_parameters(spec) {
            let shown = match &example[name] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(shown, value, "{} {name}", spec.name);
        }
        for (name, value) in docs::example_parameters(spec) {
            let percent = |byte: u8| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            };
            let value: String = value.bytes().map(percent).collect();
            let example = format!("&{name}={value}");
            assert!(page.contains(&example), "{}: no {example}", spec.name);
        }
        // Commands are spelled as the action, in words.
        let is_its = |word: &&str| word.replace('-', "") == spec.name.to_lowercase();
        let command = help.split_whitespace().find(is_its);
        let command = command.unwrap_or_else(|| panic!("{} has no command", spec.name));
        let output = service.cli(&[command, "--help"]);
        assert!(output.status.success(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("a text");
        assert!(text.contains("Usage:"), "{command}: {text}");
        let output = service.cli(&["call", spec.name, "--help"]);
        assert!(output.status.success(), "{}: {output:?}", spec.name);
    }
}
