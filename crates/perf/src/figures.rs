//! Medians, ranges and how numbers are written.

/// Least, middle and greatest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one, or the mean of the middle two.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
        Some(Self { min, median: (low + high) / 2.0, max })
    }
}

/// A rate in three digits or so: `14.2 M`, `93 k`, `512`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 10e6 => format!("{:.1} M", r / 1e6),
        r if r >= 1e6 => format!("{:.2} M", r / 1e6),
        r if r >= 10e3 => format!("{:.0} k", r / 1e3),
        r if r >= 1e3 => format!("{:.1} k", r / 1e3),
        r => format!("{r:.0}"),
    }
}

/// A figure that may be unknown.
pub(crate) fn known(figure: Option<f64>) -> String {
    figure.map_or_else(|| "?".to_owned(), |figure| format!("{figure:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_even_and_odd_counts() {
        let table = [
            (&[3.0][..], (3.0, 3.0, 3.0)),
            (&[9.0, 1.0, 4.0], (1.0, 4.0, 9.0)),
            (&[9.0, 1.0, 4.0, 6.0], (1.0, 5.0, 9.0)),
        ];
        for (figures, (min, median, max)) in table {
            assert_eq!(Spread::of(figures.iter().copied()), Some(Spread { min, median, max }));
        }
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn rates_are_short() {
        let table = [(512.4, "512"), (4_520.0, "4.5 k"), (93_400.0, "93 k"), (1.58e6, "1.58 M")];
        for (per_second, text) in table {
            assert_eq!(rate(per_second), text);
        }
        assert_eq!(known(None), "?");
    }
}
