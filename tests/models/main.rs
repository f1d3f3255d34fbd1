//! The protocols as state machines, of which every state is visited that small bounds allow.
//!
//! Each model is shown to hold its properties, and wrong variants of the protocol are shown to break them: a property
//! that nothing can break says nothing. The statements themselves are tested against a real PostgreSQL elsewhere; here
//! it is the order of things that is tested, in all orders there are.

mod demand;
mod fence;
mod waiting;

/// What the library's own decisions, which the models step, take from the rest of it.
mod database {
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Horizon {
        pub(crate) under_way: Vec<String>,
    }
}

use std::{collections::BTreeSet, fmt::Debug, hash::Hash};

use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

/// A model that can be explored.
trait Explored: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq> {}

impl<M> Explored for M where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync, Action: Clone + Debug + PartialEq>
{
}

/// Visits every state: what is to hold always does, and what is to happen sometimes can.
fn holds(model: impl Explored + Send + Sync + 'static) {
    model.checker().threads(2).spawn_bfs().join().assert_properties();
}

/// Looks for a way to break a property.
fn breaks(model: impl Explored + Send + Sync + 'static, property: &'static str) {
    let checker =
        model.checker().threads(2).finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property]))).spawn_bfs().join();
    checker.assert_any_discovery(property);
    assert!(matches!(checker.discovery_classification(property), DiscoveryClassification::Counterexample));
}
