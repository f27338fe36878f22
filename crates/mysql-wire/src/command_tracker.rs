//! Where the commands begin in the bytes of a client.

use crate::command::COM_SLEEP;
use crate::packet::{HEADER_LEN, MAX_PAYLOAD, parse_header};

/// What [`CommandTracker::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// A command begins; the bytes consumed are its header.
    Command {
        /// The command byte. An empty packet counts as COM_SLEEP, as servers take it.
        command: u8,
        /// Length of its first packet's payload, in bytes.
        len: usize,
        /// Whether its sequence id is 0, as it has to be: a server refuses any other with
        /// error 1156 and hangs up.
        in_sequence: bool,
    },
    /// A command that shall be held begins; none of its bytes is consumed.
    Held {
        /// The command byte.
        command: u8,
    },
    /// A packet begins, but its first five bytes are not all there; none of them is consumed.
    Incomplete,
    /// The bytes consumed belong to the payload of the command, or of whatever else, that began
    /// last; [`CommandTracker::at_boundary`] tells whether that is complete now.
    Payload,
    /// The empty packet that ends a local file.
    FileEnd,
    /// The bytes consumed are the header of a packet that begins no command.
    Header,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Commands,
    /// The packets are the content of a file.
    File,
    /// The packets are of a kind without replies, such as the acknowledgements of a replica.
    Opaque,
}

/// Follows the packets of a client, which may arrive in pieces of any size, without keeping
/// their content.
#[derive(Clone, Debug)]
pub struct CommandTracker {
    mode: Mode,
    /// The commands to stop at.
    hold: &'static [u8],
    /// The next command is not stopped at.
    pass: bool,
    /// Payload bytes of the current packet still to come.
    left: usize,
    /// The last packet was of the greatest length, so the next continues it.
    continued: bool,
}

impl CommandTracker {
    /// Starts between two commands. The commands of `hold` are not passed over but reported as
    /// [`ClientStep::Held`], so that the caller can deal with them.
    #[must_use]
    pub fn new(hold: &'static [u8]) -> Self {
        Self {
            mode: Mode::Commands,
            hold,
            pass: false,
            left: 0,
            continued: false,
        }
    }

    /// The client's next packets are a file, up to an empty one.
    pub fn expect_file(&mut self) {
        self.mode = Mode::File;
    }

    /// The client's next packets are no commands, until [`end_opaque`](Self::end_opaque).
    pub fn expect_opaque(&mut self) {
        self.mode = Mode::Opaque;
    }

    /// The client's next packets are commands again, if they were none.
    pub fn end_opaque(&mut self) {
        if self.mode == Mode::Opaque {
            self.mode = Mode::Commands;
        }
    }

    /// The next command is passed over even if it is one to hold: the caller was told of it and
    /// does not want it.
    pub fn pass_held(&mut self) {
        self.pass = true;
    }

    /// Whether the packets are commands, and neither a file nor of another kind.
    #[must_use]
    pub fn expects_commands(&self) -> bool {
        self.mode == Mode::Commands
    }

    /// Whether the next packet is a command.
    #[must_use]
    #[inline]
    pub fn awaits_command(&self) -> bool {
        self.mode == Mode::Commands && self.at_boundary()
    }

    /// Whether the bytes so far end with a whole packet which the next does not continue.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.left == 0 && !self.continued
    }

    /// Goes on to the next step in `data`; returns how many bytes it consumed and what it found.
    /// Call it again with the bytes that are left, unless they are none or it found
    /// [`ClientStep::Held`] or [`ClientStep::Incomplete`]; bytes not consumed are to be handed in
    /// again, in front of what follows them.
    pub fn step(&mut self, data: &[u8]) -> (usize, ClientStep) {
        if self.left > 0 {
            let passed = self.left.min(data.len());
            self.left -= passed;
            return (passed, ClientStep::Payload);
        }
        let Some(&header) = data.first_chunk::<HEADER_LEN>() else {
            return (0, ClientStep::Incomplete);
        };
        let (len, sequence) = parse_header(header);
        let begins = !self.continued;
        if begins && self.mode == Mode::Commands {
            let command = match data.get(HEADER_LEN) {
                _ if len == 0 => COM_SLEEP,
                Some(&command) => command,
                None => return (0, ClientStep::Incomplete),
            };
            if len > 0 && self.hold.contains(&command) && !self.pass {
                return (0, ClientStep::Held { command });
            }
            self.pass = false;
            self.enter(len);
            let found = ClientStep::Command {
                command,
                len,
                in_sequence: sequence == 0,
            };
            return (HEADER_LEN, found);
        }
        self.enter(len);
        if begins && self.mode == Mode::File && len == 0 {
            self.mode = Mode::Commands;
            return (HEADER_LEN, ClientStep::FileEnd);
        }
        (HEADER_LEN, ClientStep::Header)
    }

    fn enter(&mut self, len: usize) {
        self.left = len;
        self.continued = len == MAX_PAYLOAD;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{COM_CHANGE_USER, COM_PING, COM_QUERY};
    use crate::put_packet;

    fn commands(tracker: &mut CommandTracker, mut data: &[u8]) -> Vec<ClientStep> {
        let mut found = Vec::new();
        while !data.is_empty() {
            let (used, step) = tracker.step(data);
            data = &data[used..];
            if !matches!(step, ClientStep::Payload | ClientStep::Header) {
                found.push(step);
            }
            if matches!(step, ClientStep::Held { .. } | ClientStep::Incomplete) {
                break;
            }
        }
        found
    }

    fn command(command: u8, len: usize) -> ClientStep {
        ClientStep::Command {
            command,
            len,
            in_sequence: true,
        }
    }

    #[test]
    fn pipelined_commands() {
        let mut wire = Vec::new();
        put_packet(&mut wire, 0, &[COM_PING]);
        put_packet(&mut wire, 0, b"");
        put_packet(&mut wire, 3, b"\x03select 1");
        let found = commands(&mut CommandTracker::new(&[]), &wire);
        let late = ClientStep::Command {
            command: COM_QUERY,
            len: 9,
            in_sequence: false,
        };
        assert_eq!(found, [command(COM_PING, 1), command(COM_SLEEP, 0), late]);
    }

    #[test]
    fn a_split_command_counts_once() {
        let mut wire = Vec::new();
        put_packet(&mut wire, 0, &vec![COM_QUERY; MAX_PAYLOAD]);
        put_packet(&mut wire, 0, &[COM_PING]);
        let mut tracker = CommandTracker::new(&[]);
        let (first, rest) = wire.split_at(1000);
        assert_eq!(
            commands(&mut tracker, first),
            [command(COM_QUERY, MAX_PAYLOAD)]
        );
        assert!(!tracker.at_boundary());
        assert_eq!(commands(&mut tracker, rest), [command(COM_PING, 1)]);
        assert!(tracker.at_boundary());
    }

    #[test]
    fn the_held_command_is_left_alone() {
        let mut wire = Vec::new();
        put_packet(&mut wire, 0, &[COM_PING]);
        put_packet(&mut wire, 0, &[COM_CHANGE_USER, b'u', 0]);
        let mut tracker = CommandTracker::new(&[COM_CHANGE_USER]);
        let found = commands(&mut tracker, &wire);
        let held = ClientStep::Held {
            command: COM_CHANGE_USER,
        };
        assert_eq!(found, [command(COM_PING, 1), held]);
        assert_eq!(tracker.step(&wire[5..9]), (0, ClientStep::Incomplete));
        assert_eq!(tracker.step(&wire[5..10]), (0, held));
        tracker.pass_held();
        let passed = tracker.step(&wire[5..]);
        assert_eq!(passed, (HEADER_LEN, command(COM_CHANGE_USER, 3)));
        assert_eq!(tracker.step(&wire[9..]), (3, ClientStep::Payload));
        assert_eq!(tracker.step(&wire[5..]), (0, held), "only once");
    }

    #[test]
    fn a_local_file_ends_with_an_empty_packet_of_its_own() {
        let mut wire = Vec::new();
        put_packet(&mut wire, 2, b"\x03not a query");
        put_packet(&mut wire, 3, &vec![0; MAX_PAYLOAD]);
        put_packet(&mut wire, 5, b"");
        put_packet(&mut wire, 0, &[COM_PING]);
        let mut tracker = CommandTracker::new(&[]);
        tracker.expect_file();
        let found = commands(&mut tracker, &wire);
        assert_eq!(found, [ClientStep::FileEnd, command(COM_PING, 1)]);
    }
}
