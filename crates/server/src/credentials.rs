//! `DIR/credentials.json`: what clients on this machine need to call the service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use openpeta_control::DefaultTenant;
use serde::Serialize;

use crate::ServeError;
use crate::data_dir::write_private;

#[derive(Serialize)]
struct Credentials<'a> {
    http_endpoint: String,
    https_endpoint: String,
    ca_file: &'a Path,
    account_id: String,
    access_key_id: &'a str,
    access_key_secret: &'a str,
    region_id: &'a str,
    zone_id: &'a str,
    vpc_id: &'a str,
    vswitch_id: &'a str,
}

/// Writes the file anew; ports may have changed since the last start.
///
/// # Errors
/// [`ServeError::DataDir`].
pub(crate) fn write(
    path: &Path,
    http: SocketAddr,
    https: SocketAddr,
    ca_file: &Path,
    tenant: &DefaultTenant,
) -> Result<(), ServeError> {
    let failed = |reason| ServeError::DataDir {
        path: path.to_owned(),
        reason,
    };
    // Clients need not share the service's working directory.
    let ca_file = std::path::absolute(ca_file).map_err(failed)?;
    let credentials = Credentials {
        http_endpoint: format!("http://{}", reachable(http)),
        https_endpoint: format!("https://{}", reachable(https)),
        ca_file: &ca_file,
        account_id: tenant.account_id.to_string(),
        access_key_id: tenant.access_key_id.as_str(),
        access_key_secret: tenant.access_key_secret.expose(),
        region_id: tenant.region_id,
        zone_id: tenant.zone_id,
        vpc_id: tenant.vpc_id.as_str(),
        vswitch_id: tenant.vswitch_id.as_str(),
    };
    let mut json = serde_json::to_vec_pretty(&credentials).map_err(|error| failed(error.into()))?;
    json.push(b'\n');
    write_private(path, &json).map_err(failed)
}

/// An address that a client on this machine can connect to.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use openpeta_types::{AccessKeyId, AccountId, Secret, VSwitchId, VpcId};

    use super::*;

    #[test]
    fn a_client_finds_what_it_needs() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("credentials.json");
        let tenant = DefaultTenant {
            account_id: AccountId::parse("1234567890123456").expect("id"),
            access_key_id: AccessKeyId::parse("LTAIx").expect("id"),
            access_key_secret: Secret::new("secret"),
            region_id: "cn-hangzhou",
            zone_id: "cn-hangzhou-b",
            vpc_id: VpcId::parse("vpc-a").expect("id"),
            vswitch_id: VSwitchId::parse("vsw-a").expect("id"),
            is_new: true,
        };
        let address = |text: &str| text.parse().expect("address");
        let ca = dir.path().join("tls/ca.pem");
        write(&path, address("0.0.0.0:1"), address("[::]:2"), &ca, &tenant).expect("write");
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("json");
        assert_eq!(json["http_endpoint"], "http://127.0.0.1:1");
        assert_eq!(json["https_endpoint"], "https://[::1]:2");
        assert_eq!(json["account_id"], "1234567890123456");
        assert_eq!(json["access_key_secret"], "secret");
        assert_eq!(json["ca_file"], ca.to_str().expect("path"));
        assert_eq!(json["vswitch_id"], "vsw-a");
    }
}
