//! Middle values and how far apart they lie.

/// The middle value; the mean of the two middle ones of an even count; `None` without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((upper + *values.get(values.len() / 2 - 1)?) / 2.0)
}

/// Half the distance from the least to the greatest value, as a share of the middle one.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.into_iter().collect();
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let greatest = values.iter().copied().max_by(f64::total_cmp)?;
    Some((greatest - least) / 2.0 / median(values)?)
}

/// The median of what two series of the same rounds give, one over the other. What disturbs a whole round
/// disturbs both, and is not in it.
pub fn ratio(of: &[f64], to: &[f64]) -> Option<f64> {
    median(of.iter().zip(to).map(|(of, to)| of / to))
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_even_and_odd_counts() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn spread_is_half_the_range_over_the_middle() {
        assert_eq!(spread([9.0, 10.0, 12.0]), Some(0.15));
        assert_eq!(spread([]), None);
    }

    #[test]
    fn a_slow_round_does_not_move_a_ratio() {
        assert_eq!(ratio(&[2.0, 20.0, 2.0], &[1.0, 10.0, 1.0]), Some(2.0));
        assert_eq!(ratio(&[2.0], &[]), None);
    }
}
