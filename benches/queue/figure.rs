//! One figure of the report: ours, the reference's, their ratio, and what is asked of it.

use std::fmt;

use serde::Serialize;

use crate::{
    failure::Failure,
    rounds::{Series, Spread},
};

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// Whose figure it is, and after a stroke what it stands beside.
    pub(crate) case: String,
    /// What was measured.
    pub(crate) figure: String,
    pub(crate) ours: Spread,
    pub(crate) reference: Option<Spread>,
    pub(crate) ratio: Option<Spread>,
    pub(crate) asked: Option<Ask>,
    pub(crate) met: Option<bool>,
}

/// What is asked of a figure's median.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Ask {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtLeast(f64),
    AtMost(f64),
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::RatioAtLeast(least) => write!(f, "ratio >= {least}"),
            Ask::RatioAtMost(most) => write!(f, "ratio <= {most}"),
            Ask::AtLeast(least) => write!(f, ">= {least}"),
            Ask::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

impl Figure {
    pub(crate) fn new(case: impl Into<String>, figure: &str, ours: Spread) -> Self {
        Self {
            case: case.into(),
            figure: figure.to_owned(),
            ours,
            reference: None,
            ratio: None,
            asked: None,
            met: None,
        }
    }

    /// A figure of a series alone.
    pub(crate) fn of(case: impl Into<String>, figure: &str, ours: &Series) -> Result<Self, Failure> {
        Ok(Self::new(case, figure, ours.spread(figure)?))
    }

    /// A figure of ours beside the reference's, mostly a bare loop's, of the same rounds.
    pub(crate) fn beside(
        case: impl Into<String>,
        figure: &str,
        ours: &Series,
        reference: &Series,
    ) -> Result<Self, Failure> {
        let (of_reference, ratio) = (reference.spread(figure)?, ours.ratio(reference, figure)?);
        Ok(Self {
            reference: Some(of_reference),
            ratio: ratio.is_finite().then_some(ratio),
            ..Self::of(case, figure, ours)?
        })
    }

    /// What is asked of it, and so whether that is met.
    pub(crate) fn asked(mut self, ask: Ask) -> Self {
        let ratio = self.ratio.map(|ratio| ratio.median);
        self.asked = Some(ask);
        self.met = Some(match ask {
            Ask::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
            Ask::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Ask::AtLeast(least) => self.ours.median >= least,
            Ask::AtMost(most) => self.ours.median <= most,
        });
        self
    }
}
