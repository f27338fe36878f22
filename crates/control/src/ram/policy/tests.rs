//! What documents mean.

use super::*;

fn request(action: &str) -> Request<'_> {
    Request {
        action,
        source_ip: "10.1.2.3".parse().expect("address"),
        secure_transport: false,
        now: "2026-01-02T03:04:05Z".parse().expect("time"),
    }
}

fn resource(instance: &str) -> Resource<'_> {
    Resource {
        region: "cn-hangzhou",
        account: "1234567890123456",
        instance,
    }
}

fn allows(document: &str, action: &str, instance: &str) -> bool {
    let policy = Policy::parse(document).expect("valid policy");
    let allowed = policy
        .decide(&request(action), &resource(instance))
        .is_allowed;
    let listed = policy
        .applicable(&request(action))
        .allows(&resource(instance));
    assert_eq!(allowed, listed, "single calls and listings agree");
    allowed
}

fn one(effect: &str, action: &str, resource: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"1","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}","Condition":{condition}}}]}}"#
    )
}

#[test]
fn nothing_is_allowed_by_default_and_deny_wins() {
    let document = r#"{"Version":"1","Statement":[
        {"Effect":"Allow","Action":["petadata:*"],"Resource":["acs:petadata:*:*:dbinstance/*"]},
        {"Effect":"Deny","Action":"petadata:Delete*","Resource":"acs:petadata:*:*:dbinstance/pd-keep"}]}"#;
    assert!(allows(document, "petadata:DeleteInstance", "pd-other"));
    assert!(!allows(document, "petadata:DeleteInstance", "pd-keep"));
    assert!(allows(document, "petadata:DescribeInstances", "pd-keep"));
    assert!(!allows(document, "rds:DescribeInstances", "pd-keep"));
}

#[test]
fn resources_match_part_by_part() {
    for (pattern, expected) in [
        ("*", true),
        ("acs:petadata:*:*:dbinstance/*", true),
        ("acs:petadata:*:*:*", true),
        (
            "acs:petadata:cn-hangzhou:1234567890123456:dbinstance/pd-1",
            true,
        ),
        ("acs:petadata:cn-*:*:dbinstance/pd-?", true),
        ("acs: petadata:*:*:dbinstance/ *", true),
        ("acs:petadata:cn-beijing:*:dbinstance/*", false),
        ("acs:petadata:*:1:dbinstance/*", false),
        ("acs:petadata:*:*:dbinstance/pd-2", false),
        ("acs:rds:*:*:dbinstance/*", false),
    ] {
        let document = one("Allow", "petadata:*", pattern, "{}");
        assert_eq!(
            allows(&document, "petadata:X", "pd-1"),
            expected,
            "{pattern}"
        );
    }
}

#[test]
fn conditions_are_all_needed() {
    for (condition, expected) in [
        (
            r#"{"IpAddress":{"acs:SourceIp":["10.0.0.0/8","1.1.1.1"]}}"#,
            true,
        ),
        (r#"{"IpAddress":{"acs:SourceIp":"10.1.2.4"}}"#, false),
        (r#"{"NotIpAddress":{"acs:SourceIp":"10.1.2.4"}}"#, true),
        (r#"{"Bool":{"acs:SecureTransport":"true"}}"#, false),
        (r#"{"Bool":{"acs:SecureTransport":false}}"#, true),
        (
            r#"{"DateGreaterThan":{"acs:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
            true,
        ),
        (
            r#"{"DateLessThan":{"acs:CurrentTime":"2026-01-01T00:00:00+08:00"}}"#,
            false,
        ),
        (
            r#"{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},"Bool":{"acs:SecureTransport":"true"}}"#,
            false,
        ),
    ] {
        let document = one("Allow", "petadata:*", "*", condition);
        assert_eq!(
            allows(&document, "petadata:X", "pd-1"),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn not_action_matches_everything_else() {
    let document = r#"{"Version":"1","Statement":{"Effect":"Allow","NotAction":"petadata:Delete*","Resource":"*"}}"#;
    assert!(allows(document, "petadata:DescribeInstances", "pd-1"));
    assert!(!allows(document, "petadata:DeleteInstance", "pd-1"));
}

#[test]
fn documents_that_could_grant_too_much_are_refused() {
    for document in [
        "",
        "{}",
        r#"{"Version":"2","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
        r#"{"Version":"1","Statement":[]}"#,
        r#"{"Version":"1","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Resource":"*"}]}"#,
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"pd-1"}]}"#,
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}]}"#,
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"x"}}}]}"#,
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"acs:MFAPresent":"true"}}}]}"#,
    ] {
        assert!(Policy::parse(document).is_err(), "{document}");
    }
}

#[test]
fn a_decision_names_its_statement() {
    let first = Policy::parse(
        r#"{"Version":"1","Statement":[
        {"Effect":"Allow","Action":"petadata:Create*","Resource":"*"},
        {"Effect":"Allow","Action":"petadata:*","Resource":"*"}]}"#,
    );
    let second = one(
        "Deny",
        "petadata:Delete*",
        "acs:petadata:*:*:dbinstance/pd-keep",
        r#"{"Bool":{"acs:SecureTransport":"false"}}"#,
    );
    let second = Policy::parse(&second).expect("valid");
    let policy = Policy::join([first.expect("valid"), second]);
    let decide = |action, instance| policy.decide(&request(action), &resource(instance));
    let by = |document, statement| {
        Some(Place {
            document,
            statement,
        })
    };
    for (action, instance, is_allowed, decided_by) in [
        ("petadata:CreateInstance", "*", true, by(0, 0)),
        ("petadata:DeleteInstance", "pd-1", true, by(0, 1)),
        ("petadata:DeleteInstance", "pd-keep", false, by(1, 0)),
        ("rds:DeleteInstance", "pd-1", false, None),
    ] {
        let expected = Decision {
            is_allowed,
            decided_by,
        };
        assert_eq!(decide(action, instance), expected, "{action} {instance}");
    }
    let encrypted = Request {
        secure_transport: true,
        ..request("petadata:DeleteInstance")
    };
    let why: Vec<_> = policy
        .explain(&encrypted, &resource("pd-keep"))
        .map(|(_, _, mismatch)| mismatch)
        .collect();
    assert_eq!(
        why,
        [Some(Mismatch::Action), None, Some(Mismatch::Condition)]
    );
    let why = policy.explain(&encrypted, &resource("pd-1")).last();
    assert_eq!(why.expect("three").2, Some(Mismatch::Resource));
}

#[test]
fn a_user_with_grants_on_some_resource_only_is_told_apart_from_one_without() {
    let document = one(
        "Allow",
        "petadata:DescribeInstances",
        "acs:petadata:*:*:dbinstance/pd-1",
        "{}",
    );
    let policy = Policy::parse(&document).expect("valid");
    assert!(
        policy
            .applicable(&request("petadata:DescribeInstances"))
            .allows_something()
    );
    assert!(
        !policy
            .applicable(&request("petadata:DeleteInstance"))
            .allows_something()
    );
}
