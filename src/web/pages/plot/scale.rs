//! Where on a plot a value is.

/// How high a plot is, in the units of its SVG.
pub(super) const HEIGHT: i64 = 1_000;

/// How wide a step is.
pub(super) const STEP: i64 = 10;

/// From nothing up to a number that is easily halved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Linear {
    pub(super) top: i64,
}

impl Linear {
    pub(super) fn up_to(most: i64) -> Self {
        let powers = std::iter::successors(Some(1_i64), |power| power.checked_mul(10));
        let tops = powers.flat_map(|power| [2, 3, 4, 5, 6, 8, 10].map(|times| power.saturating_mul(times)));
        let top = tops.filter(|top| top % 2 == 0).find(|top| *top >= most);
        Self { top: top.unwrap_or(i64::MAX) }
    }

    /// Up to the greatest of the values, for a plot without marks.
    pub(super) fn just(most: i64) -> Self {
        Self { top: most.max(1) }
    }

    /// How high a value stands.
    pub(super) fn height(self, value: i64) -> i64 {
        let height = i128::from(value.clamp(0, self.top)) * i128::from(HEIGHT) / i128::from(self.top);
        // What is there is seen.
        i64::try_from(height).unwrap_or(HEIGHT).max(if value > 0 { 8 } else { 0 })
    }
}

/// From one power of ten to another, so that milliseconds are seen beside minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Logarithmic {
    from: i32,
    to: i32,
}

/// Rounding is no step to the next power.
const NEAR: f64 = 1e-9;

impl Logarithmic {
    /// That all these times fit in, in seconds; none if there are none.
    pub(super) fn of(times: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let logs = times.filter(|time| *time > 0.0 && time.is_finite()).map(f64::log10);
        let (least, most) = (logs.clone().reduce(f64::min)?, logs.reduce(f64::max)?);
        #[allow(clippy::cast_possible_truncation, reason = "the logarithm of a finite number is small")]
        let (from, to) = ((least + NEAR).floor() as i32, (most - NEAR).ceil() as i32);
        Some(Self { from, to: to.max(from + 1) })
    }

    /// How high a time stands.
    pub(super) fn height(self, time: f64) -> i64 {
        let share = (time.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a share of the height")]
        let height = (share.clamp(0.0, 1.0) * HEIGHT as f64).round() as i64;
        height
    }

    /// The powers of ten, from the top down.
    pub(super) fn marks(self) -> Vec<String> {
        (self.from..=self.to).rev().map(power).collect()
    }
}

fn power(power: i32) -> String {
    match power {
        ..0 => format!("{} ms", 10.0_f64.powi(power + 3)),
        _ => format!("{:.0} s", 10.0_f64.powi(power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_one_that_is_halved_and_none_is_too_low_to_be_seen() {
        let top = |most| Linear::up_to(most).top;

        assert_eq!((top(0), top(3), top(5), top(11), top(22), top(245)), (2, 4, 6, 20, 30, 300));
        assert_eq!(top(i64::MAX), i64::MAX);
        let scale = Linear::up_to(1_000_000);
        assert_eq!((scale.height(0), scale.height(1), scale.height(i64::MAX)), (0, 8, HEIGHT));
    }

    #[test]
    fn times_stand_between_the_powers_of_ten_around_them() {
        let of = |times: &[f64]| Logarithmic::of(times.iter().copied()).map(Logarithmic::marks);

        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0.0]), None);
        assert_eq!(of(&[0.001]), Some(vec!["10 ms".into(), "1 ms".into()]));
        assert_eq!(of(&[0.05, 0.1, 3.0]).unwrap(), ["10 s", "1 s", "100 ms", "10 ms"]);
        let scale = Logarithmic::of([0.01, 1.0].into_iter()).unwrap();
        assert_eq!((scale.height(0.01), scale.height(0.1), scale.height(1.0)), (0, HEIGHT / 2, HEIGHT));
    }
}
