//! The least other cost of an event at a gateway: a loopback socket, without TLS.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::cuts::Cut;
use crate::report::Table;
use crate::streams::Stream;

/// Returns the median of so many rounds. Where there is no network the table is empty.
pub fn table(rounds: usize) -> Table {
    let mut table = Table::new(
        "network: an event of vllm written to a loopback TCP socket and read, without TLS",
        &["what", "ns per event"],
    );
    let stream = Stream::generated("vllm", 1000, 1);
    let times: io::Result<Vec<_>> = (0..rounds).map(|_| loopback(&stream)).collect();
    if let Ok(mut times) = times {
        times.sort();
        let price = times[rounds / 2].as_secs_f64() * 1e9 / stream.ends.len() as f64;
        table.rows.push(vec!["write and read".to_owned(), format!("{price:.0}")]);
    }
    table
}

fn loopback(stream: &Stream) -> io::Result<Duration> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    let mut received = vec![0; stream.bytes.len()];
    let start = Instant::now();
    for range in stream.ranges(Cut::Event) {
        client.write_all(&stream.bytes[range.clone()])?;
        server.read_exact(&mut received[range])?;
    }
    let time = start.elapsed();
    assert_eq!(received, stream.bytes);
    Ok(time)
}
