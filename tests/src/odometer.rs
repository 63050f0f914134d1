//! A source of choices that comes to every combination of them.
//!
//! Whoever is decided by it is run from its beginning again and again. The first run takes the first of each choice;
//! between two runs [`Odometer::advance`] turns the last choice on by one, and behind its last possibility the one
//! before it. So each run is another one, and when there is no next one, all have been.

/// The choices of one run, in order, and how many possibilities each had.
#[derive(Clone, Debug, Default)]
pub struct Odometer {
    /// What was chosen, and of how many.
    digits: Vec<(usize, usize)>,
    /// How many choices of this run are made.
    made: usize,
}

impl Odometer {
    /// One before its first run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A number below `bound`.
    ///
    /// # Panics
    ///
    /// If there is nothing to choose from; or if this run, which has made the same choices as the one before so far, is
    /// not given the same choice now: then what it decides does not depend on its choices alone.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing to choose from");
        if self.made == self.digits.len() {
            self.digits.push((0, bound));
        }
        let (value, known) = self.digits[self.made];
        assert_eq!(known, bound, "the same choices lead to another choice");
        self.made += 1;
        value
    }

    /// Which run this is: every choice that it has made so far.
    #[must_use]
    pub fn reading(&self) -> Vec<usize> {
        self.digits[..self.made].iter().map(|(value, _)| *value).collect()
    }

    /// Sets it to the next run. Returns whether there is one.
    pub fn advance(&mut self) -> bool {
        self.digits.truncate(self.made);
        self.made = 0;
        while let Some((value, bound)) = self.digits.pop() {
            if value + 1 < bound {
                self.digits.push((value + 1, bound));
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reading of an odometer of a world that chooses a number below three, and then so many bits.
    fn readings() -> Vec<Vec<usize>> {
        let mut odometer = Odometer::new();
        let mut seen = Vec::new();
        loop {
            for _ in 0..odometer.below(3) {
                odometer.below(2);
            }
            seen.push(odometer.reading());
            if !odometer.advance() {
                return seen;
            }
        }
    }

    #[test]
    fn it_comes_to_every_combination_once_and_to_its_end() {
        let all = ["0", "10", "11", "200", "201", "210", "211"];
        let all = all.map(|digits| digits.bytes().map(|digit| usize::from(digit - b'0')).collect::<Vec<_>>());
        assert_eq!(readings(), all);
    }

    #[test]
    #[should_panic(expected = "the same choices lead to another choice")]
    fn a_run_that_depends_on_more_than_its_choices_is_noticed() {
        let mut odometer = Odometer::new();
        odometer.below(3);
        assert!(odometer.advance());
        odometer.below(2);
    }
}
