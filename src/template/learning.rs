//! `LearningBudget`: decides whether an event is compared with templates and learned.

/// A budget, roughly in instructions, that bounds the cost of templates that don't match.
///
/// A match credits less than it saves. An event on the general path credits a part of its cost. A
/// miss debits its cost. So templates add a small part to the cost of a stream without repetition.
#[derive(Clone, Copy)]
pub(super) struct LearningBudget {
    balance: i32,
    is_resting: bool,
}

impl LearningBudget {
    /// The first balance: enough for the first events of an ordinary stream, each of another kind.
    const START: i32 = 20_000;
    const MOST: i32 = 20_000;
    const MOST_EARNED: i32 = 512;
    /// The balance that ends a pause: enough to learn one event and to compare the next.
    const ENOUGH: i32 = 4_000;

    /// Returns the cost of comparing so many bytes without a match.
    pub(super) fn cost(bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(2).saturating_add(300)
    }

    /// Returns true if no event is compared or learned until the budget has recovered.
    #[inline]
    pub(super) const fn is_paused(self) -> bool {
        self.is_resting
    }

    /// Credits an event of so many bytes that matches.
    #[inline]
    pub(super) fn credit_hit(&mut self, len: usize) {
        if self.balance < Self::MOST {
            self.add(i32::try_from(len).unwrap_or(i32::MAX).saturating_mul(4));
        }
    }

    /// Credits an event of so many bytes on the general path.
    pub(super) fn credit_miss(&mut self, len: usize) {
        self.add(i32::try_from(len).unwrap_or(i32::MAX).min(Self::MOST_EARNED));
        self.is_resting &= self.balance < Self::ENOUGH;
    }

    pub(super) fn debit(&mut self, cost: u32) {
        self.balance = self.balance.saturating_sub(i32::try_from(cost).unwrap_or(i32::MAX));
        self.is_resting |= self.balance < 0;
    }

    fn add(&mut self, sum: i32) {
        self.balance = self.balance.saturating_add(sum).min(Self::MOST);
    }
}

impl Default for LearningBudget {
    fn default() -> Self {
        Self { balance: Self::START, is_resting: false }
    }
}
