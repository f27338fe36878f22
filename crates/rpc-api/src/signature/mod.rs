//! Signatures of requests: what is signed, for the server that checks and the client that
//! signs.

pub(crate) mod acs3;
mod client;
pub(crate) mod v1;

pub use acs3::{Acs3Request, sign_acs3};
pub use client::{Credentials, V1Request, signed_form_v1};
pub use v1::{sign_v1, string_to_sign_v1};
