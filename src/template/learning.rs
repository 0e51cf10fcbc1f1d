//! `LearningBudget`: decides whether an event is compared with templates and learned.

/// A budget, roughly in instructions, that bounds the cost of templates that don't match.
///
/// A match credits less than it saves. An event on the general path credits a part of its cost. A
/// miss debits its cost. So templates add a small part to the cost of a stream without repetition.
#[derive(Clone, Copy)]
pub(super) struct LearningBudget {
    balance: i32,
    is_resting: bool,
    /// The number of pauses since the last match, up to [`MOST_PAUSES`](Self::MOST_PAUSES).
    pauses: u8,
}

impl LearningBudget {
    /// The first balance: enough for the first events of an ordinary stream, each of another kind.
    const START: i32 = 20_000;
    const MOST: i32 = 20_000;
    const MOST_EARNED: i32 = 512;
    /// The balance that ends a pause: enough to learn one event and to compare the next.
    const ENOUGH: i32 = 4_000;
    /// The number of pauses without a match after which a pause isn't longer than the one before.
    const MOST_PAUSES: u8 = 3;

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
            self.pauses = 0;
            self.add(i32::try_from(len).unwrap_or(i32::MAX).saturating_mul(4));
        }
    }

    /// Credits an event of so many bytes on the general path: less with each pause.
    pub(super) fn credit_miss(&mut self, len: usize) {
        let earned = i32::try_from(len).unwrap_or(i32::MAX).min(Self::MOST_EARNED);
        self.add(earned >> self.pauses.saturating_sub(1));
        self.is_resting &= self.balance < Self::ENOUGH;
    }

    pub(super) fn debit(&mut self, cost: u32) {
        self.balance = self.balance.saturating_sub(i32::try_from(cost).unwrap_or(i32::MAX));
        if self.balance < 0 && !self.is_resting {
            self.is_resting = true;
            self.pauses = (self.pauses + 1).min(Self::MOST_PAUSES);
        }
    }

    fn add(&mut self, sum: i32) {
        self.balance = self.balance.saturating_add(sum).min(Self::MOST);
    }
}

impl Default for LearningBudget {
    fn default() -> Self {
        Self { balance: Self::START, is_resting: false, pauses: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::LearningBudget;

    /// Returns the number of learned events, if none of `count` events of so many bytes matches.
    fn learned(budget: &mut LearningBudget, count: usize, len: usize) -> usize {
        (0..count)
            .filter(|_| {
                let is_learned = !budget.is_paused();
                if is_learned {
                    budget.debit(LearningBudget::cost(len));
                    budget.debit(LearningBudget::cost(3 * len));
                }
                budget.credit_miss(len);
                is_learned
            })
            .count()
    }

    #[test]
    fn pauses_become_longer_until_an_event_matches() {
        let mut budget = LearningBudget::default();
        learned(&mut budget, 1000, 1000);
        let late = learned(&mut budget, 1000, 1000);
        assert!((1..20).contains(&late), "{late}");
        budget.credit_hit(1000);
        let early = learned(&mut budget, 100, 1000);
        assert!(early * 8 > late, "{early} {late}");
    }

    /// Ordinary events behind the longest pause are learned again.
    #[test]
    fn the_longest_pause_has_an_end() {
        let mut budget = LearningBudget::default();
        learned(&mut budget, 3000, 4000);
        assert!(learned(&mut budget, 1500, 100) > 0);
    }
}
