//! What looks random and follows from a seed, the same on every machine and with every version.

/// SplitMix64 (Steele, Lea and Flood 2014): short, fast, and good enough to draw names.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence for one purpose: another `purpose` is another sequence.
    pub fn new(seed: u64, purpose: &str) -> Self {
        purpose.bytes().fold(Self(seed), |mut random, byte| {
            random.0 ^= u64::from(byte);
            Self(random.next())
        })
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A number from 0 up to, not including, 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One of several.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// A host's first two labels that `number` makes unique, such as `queue-1f.stage`.
    pub fn host(&mut self, number: usize) -> String {
        const ROLES: [&str; 24] = [
            "api", "billing", "broker", "cart", "catalog", "db", "edge", "events", "gateway", "index",
            "jobs", "ledger", "login", "mail", "media", "orders", "pricing", "queue", "search", "session",
            "stock", "tokens", "users", "web",
        ];
        const STAGES: [&str; 6] = ["prod", "stage", "dev", "load", "eu-west", "us-east"];
        let role = self.one_of(&ROLES).copied().unwrap_or_default();
        let stage = self.one_of(&STAGES).copied().unwrap_or_default();
        format!("{role}-{number:x}.{stage}")
    }
}

/// Draws as people ask: the n-th name 1/n as often as the first.
#[derive(Clone, Debug)]
pub struct Zipf {
    /// Sums of the weights up to each index.
    sums: Vec<f64>,
}

impl Zipf {
    /// Over indexes below `count`.
    pub fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let weights = (1..=count).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { sums: weights.collect() }
    }

    /// An index.
    pub fn draw(&self, random: &mut Random) -> usize {
        let at = random.fraction() * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|&sum| sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_everything() {
        let draw = |seed, purpose| Random::new(seed, purpose).next();
        assert_eq!(draw(1, "zone"), draw(1, "zone"));
        assert_ne!(draw(1, "zone"), draw(2, "zone"));
        assert_ne!(draw(1, "zone"), draw(1, "hit"));
        // Pinned, so that figures of different versions are of the same names.
        assert_eq!(Random::new(42, "zone").host(31), "stock-1f.dev");
    }

    #[test]
    fn draws_keep_to_their_range() {
        let mut random = Random::new(7, "range");
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.fraction())));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn the_first_name_is_drawn_twice_as_often_as_the_second() {
        let (zipf, mut random) = (Zipf::new(100), Random::new(7, "zipf"));
        let mut counts = [0u32; 100];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut random)] += 1;
        }
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
        assert!(counts.iter().all(|&count| count > 0));
    }
}
