//! The server side of TLS for one client, over bytes instead of a socket.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::ServerConnection;

/// One client's TLS connection.
pub(super) struct Tls {
    connection: ServerConnection,
    established: bool,
}

/// What received bytes brought.
#[derive(Default)]
pub(super) struct Progress {
    /// The handshake has just been completed.
    pub(super) established: bool,
    /// The client said that it sends nothing more.
    pub(super) ended: bool,
    /// The connection is broken; an alert may be waiting to be sent.
    pub(super) failed: bool,
}

impl Tls {
    pub(super) fn new(config: Arc<rustls::ServerConfig>) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(config)?;
        // What is written is taken out again at once, so the limit would only cut it up.
        connection.set_buffer_limit(None);
        Ok(Self {
            connection,
            established: false,
        })
    }

    /// Takes bytes from the client. What they decrypt to is appended to `plain`.
    pub(super) fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Progress {
        let mut progress = Progress::default();
        while !bytes.is_empty() && !progress.ended {
            let taken = self.connection.read_tls(&mut bytes);
            match self.connection.process_new_packets() {
                Ok(state) if matches!(taken, Ok(1..)) => progress.ended = state.peer_has_closed(),
                _ => {
                    progress.failed = true;
                    return progress;
                }
            }
            // Its only error tells that nothing more is there.
            let _ = read_available(&mut self.connection.reader(), plain);
        }
        if !self.established && !self.connection.is_handshaking() {
            self.established = true;
            progress.established = true;
        }
        progress
    }

    /// Encrypts; [`Self::take_output`] gives the result.
    pub(super) fn send(&mut self, plain: &[u8]) {
        // Without a limit the writer takes everything.
        let _ = self.connection.writer().write_all(plain);
    }

    /// Tells the client that nothing more follows.
    pub(super) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Appends all that is to be sent to the client.
    pub(super) fn take_output(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // Writing to memory does not fail.
            if self.connection.write_tls(out).is_err() {
                return;
            }
        }
    }
}

fn read_available(reader: &mut impl Read, plain: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(()),
            count => plain.extend_from_slice(&chunk[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::*;

    /// Both ends of a connection whose handshake is done.
    fn established() -> (ClientConnection, Tls) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let certificate = made.cert.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut tls = Tls::new(Arc::new(server)).unwrap();
        while client.is_handshaking() || !tls.established {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            assert!(!tls.receive(&bytes, &mut Vec::new()).failed);
            let mut bytes = Vec::new();
            tls.take_output(&mut bytes);
            let mut bytes = bytes.as_slice();
            while !bytes.is_empty() {
                client.read_tls(&mut bytes).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        (client, tls)
    }

    #[test]
    fn what_comes_before_the_clients_end_is_not_lost() {
        let (mut client, mut tls) = established();
        client.writer().write_all(b"last words").unwrap();
        client.send_close_notify();
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut plain = Vec::new();
        let progress = tls.receive(&bytes, &mut plain);
        assert!(progress.ended && !progress.failed);
        assert_eq!(plain, b"last words");
    }

    #[test]
    fn a_broken_record_fails() {
        let (_, mut tls) = established();
        let progress = tls.receive(&[0x17, 3, 3, 0, 1, 0], &mut Vec::new());
        assert!(progress.failed && !progress.ended);
    }
}
