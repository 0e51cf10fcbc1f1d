//! simd-json as a second oracle: the crate reads the same names, kinds and values as it does.

use simd_json::{Node, StaticNode};

use crate::support::sent::{Sent, What};

/// Compares a text with simd-json's tape of `data`; returns true if simd-json accepts `data`.
///
/// `read` returns the text as the crate reads it, or `None` if that isn't compared.
pub fn check(data: &[u8], read: impl FnOnce() -> Option<Sent>) -> bool {
    let mut copy = data.to_vec();
    let Ok(tape) = simd_json::to_tape(&mut copy) else { return false };
    if let Some(sent) = read() {
        let rest = compare(&tape.0, &sent);
        assert!(rest.is_empty(), "simd-json has more values");
    }
    true
}

/// Compares the value at the front of a tape; returns the nodes behind it.
fn compare<'t, 'j>(tape: &'t [Node<'j>], sent: &Sent) -> &'t [Node<'j>] {
    let (node, mut rest) = tape.split_first().expect("a node for each value");
    match (node, &sent.what) {
        (Node::Object { len, .. }, What::Object(members)) => {
            assert_eq!(*len, members.len(), "members");
            for (name, value) in members {
                let Some((Node::String(known), behind)) = rest.split_first() else {
                    panic!("no name: {rest:?}");
                };
                assert_eq!(known, name);
                rest = compare(behind, value);
            }
        }
        (Node::Array { len, .. }, What::Array(elements)) => {
            assert_eq!(*len, elements.len(), "elements");
            rest = elements.iter().fold(rest, compare);
        }
        (Node::String(known), What::String(text)) => assert_eq!(known, text),
        (Node::Static(known), What::Other) => compare_static(*known, &sent.raw),
        (node, _) => panic!("{node:?} and {}", sent.raw),
    }
    rest
}

fn compare_static(known: StaticNode, raw: &str) {
    match known {
        StaticNode::Null => assert_eq!(raw, "null"),
        StaticNode::Bool(known) => assert_eq!(raw, if known { "true" } else { "false" }),
        StaticNode::U64(known) => assert_eq!(raw.parse(), Ok(known)),
        StaticNode::I64(known) => assert_eq!(raw.parse(), Ok(known)),
        StaticNode::F64(known) => {
            assert_eq!(raw.parse::<f64>().map(f64::to_bits), Ok(known.to_bits()), "{raw}");
        }
    }
}
