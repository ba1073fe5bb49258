//! Free ports for servers of other programs.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below the ephemeral ports, one of which could be taken while a server is down.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// Distance between the first ports of concurrent processes.
const APART: u32 = 64;

/// A port that was just free, and that this process does not return twice. Otherwise two tests
/// could use each other's servers.
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
