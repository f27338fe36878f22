//! A client of the signed API.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use openpeta_rpc_api::{
    Acs3Request, Action, Format, HttpsRule, V1Request, sign_acs3, signed_form_v1,
};
use rustls::ClientConfig;
use serde_json::Value;

use crate::http::{Answer, exchange};
use crate::{DATABASE, Login, PASSWORD, USER, wait_for};

/// An access key.
#[derive(Clone)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub access_key_secret: String,
    /// The token of a temporary key.
    pub security_token: Option<String>,
}

impl Credentials {
    /// A permanent key out of a JSON object with members of these names.
    ///
    /// # Panics
    /// When it lacks one.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let text = |name: &str| object[name].as_str().unwrap_or_else(|| panic!("{name}"));
        Self {
            access_key_id: text("access_key_id").to_owned(),
            access_key_secret: text("access_key_secret").to_owned(),
            security_token: object["security_token"].as_str().map(str::to_owned),
        }
    }
}

/// The way a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS; the service's CA is verified.
    Https,
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Version 1, HMAC-SHA1.
    V1,
    /// ACS3-HMAC-SHA256.
    Acs3,
    /// Not at all: the request has every common parameter but the Signature.
    Unsigned,
}

/// A request in all its variants; [`Api::call`] is enough for most.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The action.
    pub action: &'a str,
    /// Its own parameters.
    pub parameters: &'a [(&'a str, &'a str)],
    /// GET or POST.
    pub method: &'a str,
    /// The way it travels.
    pub scheme: Scheme,
    /// How it is signed.
    pub signing: Signing,
    /// Seconds that the client's clock is ahead.
    pub clock_ahead: i64,
    /// The place that the client has in a trace.
    pub traceparent: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A POST over HTTPS, signed with version 1 at the right time.
    #[must_use]
    pub const fn new(action: &'a str, parameters: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            action,
            parameters,
            method: "POST",
            scheme: Scheme::Https,
            signing: Signing::V1,
            clock_ahead: 0,
            traceparent: None,
        }
    }
}

/// Why a call has no answer that succeeded.
#[derive(Debug)]
pub enum CallError {
    /// The service refused it.
    Refused(Answer),
    /// The connection broke; the outcome is unknown.
    Broken(io::Error),
}

impl CallError {
    /// The error code of the answer, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(answer) => Some(answer.code()),
            Self::Broken(_) => None,
        }
    }
}

/// Calls the API of one service with one key. Every call has a connection of its own.
#[derive(Clone)]
pub struct Api {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
    /// Who signs.
    pub key: Credentials,
    /// Whose key it is.
    pub account_id: String,
}

impl Api {
    /// The same service with another key.
    #[must_use]
    pub fn with_key(&self, key: Credentials) -> Self {
        Self {
            key,
            ..self.clone()
        }
    }

    /// Makes a call and reads its answer. Over HTTPS when it carries a secret, else over HTTP.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Value, CallError> {
        let spec = Action::find(action).map(Action::spec);
        let scheme = match spec.map(|spec| spec.https) {
            Some(HttpsRule::CarriesSecret) => Scheme::Https,
            _ => Scheme::Http,
        };
        let request = Request {
            scheme,
            ..Request::new(action, parameters)
        };
        let answer = self.send(&request).map_err(CallError::Broken)?;
        if answer.status == 200 {
            Ok(serde_json::from_str(&answer.body).expect("the answer is JSON"))
        } else {
            Err(CallError::Refused(answer))
        }
    }

    /// Sends a request and returns whatever is answered.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&self, request: &Request<'_>) -> io::Result<Answer> {
        let (address, tls) = match request.scheme {
            Scheme::Http => (self.http, None),
            Scheme::Https => (self.https, Some(&self.tls)),
        };
        let bytes = match request.signing {
            Signing::V1 => self.v1(request, address, true),
            Signing::Unsigned => self.v1(request, address, false),
            Signing::Acs3 => self.acs3(request, address),
        };
        exchange(address, tls, &bytes)
    }

    /// Fetches a page of the HTTP endpoint that takes no signature, such as `/metrics`.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        let headers = [("host".to_owned(), self.http.to_string())];
        let request = message("GET", path, &headers, "");
        let answer = exchange(self.http, None, &request).expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    }

    fn v1(&self, request: &Request<'_>, host: SocketAddr, signed: bool) -> Vec<u8> {
        let form = signed_form_v1(&V1Request {
            method: request.method,
            action: request.action,
            parameters: request.parameters,
            format: Format::Json,
            credentials: self.credentials(),
            timestamp: time(request),
            nonce: &nonce(),
        })
        .expect("no parameter is given twice");
        let form = if signed {
            form
        } else {
            let (rest, _) = form.rsplit_once("&Signature=").expect("it is the last one");
            rest.to_owned()
        };
        let (target, body) = match request.method {
            "POST" => ("/".to_owned(), form),
            _ => (format!("/?{form}"), String::new()),
        };
        let mut headers = vec![("host".to_owned(), host.to_string())];
        let trace = request.traceparent.map(str::to_owned);
        headers.extend(trace.map(|trace| ("traceparent".to_owned(), trace)));
        message(request.method, &target, &headers, &body)
    }

    fn acs3(&self, request: &Request<'_>, host: SocketAddr) -> Vec<u8> {
        let (query, headers) = sign_acs3(&Acs3Request {
            method: request.method,
            path: "/",
            host: &host.to_string(),
            action: request.action,
            query: request.parameters,
            body: &[],
            headers: &[("accept", "application/json")],
            credentials: self.credentials(),
            timestamp: time(request),
            nonce: &nonce(),
        });
        message(request.method, &format!("/?{query}"), &headers, "")
    }

    fn credentials(&self) -> openpeta_rpc_api::Credentials<'_> {
        openpeta_rpc_api::Credentials {
            access_key_id: &self.key.access_key_id,
            access_key_secret: &self.key.access_key_secret,
            security_token: self.key.security_token.as_deref(),
        }
    }

    /// Orders an instance for [`USER`] with [`PASSWORD`] and the database [`DATABASE`];
    /// `others` are added or replace. Returns its id.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn order(&self, others: &[(&str, &str)]) -> Result<String, CallError> {
        let answer = self.call("CreateInstance", &order_parameters(others))?;
        Ok(answer["InstanceId"].as_str().expect("an id").to_owned())
    }

    /// DescribeInstanceInfo; `None` when there is no such instance.
    ///
    /// # Errors
    /// Any other refusal than that.
    pub fn info(&self, instance: &str) -> Result<Option<Value>, CallError> {
        match self.call("DescribeInstanceInfo", &[("InstanceId", instance)]) {
            Err(error) if error.code() == Some("InvalidDBInstanceId.NotFound") => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The status of an instance that exists.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn status(&self, instance: &str) -> String {
        let info = self.info(instance).expect("the call succeeds");
        let info = info.expect("the instance exists");
        info["InstanceStatus"].as_str().expect("a text").to_owned()
    }

    /// Ids of all instances (50 at most).
    ///
    /// # Panics
    /// When the call fails.
    #[must_use]
    pub fn instances(&self) -> Vec<String> {
        let page = self.call("DescribeInstances", &[("PageSize", "50")]);
        let page = page.expect("the call succeeds");
        page["Instances"]["Instance"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| item["InstanceId"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// Waits until an instance is ACTIVE; returns how to log in to it.
    ///
    /// # Panics
    /// When it does not become ACTIVE, or is not there.
    #[track_caller]
    #[must_use]
    pub fn wait_active(&self, instance: &str) -> Login {
        let info = wait_for("ACTIVE", || {
            let info = self.info(instance).expect("the call succeeds");
            let info = info.unwrap_or_else(|| panic!("{instance} is gone"));
            (info["InstanceStatus"] == "ACTIVE").then_some(info)
        });
        let item = &info["NetworkInfoItems"]["NetworkInfoItem"][0];
        let text = |name: &str| item[name].as_str().expect("a text");
        let address = format!("{}:{}", text("ConnectionString"), text("Port"));
        Login {
            address: address.parse().expect("an address"),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            database: DATABASE.to_owned(),
            source: None,
        }
    }

    /// Waits until there is no such instance.
    ///
    /// # Panics
    /// When it stays.
    #[track_caller]
    pub fn wait_gone(&self, instance: &str) {
        wait_for("the end of an instance", || {
            let info = self.info(instance).expect("the call succeeds");
            info.is_none().then_some(())
        });
    }

    /// Deletes an instance and waits until it is gone.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn delete(&self, instance: &str) {
        self.call("DeleteInstance", &[("InstanceId", instance)])
            .expect("it can be deleted");
        self.wait_gone(instance);
    }
}

/// The parameters of [`Api::order`].
#[must_use]
fn order_parameters<'a>(others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut parameters = vec![
        ("RegionId", "cn-hangzhou"),
        ("ZoneId", "cn-hangzhou-b"),
        ("DBName", DATABASE),
        ("NodeSpec", "petadata.s2.xlarge"),
        ("NodeNumber", "1"),
        ("AccountName", USER),
        ("AccountPassword", PASSWORD),
    ];
    parameters.retain(|(name, _)| !others.iter().any(|(other, _)| other == name));
    parameters.extend_from_slice(others);
    parameters
}

fn time(request: &Request<'_>) -> Timestamp {
    Timestamp::now() + request.clock_ahead.seconds()
}

fn nonce() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn message(method: &str, target: &str, headers: &[(String, String)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!(
            "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}
