//! Requests about database accounts.

use openpeta_rpc_api::accounts::{
    AccountGrants, CreateAccountRequest, DeleteAccountRequest, DescribeAccountsRequest,
    DescribeUserInfoRequest, GrantAccountPrivilegeRequest, ModifyAccountDescriptionRequest,
    ModifyAccountPasswordRequest, ResetAccountPasswordRequest, RevokeAccountPrivilegeRequest,
};
use openpeta_types::{AccountType, PrivilegeSet};

use crate::{INSTANCE, Pairs, needs_instance, read, refuses, requires};

const ACCOUNT: [(&str, &str); 2] = [("AccountName", "wang"), ("AccountPassword", "Passw0rd")];

#[test]
fn create_account_reads_and_refuses() {
    let base = [&INSTANCE[..], &ACCOUNT].concat();
    let request: CreateAccountRequest = read(&base, &[]).expect("valid");
    assert_eq!(request.account_type, AccountType::Normal);
    assert_eq!(request.grants, AccountGrants::None);
    assert!(request.account_description.is_none());
    let changes = [("AccountType", "Super"), ("AccountDescription", "测试_1")];
    let request: CreateAccountRequest = read(&base, &changes).expect("valid");
    assert_eq!(request.account_type, AccountType::Super);
    assert_eq!(
        request.account_description.expect("given").as_str(),
        "测试_1"
    );
    refuses::<CreateAccountRequest>(
        &base,
        &[
            (&[("AccountName", "w")], "InvalidAccountName.Malformed"),
            (&[("AccountName", "select")], "InvalidAccountName.keyword"),
            (
                &[("AccountPassword", "short")],
                "InvalidAccountPassword.Malformed",
            ),
            (
                &[("AccountType", "super")],
                "InvalidAccountType.ValueNotSupported",
            ),
            (&[("DBInfo", "ReadWrite")], "InvalidDBInfo.Malformed"),
            (&[("DBName", "a,B")], "InvalidDBName.NotFound"),
            (
                &[("AccountPrivilege", "All")],
                "InvalidAccountPrivilege.ValueNotSupported",
            ),
            (
                &[("AccountDescription", "http://x")],
                "InvalidAccountDescription.Malformed",
            ),
            (
                &[("AccountVersion", "2")],
                "InvalidAccountVersion.ValueNotSupported",
            ),
            (&[("ClientToken", "\u{7f}")], "InvalidClientToken.Malformed"),
        ],
    );
}

#[test]
fn actions_on_an_account_need_one_that_can_exist() {
    const PASSWORDS: Pairs<'_> = &[("OldPassword", "x"), ("NewPassword", "Passw0rd")];
    needs_instance::<CreateAccountRequest>(&ACCOUNT);
    needs_instance::<DescribeAccountsRequest>(&[]);
    needs_instance::<DeleteAccountRequest>(&[("AccountName", "Root")]);
    let name = [("AccountName", "wang")];
    needs_instance::<ModifyAccountPasswordRequest>(&[&name, PASSWORDS].concat());
    needs_instance::<ResetAccountPasswordRequest>(&[&name, PASSWORDS].concat());
    assert!(read::<DescribeUserInfoRequest>(&[], &[]).is_ok());

    let base = [&INSTANCE[..], PASSWORDS, &name].concat();
    let bad = (&[("AccountName", "a-b")][..], "InvalidAccountName.NotFound");
    refuses::<DeleteAccountRequest>(&base, &[bad]);
    let weak = (
        &[("NewPassword", "password")][..],
        "InvalidNewPassword.Malformed",
    );
    refuses::<ModifyAccountPasswordRequest>(&base, &[bad, weak]);
    refuses::<ResetAccountPasswordRequest>(&base, &[bad, weak]);
    let request: ModifyAccountPasswordRequest = read(&base, &[]).expect("valid");
    assert!(!format!("{request:?}").contains("Passw0rd"));
}

#[test]
fn grants_name_databases_and_a_set_that_can_be_given() {
    let base = [
        ("DBInstanceId", "pd-1"),
        ("AccountName", "wang"),
        ("DBName", "b, a,b"),
        ("AccountPrivilege", "DMLOnly"),
    ];
    requires::<GrantAccountPrivilegeRequest>(&base);
    let request: GrantAccountPrivilegeRequest = read(&base, &[]).expect("valid");
    assert_eq!(request.account_privilege, PrivilegeSet::DmlOnly);
    let names: Vec<_> = request.db_names.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let cases: [(Pairs<'_>, &str); 6] = [
        (&[("DBInstanceId", "rm-1")], "InvalidDBInstanceId.NotFound"),
        (&[("InstanceId", "pd-2")], "InvalidParameter"),
        (&[("AccountName", "a b")], "InvalidAccountName.NotFound"),
        (&[("DBName", "a,")], "InvalidDBName.NotFound"),
        (&[("DBName", "mysql")], "InvalidDBName.NotFound"),
        (
            &[("AccountPrivilege", "Custom")],
            "InvalidAccountPrivilege.ValueNotSupported",
        ),
    ];
    refuses::<GrantAccountPrivilegeRequest>(&base, &cases);
    requires::<RevokeAccountPrivilegeRequest>(&base);
    refuses::<RevokeAccountPrivilegeRequest>(&base, &cases[..5]);
    // The usual spelling will do, as long as both agree.
    let usual = [("DBInstanceId", ""), ("InstanceId", "pd-1")];
    let request: RevokeAccountPrivilegeRequest = read(&base, &usual).expect("valid");
    assert_eq!(request.instance_id.as_str(), "pd-1");

    let base = [&base[..], &[("AccountDescription", "orders")]].concat();
    requires::<ModifyAccountDescriptionRequest>(&base);
    refuses::<ModifyAccountDescriptionRequest>(
        &base,
        &[(
            &[("AccountDescription", "a b")],
            "InvalidAccountDescription.Malformed",
        )],
    );
}
