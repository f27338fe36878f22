//! The MySQL client/server protocol: packets, the handshake, authentication, and how commands
//! and replies are framed.
//!
//! Pure: nothing here reads a clock, a socket, a disk or a random source. Parsers take bytes from
//! strangers: they never panic and never allocate by a length that a packet claims.
