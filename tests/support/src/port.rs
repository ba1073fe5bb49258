//! Ports for servers of other programs.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below those that systems give to outgoing connections, which would take one while its server is down.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// Processes that run at the same time begin so far apart.
const APART: u32 = 64;

/// A port that was free a moment ago, and that this process gives to nobody else: or two tests would talk to each other's servers.
pub fn free() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = (process::id() % COUNT) * APART + GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + number % COUNT).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
