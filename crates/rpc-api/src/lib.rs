//! The signed RPC API on the wire: the table of all actions, decoding and checking of
//! requests, signatures, typed requests and answers, rendering in XML and JSON, errors.
//!
//! Pure: nothing here reads a clock, a socket, a disk or a random source, and nothing here
//! decides whether a call is permitted or knows any object.

mod action;
mod actions;
mod api;
mod call;
mod checks;
mod client_token;
pub mod docs;
mod encoding;
mod error;
mod idempotency;
mod naming;
mod params;
mod ram;
mod render;
mod signature;
mod spec;
mod tag_parameters;

pub use action::Action;
pub use actions::{
    accounts, backups, databases, instances, monitoring, orders, regions, tables, tags,
};
pub use api::{ApiRequest, ApiResponse, EmptyResponse};
pub use call::{Failure, RawRequest, SignedCall, action_of_path, decode};
pub use client_token::ClientToken;
pub use error::{ApiError, CatalogueEntry, ERRORS};
pub use idempotency::parameter_digest;
pub use naming::kebab_case;
pub use params::Params;
pub use ram::{ram_action, ram_resource};
pub use render::{FieldWriter, Format, JsonWriter, XmlWriter, render_error, render_response};
pub use signature::{
    Acs3Request, Credentials, V1Request, sign_acs3, sign_v1, signed_form_v1, string_to_sign_v1,
};
pub use spec::{
    ActionSpec, ErrorSpec, FieldKind, FieldSpec, HttpsRule, ParameterKind, ParameterSpec,
    RamResource, Section, ValueRules,
};
pub use tag_parameters::MAX_TAGS;

/// The API version that this crate speaks.
pub const API_VERSION: &str = "2016-01-01";
/// The product code; RAM policies spell actions as `petadata:<Action>`.
pub const PRODUCT: &str = "petadata";
