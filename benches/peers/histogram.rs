//! Latencies in little memory.

/// Values below this are counted each on its own; above, each doubling has half as many steps, so that
/// a figure read back is at most 1/32 too small.
const STEPS: u64 = 64;
const BITS: u32 = STEPS.trailing_zeros();

/// Counts of nanoseconds in steps that grow with the value.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// An empty one for all of `u64`.
    pub fn new() -> Self {
        Self { counts: vec![0; step(u64::MAX) + 1], total: 0, max: 0 }
    }

    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(step(value)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// The value that `share` (0 to 1) of all values do not exceed; 0 when empty.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|&count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, |step| floor(step).min(self.max))
    }
}

/// Which step counts a value: below `STEPS` each its own, above by its leading bits.
fn step(value: u64) -> usize {
    let shift = 64 - BITS - (value | (STEPS - 1)).leading_zeros();
    // The leading bit is always set but in the first row, so that a row has half as many steps.
    let row = u64::from(shift) * (STEPS / 2);
    (row + (value >> shift)) as usize
}

/// The least value of a step.
fn floor(step: usize) -> u64 {
    let step = step as u64;
    if step < STEPS {
        return step;
    }
    let shift = (step / (STEPS / 2)) - 1;
    (step - shift * (STEPS / 2)) << shift
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_step() {
        let mut last = 0;
        for shift in 0..63 {
            for value in [1u64 << shift, (1 << shift) + 1, (1 << shift) * 3 / 2, (2 << shift) - 1] {
                let (at, next) = (floor(step(value)), floor(step(value) + 1));
                assert!(at <= value && value < next, "{value}: {at} to {next}");
                assert!(value - at <= value / 32, "{value} is read back as {at}");
            }
            assert!(step(1 << shift) >= last, "steps never go back");
            last = step(1 << shift);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), 0);
        for value in 1..=1000u64 {
            histogram.add(value * 100);
        }
        for (share, exact) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.999, 99_900.0), (1.0, 100_000.0)] {
            let read = histogram.quantile(share) as f64;
            assert!((read / exact - 1.0).abs() < 0.04, "{share}: {read} for {exact}");
        }
    }
}
