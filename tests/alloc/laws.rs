//! Laws 4 and 5 of the design as properties.

use deltawire::{ChunkDecoder, Templates};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies::input::{Choices, Input, chunks};
use crate::support::cases::cases;
use crate::support::decoded::pieces;
use crate::support::heap;

/// Returns choices of which a stream is made.
fn scripts() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

proptest! {
    #![proptest_config(cases("proptest-regressions/alloc_laws.txt", 500))]

    /// Law 4: once a stream has been decoded, decoding it again allocates nothing.
    #[test]
    fn nothing_allocates_in_steady_state(script in scripts(), lengths in vec(1usize..300, 0..40)) {
        let mut choices = Choices::new(&script);
        choices.is_tame = true;
        let stream = chunks(&mut choices);
        // The first error of a stream is kept.
        let has_error = String::from_utf8_lossy(&stream).contains("error");
        let cut = pieces(&stream, &lengths);
        let mut decoder = ChunkDecoder::new().with_templates(&Templates::new());
        let mut pass = || {
            let before = heap::allocations();
            for piece in &cut {
                let mut input = *piece;
                while decoder.next(&mut input).is_some() {}
            }
            decoder.reset();
            heap::allocations() - before
        };
        // While learning pauses, it takes some passes until each event has been learned.
        (0..40).for_each(|_| _ = pass());
        prop_assert!(pass() == 0 || has_error);
    }

    /// Law 5: the bytes asked of the allocator grow with the stream, in any pieces and limits.
    ///
    /// Each call emits an event or ends a piece.
    #[test]
    fn work_is_linear(script in scripts(), settings in 0..8u8) {
        let input = Input::new(&[&[settings], &script[..]].concat(), chunks);
        let cut = pieces(&input.stream, &input.lengths);
        for cut in [&cut, &input.stream.chunks(1).collect::<Vec<_>>()] {
            let before = heap::requested();
            let templates = Templates::new();
            let mut decoder = ChunkDecoder::with_limits(input.limits).with_templates(&templates);
            let (mut calls, mut events) = (0, 0);
            for piece in cut {
                let mut input = *piece;
                calls += 1;
                while decoder.next(&mut input).is_some() {
                    (calls, events) = (calls + 1, events + 1);
                }
            }
            prop_assert!(events <= input.stream.len() && calls == events + cut.len());
            // Nodes of 16 bytes and rows of a table for values of two bytes, twice by doubling.
            let requested = heap::requested() - before;
            let most = 128 * input.stream.len() + (16 << 10);
            prop_assert!(requested <= most, "{} bytes asked for, {} allowed", requested, most);
        }
    }
}
