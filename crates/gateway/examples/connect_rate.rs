//! How many clients a second can come, ask one thing and go.
//!
//! `connect_rate ADDRESS USER PASSWORD DATABASE THREADS SECONDS`: every thread connects, logs in by
//! `mysql_native_password`, runs `SELECT 1`, says goodbye and begins again. Prints connections a
//! second, the median and 99th percentile of the time from connect to result in microseconds, and
//! the number of connections.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use openpeta_mysql_wire::auth::native;
use openpeta_mysql_wire::command::COM_QUIT;
use openpeta_mysql_wire::{
    AuthSwitch, Capabilities, ErrPacket, Greeting, Login, OkPacket, PacketBuffer, put_packet,
};

const USAGE: &str = "connect_rate ADDRESS USER PASSWORD DATABASE THREADS SECONDS";

#[derive(Clone)]
struct Account {
    address: SocketAddr,
    user: String,
    password: String,
    database: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, password, database, threads, seconds] = &arguments[..] else {
        return Err(USAGE.into());
    };
    let account = Account {
        address: address.parse()?,
        user: user.clone(),
        password: password.clone(),
        database: database.clone(),
    };
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds.parse()?);
    let mut workers = Vec::new();
    for _ in 0..threads.parse::<usize>()? {
        let account = account.clone();
        workers.push(thread::spawn(move || -> io::Result<Vec<Duration>> {
            let mut times = Vec::new();
            while Instant::now() < end {
                times.push(visit(&account)?);
            }
            Ok(times)
        }));
    }
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.join().map_err(|_| "a thread panicked")??);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_micros();
    println!("{rate:.0} {} {} {}", at(0.5), at(0.99), times.len());
    Ok(())
}

/// One client's visit; the time from the connect to the result.
fn visit(account: &Account) -> io::Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(account.address)?;
    stream.set_nodelay(true)?;
    let mut input = PacketBuffer::new(1 << 20);
    let (_, greeting) = receive(&mut stream, &mut input)?;
    let greeting = Greeting::parse(&greeting).map_err(|_| refused(&greeting))?;
    let login = Login {
        capabilities: Capabilities::MYSQL
            | Capabilities::TRANSACTIONS
            | Capabilities::MULTI_RESULTS
            | Capabilities::DEPRECATE_EOF,
        max_packet_size: 1 << 24,
        charset: 45,
        filler: [0; 19],
        user: account.user.clone().into(),
        auth_response: native::response(account.password.as_bytes(), &greeting.nonce),
        database: Some(account.database.clone().into()),
        plugin: Some(native::NAME.into()),
        attributes: None,
        zstd_level: None,
    };
    let mut payload = Vec::new();
    login.encode(&mut payload);
    send(&mut stream, 1, &payload)?;
    loop {
        let (sequence, answer) = receive(&mut stream, &mut input)?;
        if let Some(nonce) = AuthSwitch::parse(&answer)
            .ok()
            .and_then(|switch| switch.data.first_chunk().copied())
        {
            let response = native::response(account.password.as_bytes(), &nonce);
            send(&mut stream, sequence + 1, &response)?;
        } else if OkPacket::is(&answer) {
            break;
        } else {
            return Err(refused(&answer));
        }
    }
    send(&mut stream, 0, b"\x03SELECT 1")?;
    // The number of columns, the column, the row, the end.
    for _ in 0..4 {
        let (_, packet) = receive(&mut stream, &mut input)?;
        if ErrPacket::is(&packet) {
            return Err(refused(&packet));
        }
    }
    let time = begun.elapsed();
    send(&mut stream, 0, &[COM_QUIT])?;
    // The server closes, so that this side has no ports in TIME_WAIT and runs out of them.
    match stream.read(&mut [0; 16]) {
        Ok(0) => Ok(time),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(time),
        Ok(_) => Err(io::Error::other("bytes behind the last reply")),
        Err(error) => Err(error),
    }
}

fn send(stream: &mut TcpStream, sequence: u8, payload: &[u8]) -> io::Result<()> {
    let mut packet = Vec::new();
    put_packet(&mut packet, sequence, payload);
    stream.write_all(&packet)
}

fn receive(stream: &mut TcpStream, input: &mut PacketBuffer) -> io::Result<(u8, Vec<u8>)> {
    loop {
        let packet = input
            .next_packet()
            .map_err(|error| io::Error::other(error.to_string()))?;
        if let Some(packet) = packet {
            return Ok((packet.sequence, packet.payload));
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => input.push(&buffer[..count]),
        }
    }
}

fn refused(packet: &[u8]) -> io::Error {
    let error = ErrPacket::parse(packet);
    let text = error.map_or_else(
        |_| format!("not understood: {packet:?}"),
        |error| String::from_utf8_lossy(&error.message).into_owned(),
    );
    io::Error::other(text)
}
