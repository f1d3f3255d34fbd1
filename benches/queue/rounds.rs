//! Interleaved rounds: whoever is compared runs back to back, in alternating order.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::failure::Failure;

/// What one run measured, by the figure's name.
pub(crate) type Sample = BTreeMap<&'static str, f64>;

/// The median of a figure's rounds, with the least and the greatest.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: &[f64]) -> Result<Self, Failure> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return Err("nothing was measured, so there is no median: run at least one round".into());
        };
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Ok(Self { median, min: *min, max: *max })
    }

    /// Whether it is one of numbers: a ratio to nothing is not.
    pub(crate) fn is_finite(self) -> bool {
        self.min.is_finite() && self.max.is_finite()
    }
}

/// The rounds of one contender.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<Sample>);

impl Series {
    fn values(&self, figure: &str) -> Result<Vec<f64>, Failure> {
        let values = self.0.iter().map(|sample| sample.get(figure).copied());
        values.collect::<Option<_>>().ok_or_else(|| format!("a round did not measure {figure}").into())
    }

    /// One of its figures under another's name, to stand beside that one of the same rounds.
    pub(crate) fn named(&self, figure: &str, name: &'static str) -> Result<Self, Failure> {
        Ok(Self(self.values(figure)?.into_iter().map(|value| Sample::from([(name, value)])).collect()))
    }

    /// A figure over all rounds.
    pub(crate) fn spread(&self, figure: &str) -> Result<Spread, Failure> {
        Spread::of(&self.values(figure)?)
    }

    /// Whether the rounds measured a figure; what the system does not tell is left out of a sample.
    pub(crate) fn has(&self, figure: &str) -> bool {
        self.0.iter().all(|sample| sample.contains_key(figure))
    }

    /// A figure of each round by the other's of the same round.
    pub(crate) fn ratio(&self, other: &Series, figure: &str) -> Result<Spread, Failure> {
        let pairs = self.values(figure)?.into_iter().zip(other.values(figure)?);
        Spread::of(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    }
}

/// Runs every contender once a round; their series in the order of the contenders.
pub(crate) async fn interleave<C>(
    rounds: u32,
    contenders: &[C],
    mut run: impl AsyncFnMut(u32, &C) -> Result<Sample, Failure>,
) -> Result<Vec<Series>, Failure> {
    let mut series = vec![Series::default(); contenders.len()];
    for round in 1..=rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for place in order {
            series[place].0.push(run(round, &contenders[place]).await?);
        }
    }
    Ok(series)
}
