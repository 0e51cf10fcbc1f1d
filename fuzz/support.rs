//! The parts of `tests/support` that the assertions use.

#[path = "../tests/support/decoded.rs"]
pub mod decoded;
#[path = "../tests/support/fold.rs"]
pub mod fold;
#[path = "../tests/support/framed.rs"]
pub mod framed;
#[path = "../tests/support/heap.rs"]
pub mod heap;
#[path = "../tests/support/oracle.rs"]
pub mod oracle;
#[path = "../tests/support/sent.rs"]
pub mod sent;
