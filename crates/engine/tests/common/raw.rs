//! As much of the protocol as it takes to log in behind a PROXY header and ask one question.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Logs in and returns `USER()`.
pub fn user(socket: &Path, client: Option<[u8; 4]>, user: &str, password: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("connect");
    if let Some(address) = client {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        header.extend(address);
        header.extend([127, 0, 0, 1, 0x12, 0x34, 0x0c, 0xea]);
        stream.write_all(&header).expect("send");
    }
    let greeting = receive(&mut stream);
    let version_end = 1 + greeting[1..]
        .iter()
        .position(|&byte| byte == 0)
        .expect("a NUL");
    let first = &greeting[version_end + 5..][..8];
    let second = &greeting[version_end + 5 + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10..][..12];
    let nonce = [first, second].concat();
    let sha1 = |bytes: &[u8]| digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec();
    let stage1 = sha1(password.as_bytes());
    let mask = sha1(&[nonce, sha1(&stage1)].concat());
    let scramble: Vec<u8> = stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
    let mut login = 0x0008_8200_u32.to_le_bytes().to_vec();
    login.extend((1_u32 << 24).to_le_bytes());
    login.push(45);
    login.extend([0; 23]);
    login.extend(user.as_bytes());
    login.push(0);
    login.push(20);
    login.extend(scramble);
    login.extend(b"mysql_native_password\0");
    send(&mut stream, 1, &login);
    let reply = receive(&mut stream);
    assert_eq!(reply[0], 0, "{}", String::from_utf8_lossy(&reply));
    send(&mut stream, 0, b"\x03SELECT USER()");
    // Column count, column, end of columns, row.
    for _ in 0..3 {
        receive(&mut stream);
    }
    let row = receive(&mut stream);
    String::from_utf8(row[1..].to_vec()).expect("text")
}

fn send(stream: &mut UnixStream, sequence: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("small").to_le_bytes();
    let mut packet = vec![length[0], length[1], length[2], sequence];
    packet.extend(payload);
    stream.write_all(&packet).expect("send");
}

fn receive(stream: &mut UnixStream) -> Vec<u8> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).expect("a packet");
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).expect("a packet");
    payload
}
