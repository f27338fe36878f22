//! The numbers of a compressed client's packets.
//!
//! A server looks at the numbers of the compressed packets alone, and there are drivers that count wrong inside
//! (MariaDB Connector/J 2 begins its first command with 1). The node gets the packets without
//! compression, and would refuse such a one.

use openpeta_mysql_wire::{HEADER_LEN, MAX_PAYLOAD};

/// Follows the packets of a client and corrects their numbers.
#[derive(Default)]
pub(super) struct Numbers {
    /// What there is of a header.
    header: [u8; HEADER_LEN],
    there: usize,
    /// Bytes of the packet's payload that are still to come.
    left: usize,
    /// The number of the packet that continues the last one, if one does.
    next: Option<u8>,
}

impl Numbers {
    /// Goes through bytes of the client. Of packets that are no `commands`, but a file or parts of a
    /// login, the numbers stay; behind the end of a file, commands begin.
    pub(super) fn correct(&mut self, data: &mut [u8], mut commands: bool) {
        let mut at = 0;
        while at < data.len() {
            if self.left > 0 {
                let passed = self.left.min(data.len() - at);
                self.left -= passed;
                at += passed;
                continue;
            }
            let number = self.there == HEADER_LEN - 1;
            if number {
                data[at] = self.next.unwrap_or(if commands { 0 } else { data[at] });
            }
            self.header[self.there] = data[at];
            self.there += 1;
            at += 1;
            if number {
                let [a, b, c, number] = self.header;
                self.there = 0;
                self.left = u32::from_le_bytes([a, b, c, 0]) as usize;
                commands |= self.left == 0 && self.next.is_none();
                self.next = (self.left == MAX_PAYLOAD).then(|| number.wrapping_add(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openpeta_mysql_wire::put_packet;

    use super::*;

    fn wire(packets: &[(u8, &[u8])]) -> Vec<u8> {
        let mut wire = Vec::new();
        for (number, payload) in packets {
            put_packet(&mut wire, *number, payload);
        }
        wire
    }

    fn corrected(given: &[(u8, &[u8])], expected: &[(u8, &[u8])], commands: bool) {
        let first = wire(&given[..1]).len();
        for size in [1, 3, 7, 65_521, 1 << 25] {
            let mut data = wire(given);
            if data.len() / size > 1_000_000 {
                continue;
            }
            let mut numbers = Numbers::default();
            for (count, piece) in data.chunks_mut(size).enumerate() {
                // Who asks knows of the file's end as soon as that has passed.
                let behind = (count * size).saturating_sub(first) >= 4;
                numbers.correct(piece, commands || behind);
            }
            assert!(data == wire(expected), "in pieces of {size}");
        }
    }

    #[test]
    fn every_command_begins_with_0() {
        corrected(
            &[(1, b"\x03DO 1"), (0, b"\x0e"), (200, b""), (3, b"\x0e")],
            &[(0, b"\x03DO 1"), (0, b"\x0e"), (0, b""), (0, b"\x0e")],
            true,
        );
    }

    #[test]
    fn what_continues_a_command_goes_on_counting() {
        let long = vec![7; MAX_PAYLOAD + 5];
        corrected(
            &[(9, &long), (9, b"\x0e")],
            &[(0, &long), (0, b"\x0e")],
            true,
        );
    }

    #[test]
    fn a_file_keeps_its_numbers() {
        corrected(
            &[(2, b"a,b"), (3, b""), (1, b"\x0e")],
            &[(2, b"a,b"), (3, b""), (0, b"\x0e")],
            false,
        );
    }
}
