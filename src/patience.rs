//! `Patience`: decides when memory that ordinary events don't need is freed.

/// The number of ordinary events in a row after which memory is freed for the first time.
const FIRST: u16 = 64;
/// The largest such number.
const MOST: u16 = 1 << 15;

/// Counts the ordinary events since an event needed some memory.
///
/// After enough of them in a row the memory is freed. The number doubles each time, so that a stream
/// that needs the memory again and again keeps it: nothing is allocated in steady state.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// The number of events until the memory is freed: `left <= most`; 0 if nothing is to be freed.
    left: u16,
    most: u16,
}

impl Patience {
    /// Returns the patience of a stream without such memory.
    pub(crate) const fn new() -> Self {
        Self { left: 0, most: FIRST }
    }

    /// Records that an event needs the memory.
    #[inline]
    pub(crate) const fn renew(&mut self) {
        self.left = self.most;
    }

    /// Records that the memory is absent.
    pub(crate) const fn end(&mut self) {
        self.left = 0;
    }

    /// Returns true if ordinary events are to be counted.
    #[inline]
    pub(crate) const fn is_counting(self) -> bool {
        self.left > 0
    }

    /// Counts an ordinary event; returns true if the memory is to be freed.
    pub(crate) fn count(&mut self) -> bool {
        debug_assert!(0 < self.left && self.left <= self.most);
        self.left = self.left.saturating_sub(1);
        let is_over = self.left == 0;
        if is_over {
            self.most = self.most.saturating_mul(2).min(MOST);
        }
        is_over
    }
}
