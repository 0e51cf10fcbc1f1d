//! Events and streams made of parts, and small stacks.

use deltawire::{ChunkDecoder, Limits, Reassembler};

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

pub fn event(json: &str) -> Vec<u8> {
    format!("data: {json}\n\n").into_bytes()
}

/// Returns an event with a delta for choice 0.
pub fn delta(members: &str) -> Vec<u8> {
    event(&format!(r#"{{"choices":[{{"index":0,"delta":{{{members}}}}}]}}"#))
}

pub fn nested(depth: usize, inner: &str) -> String {
    [&r#"{"a":"#.repeat(depth), inner, &"}".repeat(depth)].concat()
}

pub fn push_all(completion: &mut Reassembler, decoder: &mut ChunkDecoder, stream: &[u8]) {
    let mut input = stream;
    while let Some(event) = decoder.next(&mut input) {
        completion.push_payload(event.payload());
    }
}

/// Bytes of a small stack; more in an unoptimised build, where a level needs more.
pub const SMALL_STACK: usize = if cfg!(debug_assertions) { 2 << 20 } else { 256 << 10 };

/// Runs `work` on a thread with a small stack, whose overflow aborts the test.
pub fn on_a_small_stack(bytes: usize, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(bytes).spawn(work).unwrap().join().unwrap();
}

pub fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::new();
    change(&mut limits);
    limits
}

pub const FINISHED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";
