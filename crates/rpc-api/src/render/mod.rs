//! Answers in XML and JSON, written straight into the buffer that is sent.

mod json;
mod number;
mod xml;

use std::fmt::Display;
use std::net::IpAddr;

use jiff::Timestamp;
use openpeta_types::RequestId;

pub use json::JsonWriter;
pub use xml::XmlWriter;

use crate::{ApiError, ApiResponse};

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The default of the API.
    #[default]
    Xml,
    /// What all SDKs ask for.
    Json,
}

impl Format {
    /// Reads a Format parameter, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("JSON") {
            Some(Self::Json)
        } else if text.eq_ignore_ascii_case("XML") {
            Some(Self::Xml)
        } else {
            None
        }
    }

    /// The Content-Type header. Some SDKs compare it byte by byte.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "text/xml;charset=utf-8",
            Self::Json => "application/json;charset=utf-8",
        }
    }
}

/// Writes the fields of an answer, one after the other.
pub trait FieldWriter {
    /// A text.
    fn text(&mut self, name: &'static str, value: &str);

    /// A value shown as text, for example an id or a port.
    fn display(&mut self, name: &'static str, value: &impl Display);

    /// An IP address, as text.
    fn address(&mut self, name: &'static str, value: IpAddr);

    /// A time, as text without fractions of a second.
    fn time(&mut self, name: &'static str, value: Timestamp);

    /// A whole number.
    fn integer(&mut self, name: &'static str, value: i64);

    /// A number with two digits after the point, given in hundredths.
    fn hundredths(&mut self, name: &'static str, value: i64);

    /// `true` or `false`.
    fn boolean(&mut self, name: &'static str, value: bool);

    /// An object; `fields` writes what is in it.
    fn object(&mut self, name: &'static str, fields: impl FnOnce(&mut Self));

    /// A list of objects; `each` writes the fields of one.
    fn list<T>(
        &mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = T>,
        each: impl FnMut(&mut Self, T),
    );

    /// A list of texts.
    fn texts<T: Display>(
        &mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = T>,
    );

    /// A text that is left out when there is none.
    #[inline]
    fn optional_text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A value shown as text that is left out when there is none.
    fn optional_display(&mut self, name: &'static str, value: Option<&impl Display>) {
        if let Some(value) = value {
            self.display(name, value);
        }
    }

    /// An IP address that is left out when there is none.
    fn optional_address(&mut self, name: &'static str, value: Option<IpAddr>) {
        if let Some(value) = value {
            self.address(name, value);
        }
    }

    /// A time that is left out when there is none.
    fn optional_time(&mut self, name: &'static str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.time(name, value);
        }
    }
}

/// Renders the answer to a call.
///
/// `action_name` is the action as the client spelled it; the XML root follows it.
#[must_use]
pub fn render_response<R: ApiResponse>(
    format: Format,
    action_name: &str,
    request_id: RequestId,
    response: &R,
) -> String {
    let capacity = response.size_hint();
    match format {
        Format::Json => JsonWriter::document(capacity, |writer| {
            writer.display("RequestId", &request_id);
            response.write(writer);
        }),
        Format::Xml => XmlWriter::document(capacity, &[action_name, "Response"], |writer| {
            writer.display("RequestId", &request_id);
            response.write(writer);
        }),
    }
}

/// Renders an error. `host_id` names the host that the client called.
///
/// JSON carries the host twice, as HostId, which SDKs read, and as HostID, which the API
/// document's example shows.
#[must_use]
pub fn render_error(
    format: Format,
    error: &ApiError,
    request_id: RequestId,
    host_id: &str,
) -> String {
    match format {
        Format::Json => JsonWriter::document(512, |writer| {
            error_fields(writer, error, request_id, host_id);
            writer.text("HostID", host_id);
        }),
        Format::Xml => XmlWriter::document(512, &["Error"], |writer| {
            error_fields(writer, error, request_id, host_id);
        }),
    }
}

fn error_fields(
    writer: &mut impl FieldWriter,
    error: &ApiError,
    request_id: RequestId,
    host_id: &str,
) {
    writer.display("RequestId", &request_id);
    writer.text("HostId", host_id);
    writer.text("Code", &error.code);
    writer.text("Message", &error.message);
}
