//! Endpoints of instances over the real program: a switch of the network never leaves clients
//! without one, public endpoints come and go without touching others, and neither a failure nor
//! a kill leaves anything half done.

use std::process::Command;

use openpeta_testkit::{Api, CallError, Login, PASSWORD, Service, USER, wait_for};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_openpeta");

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The default VPC and VSwitch.
fn default_network(service: &Service) -> (String, String) {
    let id = |command: &str, name: &str| {
        let list = service.admin(&json!({"command": command}));
        text(&list.expect("a list")[0][name]).to_owned()
    };
    (id("vpc-list", "vpc_id"), id("vswitch-list", "vswitch_id"))
}

fn switch_to_vpc(
    api: &Api,
    instance: &str,
    (vpc, vswitch): &(String, String),
) -> Result<Value, CallError> {
    let parameters = [
        ("InstanceId", instance),
        ("TargetNetworkType", "VPC"),
        ("VpcId", vpc),
        ("VSwitchId", vswitch),
    ];
    api.call("SwitchInstanceNetType", &parameters)
}

fn switch_to_classic(api: &Api, instance: &str) {
    let parameters = [("InstanceId", instance), ("TargetNetworkType", "Classic")];
    let answer = api.call("SwitchInstanceNetType", &parameters);
    answer.expect("it can be switched");
}

fn allocate(api: &Api, instance: &str) -> Result<Value, CallError> {
    let parameters = [("InstanceId", instance), ("Port", "3310")];
    api.call("AllocateInstancePublicConnection", &parameters)
}

fn release(api: &Api, instance: &str, public: &Login) -> Result<Value, CallError> {
    let address = public.address.to_string();
    let current = [
        ("DBInstanceId", instance),
        ("CurrentConnectionString", &address),
    ];
    api.call("ReleaseInstancePublicConnection", &current)
}

/// The endpoints that clients are told of.
fn endpoints(api: &Api, instance: &str) -> Vec<Value> {
    let info = api.info(instance).expect("readable").expect("it exists");
    let items = info["NetworkInfoItems"]["NetworkInfoItem"].as_array();
    items.expect("a list").clone()
}

fn public_login(api: &Api, instance: &str, login: &Login) -> Option<Login> {
    let endpoints = endpoints(api, instance);
    let public = endpoints
        .iter()
        .find(|item| item["NetworkType"] == "PUBLIC")?;
    let address = format!(
        "{}:{}",
        text(&public["ConnectionString"]),
        text(&public["Port"])
    );
    Some(Login {
        address: address.parse().expect("an address"),
        ..login.clone()
    })
}

#[test]
fn the_old_endpoint_works_until_its_time_is_over() {
    let mut service = Service::new(BINARY);
    service.set("network", "switch_grace_seconds", 15);
    service.start();
    let network = default_network(&service);
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let old = api.wait_active(&instance);
    let mut session = old.connect().expect("ACTIVE");
    session.query("CREATE TABLE t (id INT)").expect("DDL");

    switch_to_vpc(&api, &instance, &network).expect("it can be switched");
    while api.status(&instance) != "ACTIVE" {
        session
            .query("INSERT INTO t VALUES (1)")
            .expect("databases serve meanwhile");
    }
    let new = api.wait_active(&instance);
    assert_ne!(new.address, old.address);
    let mut new_session = new.connect().expect("the new endpoint connects");
    session
        .query("INSERT INTO t VALUES (2)")
        .expect("the old session goes on");
    old.connect().expect("the old endpoint works still");
    let shown = endpoints(&api, &instance);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0]["ExpiredTime"].is_null() && shown[1]["ExpiredTime"].is_string());

    wait_for("the end of the old session", || {
        session.query("SELECT 1").err()
    });
    wait_for("the end of the old endpoint", || {
        (endpoints(&api, &instance).len() == 1).then_some(())
    });
    assert!(old.connect().is_err());
    new_session
        .query("SELECT 1")
        .expect("the new endpoint stays");

    // One whose time passes while the service is down never comes back.
    switch_to_classic(&api, &instance);
    let classic = api.wait_active(&instance);
    service.kill();
    service.edit_store("UPDATE endpoints SET expires_at = 1 WHERE expires_at IS NOT NULL");
    service.start();
    assert!(new.connect().is_err());
    classic.connect().expect("the default endpoint is open");
    let api = service.api();
    wait_for("the end of the old endpoint's row", || {
        (endpoints(&api, &instance).len() == 1).then_some(())
    });

    // A delete takes old and public endpoints along.
    switch_to_vpc(&api, &instance, &network).expect("it can be switched");
    let _ = api.wait_active(&instance);
    allocate(&api, &instance).expect("it has none");
    let _ = api.wait_active(&instance);
    assert_eq!(endpoints(&api, &instance).len(), 3);
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_public_endpoint_is_reached_by_a_stock_client_and_goes_alone() {
    let mut service = Service::started(BINARY);
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let mut private = login.connect().expect("ACTIVE");
    allocate(&api, &instance).expect("it has none");
    let _ = api.wait_active(&instance);
    let public = public_login(&api, &instance, &login).expect("it has one");
    assert_eq!(public.address.port(), 3310);
    let output = Command::new("mariadb")
        .args(["--no-defaults", "--protocol=TCP", "--skip-ssl", "-N"])
        .arg(format!("--host={}", public.address.ip()))
        .arg(format!("--port={}", public.address.port()))
        .args([&format!("--user={USER}"), "-e", "SELECT 40 + 2"])
        .env("MYSQL_PWD", PASSWORD)
        .output()
        .expect("the client is installed");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "42",
        "{output:?}"
    );

    let address = public.address.to_string();
    let found = api.call(
        "DescribeInstanceInfoByConnection",
        &[("ConnectionString", &address)],
    );
    assert_eq!(text(&found.expect("it is found")["InstanceId"]), instance);

    let mut session = public.connect().expect("it connects");
    release(&api, &instance, &public).expect("it is public");
    wait_for("the end of the session", || session.query("SELECT 1").err());
    let _ = api.wait_active(&instance);
    assert!(public.connect().is_err());
    private.query("SELECT 1").expect("others are untouched");
    api.delete(&instance);
    service.assert_nothing_left();
}

#[test]
fn a_failed_switch_leaves_the_old_endpoint_as_it_was() {
    let mut service = Service::started(BINARY);
    let api = service.api();
    let instance = api.order(&[]).expect("an order is taken");
    let login = api.wait_active(&instance);
    let mut session = login.connect().expect("ACTIVE");

    // This machine has no such address.
    let vpc = json!({
        "command": "vpc-create", "region_id": "cn-hangzhou", "cidr": "203.0.113.0/24",
    });
    let vpc = service.admin(&vpc).expect("a VPC can be made");
    let vswitch = json!({
        "command": "vswitch-create", "vpc_id": vpc["vpc_id"], "zone_id": "cn-hangzhou-b",
        "cidr": "203.0.113.0/25",
    });
    let vswitch = service.admin(&vswitch).expect("a VSwitch can be made");
    let elsewhere = (
        text(&vpc["vpc_id"]).to_owned(),
        text(&vswitch["vswitch_id"]).to_owned(),
    );
    switch_to_vpc(&api, &instance, &elsewhere).expect("it can be tried");
    assert_eq!(api.wait_active(&instance).address, login.address);
    let list = json!({"command": "task-list", "instance_id": instance, "limit": 1});
    let tasks = service.admin(&list).expect("tasks can be listed");
    assert!(text(&tasks[0]["cause"]).contains("203.0.113."), "{tasks}");
    session.query("SELECT 1").expect("it was never cut");
    assert_eq!(endpoints(&api, &instance).len(), 1);
    login.connect().expect("the old endpoint works");
    api.delete(&instance);
    service.assert_nothing_left();
}

/// Starts the service with fail points, makes a call and waits until the process has died.
#[cfg(debug_assertions)]
fn die_in(
    service: &mut Service,
    points: &str,
    call: impl FnOnce(&Api) -> Result<Value, CallError>,
) {
    service.start_with(&[("OPENPETA_FAIL_POINT", points)]);
    match call(&service.api()) {
        Ok(_) | Err(CallError::Broken(_)) => {}
        Err(refused) => panic!("{points}: {refused:?}"),
    }
    let exit = service.wait_for_exit();
    assert_eq!(exit.signal, Some(6), "{points}: {exit:?}");
    service.start();
}

#[cfg(debug_assertions)]
#[test]
fn switches_and_public_endpoints_survive_a_kill_at_every_step() {
    let mut service = Service::new(BINARY);
    service.set("network", "switch_grace_seconds", 0);
    service.start();
    let network = default_network(&service);
    let instance = service.api().order(&[]).expect("an order is taken");
    let login = service.api().wait_active(&instance);
    assert_eq!(service.stop(), Some(0));

    let settled = |service: &Service, kinds: &[&str]| {
        let api = service.api();
        wait_for("the endpoints that there should be", || {
            let shown = endpoints(&api, &instance);
            let shown: Vec<_> = shown
                .iter()
                .map(|item| text(&item["NetworkType"]))
                .collect();
            (api.status(&instance) == "ACTIVE" && shown == kinds).then_some(())
        });
        api.wait_active(&instance)
            .connect()
            .expect("the default endpoint works");
        wait_for("no other listener", || {
            (service.listening().len() == kinds.len()).then_some(())
        });
    };
    for step in ["open-endpoint", "check-endpoint"] {
        for point in ["before-run", "after-run", "after-record"] {
            let points = format!("switch-instance-net-type/{step}/{point}");
            die_in(&mut service, &points, |api| {
                switch_to_vpc(api, &instance, &network)
            });
            settled(&service, &["VPC"]);
            switch_to_classic(&service.api(), &instance);
            settled(&service, &["INTERNAL"]);
            assert_eq!(service.stop(), Some(0));

            let points = format!("allocate-public-connection/{step}/{point}");
            die_in(&mut service, &points, |api| allocate(api, &instance));
            settled(&service, &["INTERNAL", "PUBLIC"]);
            let public = public_login(&service.api(), &instance, &login).expect("it has one");
            public.connect().expect("it works");
            assert_eq!(service.stop(), Some(0));

            let points = format!("release-public-connection/close-endpoint/{point}");
            die_in(&mut service, &points, |api| {
                release(api, &instance, &public)
            });
            settled(&service, &["INTERNAL"]);
            assert!(public.connect().is_err());
            assert_eq!(service.stop(), Some(0));
        }
        for undo in ["before-undo", "after-undo"] {
            for workflow in ["switch-instance-net-type", "allocate-public-connection"] {
                let points = format!(
                    "{workflow}/check-endpoint/after-run=fail,{workflow}/{step}/{undo}=abort"
                );
                die_in(&mut service, &points, |api| match workflow {
                    "switch-instance-net-type" => switch_to_vpc(api, &instance, &network),
                    _ => allocate(api, &instance),
                });
                settled(&service, &["INTERNAL"]);
                assert_eq!(service.stop(), Some(0));
            }
        }
    }
    service.start();
    service.api().delete(&instance);
    service.assert_nothing_left();
}
