//! The data directory, and the credentials file that the service leaves there for its clients.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use openpeta_types::Secret;
use serde::Deserialize;

use crate::failure::Failure;

/// The name of the credentials file in the data directory.
pub const CREDENTIALS_FILE: &str = "credentials.json";

/// Names the data directory when `--data-dir` does not.
pub const DATA_DIR_VARIABLE: &str = "OPENPETA_DATA_DIR";
/// Names the credentials file when `--profile` does not.
pub const PROFILE_VARIABLE: &str = "OPENPETA_PROFILE";

/// The data directory: the given one, else the one in `OPENPETA_DATA_DIR`, else the user's XDG
/// data folder.
///
/// # Errors
/// When none is given and the user has no home.
pub fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    given
        .or_else(|| path_variable(DATA_DIR_VARIABLE))
        .or_else(|| xdg_data_dir(&path_variable))
        .ok_or_else(|| {
            Failure::Usage(
                "there is no home directory to keep data in: give --data-dir DIR or set \
                 OPENPETA_DATA_DIR"
                    .to_owned(),
            )
        })
}

/// The credentials file: the given one, else the one in `OPENPETA_PROFILE`, else the one that
/// the service left in the data directory.
///
/// # Errors
/// As [`data_dir`].
pub fn credentials_file(
    given: Option<PathBuf>,
    data_dir_given: Option<PathBuf>,
) -> Result<PathBuf, Failure> {
    // A data directory on the command line means its own credentials, whatever the environment
    // says.
    let from_environment = || match data_dir_given {
        Some(_) => None,
        None => path_variable(PROFILE_VARIABLE),
    };
    match given.or_else(from_environment) {
        Some(file) => Ok(file),
        None => Ok(data_dir(data_dir_given)?.join(CREDENTIALS_FILE)),
    }
}

/// The path in an environment variable; an empty one counts as unset.
fn path_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// `$XDG_DATA_HOME/openpeta`, else `$HOME/.local/share/openpeta`. The XDG rules say that a
/// relative path counts as unset.
fn xdg_data_dir(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|folder| folder.join("openpeta"))
}

/// What a client needs to call the API; the content of the credentials file.
#[derive(Clone, Deserialize)]
pub struct Profile {
    /// For example `http://127.0.0.1:8080`.
    pub http_endpoint: Option<String>,
    /// For example `https://127.0.0.1:8443`.
    pub https_endpoint: Option<String>,
    /// The certificate that signed the service's own; a relative path starts at the file's
    /// folder.
    pub ca_file: Option<PathBuf>,
    /// The public half of the access key.
    pub access_key_id: String,
    /// The secret half of the access key.
    pub access_key_secret: Secret,
    /// Comes with temporary credentials only.
    pub security_token: Option<Secret>,
    /// The region taken when a call needs one and none is given.
    pub region_id: Option<String>,
    /// The zone taken when a call needs one and none is given; lies in `region_id`.
    pub zone_id: Option<String>,
    /// The VPC taken when a call asks for the network type VPC and names none.
    pub vpc_id: Option<String>,
    /// The VSwitch that goes with `vpc_id`; lies in `zone_id`.
    pub vswitch_id: Option<String>,
    /// Where all this was read.
    #[serde(skip)]
    pub file: PathBuf,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("file", &self.file)
            .field("https_endpoint", &self.https_endpoint)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads a credentials file.
    ///
    /// # Errors
    /// When it is missing (no service was started yet), cannot be read, or is not such a file.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        let text = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
        let mut profile: Self = serde_json::from_slice(&text).map_err(|error| {
            // The message names the place and the kind of fault, never a value.
            Failure::local(
                "InvalidCredentialsFile",
                format!("{} is not a credentials file: {error}", file.display()),
            )
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        profile.ca_file = profile.ca_file.map(|ca_file| folder.join(ca_file));
        profile.file = file.to_owned();
        Ok(profile)
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    let shown = file.display();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Unreachable(format!(
            "there is no {shown}: no service was started with this data directory yet. Start one \
             with `openpeta serve`, or name another with --data-dir DIR or --profile FILE"
        )),
        io::ErrorKind::PermissionDenied => Failure::local(
            "CredentialsNotReadable",
            format!(
                "{shown} belongs to the user who runs the service: run this as that user, or give \
                 a copy of your own with --profile FILE"
            ),
        ),
        _ => Failure::local(
            "CredentialsNotReadable",
            format!("cannot read {shown}: {error}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> Option<PathBuf> {
        xdg_data_dir(&|name| {
            let found = pairs.iter().find(|(key, _)| *key == name)?;
            Some(PathBuf::from(found.1))
        })
    }

    #[test]
    fn the_data_folder_follows_the_xdg_rules() {
        let expected = Some(PathBuf::from("/h/.local/share/openpeta"));
        assert_eq!(with(&[("HOME", "/h")]), expected);
        assert_eq!(with(&[("HOME", "/h"), ("XDG_DATA_HOME", "rel")]), expected);
        assert_eq!(with(&[("HOME", "/h"), ("XDG_DATA_HOME", "")]), expected);
        assert_eq!(
            with(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]),
            Some(PathBuf::from("/x/openpeta"))
        );
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn extra_members_are_ignored_and_paths_start_at_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.json");
        let text = r#"{"access_key_id":"a","access_key_secret":"s3cret","ca_file":"tls/ca.pem",
                       "something":"new","https_endpoint":"https://h:1"}"#;
        std::fs::write(&file, text).unwrap();
        let profile = Profile::load(&file).unwrap();
        assert_eq!(profile.ca_file, Some(dir.path().join("tls/ca.pem")));
        assert!(!format!("{profile:?}").contains("s3cret"));
    }

    #[test]
    fn a_missing_file_means_that_no_service_was_started() {
        let failure = Profile::load(Path::new("/nonexistent/credentials.json")).unwrap_err();
        assert!(failure.to_string().contains("openpeta serve"), "{failure}");
        assert_eq!(failure.exit_code(), crate::failure::EXIT_UNREACHABLE);
    }
}
