//! Medians, and ratios within a round.

/// Returns the median, or nothing of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// How much dearer one is than another.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ratio {
    pub median: f64,
    /// Between these the median of any number of samples would lie, 95 times of a hundred; `None` of fewer
    /// than six samples, which do not tell.
    pub bounds: Option<(f64, f64)>,
}

/// Returns the median of the ratios of what was measured side by side.
///
/// A machine that is slow for a while is slow for both, so the ratio is steadier than either.
pub fn paired_ratio(values: &[f64], base: &[f64]) -> Option<Ratio> {
    let mut ratios: Vec<_> = values.iter().zip(base).map(|(value, base)| value / base).collect();
    ratios.sort_by(f64::total_cmp);
    // The number of samples below the true median is binomial, and so near to normal with this width.
    let count = ratios.len() as f64;
    let outside = ((count - 1.96 * count.sqrt()) / 2.0) as usize;
    let bounds =
        (ratios.len() >= 6).then(|| (ratios[outside], ratios[ratios.len() - 1 - outside]));
    Some(Ratio { median: median(ratios)?, bounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_between() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_slow_turn_does_not_move_the_ratio() {
        let ratio = paired_ratio(&[2.0, 20.0, 2.0], &[1.0, 10.0, 1.0]);
        assert_eq!(ratio, Some(Ratio { median: 2.0, bounds: None }));
    }

    #[test]
    fn the_bounds_of_a_ratio_are_those_that_tables_of_the_binomial_have() {
        // How many samples, and which of them, counted from one, bound their median.
        for (count, bounds) in [
            (1, None),
            (5, None),
            (6, Some((1.0, 6.0))),
            (15, Some((4.0, 12.0))),
            (30, Some((10.0, 21.0))),
        ] {
            let values: Vec<f64> = (1..=count).map(f64::from).collect();
            let ratio = paired_ratio(&values, &vec![1.0; values.len()]).unwrap();
            assert_eq!(ratio.bounds, bounds, "of {count}");
        }
        assert_eq!(paired_ratio(&[], &[]), None);
    }
}
