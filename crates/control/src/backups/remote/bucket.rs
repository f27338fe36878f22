//! The bucket that the configuration names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::multipart::MultipartStore;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, RetryConfig};
use openpeta_types::Secret;
use serde::Deserialize;

use super::connector::Connector;
use crate::outgoing;

/// How to reach the bucket of `[backup] store` (`[backup.s3]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// URL of the server; that of AWS in the region when absent.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// A file in the form of `~/.aws/credentials`; the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`) when absent.
    pub credentials_file: Option<PathBuf>,
    /// Certificates to trust; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// Whether the server may be reached without TLS.
    pub allow_http: bool,
    /// Whether the endpoint is the bucket's own, so that the path does not name the bucket.
    pub virtual_hosted: bool,
    /// Seconds for which a request that fails is tried again.
    pub retry_seconds: u64,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".into(),
            credentials_file: None,
            ca_file: None,
            allow_http: false,
            virtual_hosted: false,
            retry_seconds: 900,
        }
    }
}

/// What is needed of a store of objects.
pub(super) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}

/// A place for objects.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(super) objects: Arc<dyn Objects>,
    /// Where that is, as the configuration has it.
    pub(super) url: String,
    /// What all names begin with.
    pub(super) prefix: ObjectPath,
    /// For how long a request that fails is tried again.
    pub(super) patience: Duration,
}

impl Bucket {
    /// The bucket of a configuration. Nobody is asked whether it is there.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator.
    pub(crate) fn new(url: &str, config: &S3Config) -> Result<Self, String> {
        let wrong = |what: &str| format!("backup.store: {what}");
        let place = url
            .strip_prefix("s3://")
            .ok_or_else(|| wrong("must be s3://BUCKET or s3://BUCKET/PREFIX"))?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(is_name) {
            return Err(wrong("names no bucket"));
        }
        let prefix = ObjectPath::parse(prefix.trim_matches('/'))
            .map_err(|error| wrong(&error.to_string()))?;
        let endpoint = config.endpoint.as_deref();
        if let Some(endpoint) = endpoint {
            let address = outgoing::Address::parse(endpoint)
                .map_err(|what| format!("backup.s3.endpoint: {what}"))?;
            if !address.is_https() && !config.allow_http {
                let what = "is not https; backup.s3.allow_http = true allows that";
                return Err(format!("backup.s3.endpoint: {what}"));
            }
        }
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let tls = match is_plain {
            true => None,
            false => Some(
                outgoing::tls_config(config.ca_file.as_deref())
                    .map_err(|what| format!("backup.s3.ca_file: {what}"))?,
            ),
        };
        let credentials = match &config.credentials_file {
            Some(file) => Credentials::read(file),
            None => Credentials::from_environment(),
        };
        let credentials = credentials.map_err(|what| format!("backup.s3: {what}"))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&config.region)
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(credentials.secret.expose())
            .with_allow_http(config.allow_http)
            .with_virtual_hosted_style_request(config.virtual_hosted)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                max_retries: 3,
                retry_timeout: Duration::from_secs(120),
                ..RetryConfig::default()
            })
            .with_http_connector(Connector(tls));
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        if let Some(token) = &credentials.token {
            builder = builder.with_token(token.expose());
        }
        let objects = builder.build().map_err(|error| wrong(&error.to_string()))?;
        Ok(Self {
            objects: Arc::new(objects),
            url: url.trim_end_matches('/').to_owned(),
            prefix,
            patience: Duration::from_secs(config.retry_seconds),
        })
    }
}

struct Credentials {
    key_id: String,
    secret: Secret,
    token: Option<Secret>,
}

impl Credentials {
    fn read(path: &Path) -> Result<Self, String> {
        let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let metadata = fs::metadata(path).map_err(|error| failed(&error))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(failed(&format_args!(
                "others may read or change it (mode {mode:04o}); chmod 0600"
            )));
        }
        let text = fs::read_to_string(path).map(Secret::new);
        let text = text.map_err(|error| failed(&error))?;
        Self::parse(text.expose()).ok_or_else(|| {
            failed(&"has no aws_access_key_id and aws_secret_access_key in [default]")
        })
    }

    /// The profile `default` of such a file, or what stands there without a profile.
    fn parse(text: &str) -> Option<Self> {
        let mut is_ours = true;
        let (mut key_id, mut secret, mut token) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if let Some(profile) = line.strip_prefix('[') {
                is_ours = profile.trim_end_matches(']').trim() == "default";
            }
            let Some((name, value)) = line.split_once('=').filter(|_| is_ours) else {
                continue;
            };
            let value = value.trim();
            match name.trim() {
                "aws_access_key_id" => key_id = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(Secret::new(value)),
                "aws_session_token" => token = Some(Secret::new(value)),
                _ => {}
            }
        }
        Some(Self {
            key_id: key_id?,
            secret: secret?,
            token,
        })
    }

    fn from_environment() -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (key_id, secret) = (
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
        );
        match (key_id, secret) {
            (Some(key_id), Some(secret)) => Ok(Self {
                key_id,
                secret: Secret::new(secret),
                token: variable("AWS_SESSION_TOKEN").map(Secret::new),
            }),
            _ => Err(
                "needs credentials_file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(dir: &Path) -> S3Config {
        let path = dir.join("credentials");
        let text = "[other]\naws_access_key_id=no\n[default]\naws_access_key_id = AK\n\
            aws_secret_access_key=S/cret+=\n";
        fs::write(&path, text).expect("ours");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
        S3Config {
            credentials_file: Some(path),
            endpoint: Some("http://127.0.0.1:9".into()),
            allow_http: true,
            ..S3Config::default()
        }
    }

    #[test]
    fn a_bucket_is_named_and_wrong_names_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = credentials(dir.path());
        let bucket = Bucket::new("s3://backups/a/b/", &config).expect("right");
        assert_eq!(
            (bucket.url.as_str(), bucket.prefix.as_ref()),
            ("s3://backups/a/b", "a/b")
        );
        for url in [
            "",
            "backups",
            "s3://",
            "s3:///a",
            "https://b/a",
            "s3://a b/c",
        ] {
            let error = Bucket::new(url, &config).err().expect(url);
            assert!(error.starts_with("backup.store"), "{error}");
        }
        let https_only = S3Config {
            allow_http: false,
            ..config.clone()
        };
        let error = Bucket::new("s3://b", &https_only).err().expect("no TLS");
        assert!(error.contains("allow_http"), "{error}");
    }

    #[test]
    fn credentials_are_those_of_the_default_profile() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = credentials(dir.path()).credentials_file.expect("set");
        let read = Credentials::read(&path).expect("right");
        assert_eq!(
            (read.key_id.as_str(), read.secret.expose()),
            ("AK", "S/cret+=")
        );
        assert!(read.token.is_none());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("ours");
        let error = Credentials::read(&path).err().expect("anybody reads it");
        assert!(
            error.contains("chmod") && !error.contains("S/cret"),
            "{error}"
        );
        assert!(
            Credentials::parse("[other]\naws_access_key_id=a\naws_secret_access_key=b").is_none()
        );
    }
}
