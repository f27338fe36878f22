//! The MySQL client/server protocol: packets, the handshake, authentication, and how commands
//! and replies are framed. It speaks MySQL's dialect and MariaDB's.
//!
//! Pure: nothing here reads a clock, a socket, a disk or a random source, and nothing here knows
//! what a gateway is. Parsers take bytes from strangers: they never panic and never allocate by a
//! length that a packet merely claims.

pub mod auth;
mod capability;
mod change_user;
mod codec;
pub mod command;
mod command_tracker;
mod compressed;
mod error;
mod greeting;
mod login;
mod packet;
pub mod proxy;
mod reply;
mod reply_tracker;
mod result_set;
mod status;

pub use capability::Capabilities;
pub use change_user::ChangeUser;
pub use codec::{Reader, put_lenenc_bytes, put_lenenc_int, put_nul_bytes};
pub use command_tracker::{ClientStep, CommandTracker};
pub use compressed::{Codecs, CompressedStream, Compression};
pub use error::WireError;
pub use greeting::Greeting;
pub use login::{Login, LoginPacket};
pub use packet::{HEADER_LEN, MAX_PAYLOAD, Packet, PacketBuffer, put_packet};
pub use reply::{AuthSwitch, ErrPacket, OkPacket, fast_auth_success};
pub use reply_tracker::{ReplyEvent, ReplyTracker};
pub use result_set::put_text_result_set;
pub use status::Status;
