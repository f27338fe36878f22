//! Requests of the API and the values in them.

use openpeta_rpc_api::accounts::{CreateAccountRequest, GrantAccountPrivilegeRequest};
use openpeta_rpc_api::backups::ModifyBackupPolicyRequest;
use openpeta_rpc_api::instances::{
    CreateInstanceRequest, DescribeInstancesRequest, ModifySecurityIPsRequest,
};
use openpeta_rpc_api::tags::TagResourcesRequest;
use openpeta_rpc_api::{
    Acs3Request, ApiRequest, Credentials, ERRORS, Format, Params, RawRequest, V1Request,
    action_of_path, decode, sign_acs3, signed_form_v1,
};
use openpeta_types::{
    AccountDescription, AccountName, BackupPeriod, BackupWindow, DbName, InstanceId, InstanceName,
    Password, TagKey, TagValue, Whitelist, WhitelistEntry, format_time, parse_entries, parse_time,
};

const CREDENTIALS: Credentials<'static> = Credentials {
    access_key_id: "testid",
    access_key_secret: "testsecret",
    security_token: None,
};
const TIME: &str = "2019-01-17T08:00:00Z";

/// A request: lines for method, path, query and headers, an empty one, the body. What is refused
/// is refused in a documented way.
pub(crate) fn request(bytes: &[u8]) {
    let (head, body) = match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[][..]),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (method, path, query) = (line(), line(), line());
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let header = |name: &str| {
        let found = headers.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| *value)
    };
    let _ = action_of_path(path);
    let raw = RawRequest {
        method,
        path,
        query,
        header: &header,
        body,
    };
    let call = match decode(&raw) {
        Ok(call) => call,
        Err(failure) => return documented(&failure.error),
    };
    let now = parse_time(TIME).expect("a time");
    let results = [
        call.check_time(now).err(),
        call.verify(CREDENTIALS.access_key_secret).err(),
        refused::<CreateInstanceRequest>(call.params()),
        refused::<DescribeInstancesRequest>(call.params()),
        refused::<ModifySecurityIPsRequest>(call.params()),
        refused::<CreateAccountRequest>(call.params()),
        refused::<GrantAccountPrivilegeRequest>(call.params()),
        refused::<ModifyBackupPolicyRequest>(call.params()),
        refused::<TagResourcesRequest>(call.params()),
    ];
    results.iter().flatten().for_each(documented);
}

fn refused<R: ApiRequest>(params: &Params) -> Option<openpeta_rpc_api::ApiError> {
    R::from_params(params).err()
}

fn documented(error: &openpeta_rpc_api::ApiError) {
    let of_a_parameter = error.code.starts_with("Invalid")
        && (error.code.ends_with(".Malformed") || error.code.ends_with(".ValueNotSupported"));
    let listed = ERRORS
        .iter()
        .any(|entry| entry.code == error.code && entry.http_status == error.http_status);
    assert!(of_a_parameter || listed, "{error}");
    assert!((400..500).contains(&error.http_status), "{error}");
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    let parameters = [
        ("InstanceId", "pd-abc"),
        ("InstanceName", "\u{540d} +%"),
        ("SecurityIPList", "10.0.0.0/8,127.0.0.1"),
        ("DBInfo", "{\"ReadWrite\":[\"a\"]}"),
        ("Tag.1.Key", "k"),
        ("Tag.1.Value", "v"),
        ("PreferredBackupTime", "02:00Z-03:00Z"),
        ("PreferredBackupPeriod", "Monday,Friday"),
        ("PageNumber", "1"),
    ];
    let timestamp = parse_time(TIME).expect("a time");
    let mut seeds = Vec::new();
    for action in ["CreateInstance", "TagResources", "ModifySecurityIPs"] {
        let form = signed_form_v1(&V1Request {
            method: "GET",
            action,
            parameters: &parameters,
            format: Format::Json,
            credentials: CREDENTIALS,
            timestamp,
            nonce: "n-1",
        });
        let form = form.expect("unique names");
        seeds.push(format!("GET\n/\n{form}\n\n").into_bytes());
        let (query, headers) = sign_acs3(&Acs3Request {
            method: "POST",
            path: "/",
            host: "127.0.0.1:8080",
            action,
            query: &parameters,
            body: b"a=b",
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            credentials: CREDENTIALS,
            timestamp,
            nonce: "n-1",
        });
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        seeds.push(format!("POST\n/\n{query}\n{headers}\na=b").into_bytes());
    }
    seeds
}

/// Single values: what is taken is taken again as it prints.
pub(crate) fn values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(time) = parse_time(&text) {
        assert_eq!(parse_time(&format_time(time)), Some(time), "{text}");
    }
    if let Ok(entries) = parse_entries(&text) {
        let list = Whitelist::new(&entries);
        for entry in &entries {
            let again = WhitelistEntry::parse(entry.as_str());
            assert!(again.is_ok_and(|again| again.same_block(entry)), "{text}");
        }
        let _ = list.admits([127, 0, 0, 1].into());
    }
    if let Ok(id) = InstanceId::parse(&text) {
        assert_eq!(InstanceId::parse(id.as_str()), Ok(id));
    }
    if let Ok(name) = DbName::parse(&text) {
        assert_eq!(DbName::parse(name.as_str()), Ok(name));
    }
    if let Ok(name) = InstanceName::parse(&text) {
        assert_eq!(InstanceName::parse(name.as_str()), Ok(name));
    }
    let _ = AccountName::parse_new(&text);
    let _ = AccountName::parse_lookup(&text);
    let _ = AccountDescription::parse(&text);
    let _ = Password::parse(&text);
    let _ = TagKey::parse(&text);
    let _ = TagValue::parse(&text);
    if let Ok(window) = BackupWindow::parse(&text) {
        assert_eq!(BackupWindow::parse(&window.to_string()), Ok(window));
    }
    if let Ok(days) = BackupPeriod::parse(&text) {
        assert_eq!(BackupPeriod::parse(&days.to_string()), Ok(days));
    }
}

pub(crate) fn value_seeds() -> Vec<Vec<u8>> {
    [
        TIME,
        "2019-01-17T08:00Z",
        "10.0.0.0/8,127.0.0.1",
        "::1",
        "pd-0123456789abcdef",
        "shop_1",
        "my \u{540d}",
        "02:00Z-03:00Z",
        "Monday,Tuesday,Sunday",
        "Passw0rd!_",
        "aliyun",
        "",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
