//! The graph of all states: the shortest way to each property's example or counterexample, and progress: from every state,
//! once nothing fails any more, every run comes to rest where it should.
//!
//! Stateright's own `eventually` looks at the first path to a state only and takes a cycle for an end, as its
//! documentation says. Here the whole graph is at hand: a state is sure when it is at rest, or when it has calm steps and
//! all of them lead to sure states. A calm cycle that never comes to rest is not sure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stateright::{Expectation, Property};

use crate::check::Protocol;

/// What the exploration found.
pub(crate) struct Rest {
    /// Different states.
    pub(crate) states: usize,
    /// The shortest ways to what breaks a property, or is its example.
    pub(crate) found: BTreeMap<&'static str, Vec<String>>,
    /// The shortest way to a state that need not come to rest.
    pub(crate) stuck: Option<Vec<String>>,
}

/// The states' graph: who comes from whom by calm steps, and the way back to the beginning.
struct Graph<P: Protocol> {
    properties: Vec<Property<P>>,
    found: BTreeMap<&'static str, u32>,
    from: Vec<Option<(u32, P::Action)>>,
    calm_from: Vec<Vec<u32>>,
    calm_left: Vec<u32>,
    at_rest: Vec<bool>,
}

/// Visits every state; with `until`, only as long as that property has not been decided.
pub(crate) fn explore<P: Protocol>(model: &P, until: Option<&str>) -> Rest {
    let graph = visit(model, until);
    let way = |node: u32| way_to(model, &graph, node as usize);
    let found = graph.found.iter().map(|(name, node)| (*name, way(*node))).collect();
    let sure = sure(&graph);
    let stuck = (0_u32..).zip(&sure).find(|(_, sure)| !**sure).map(|(node, _)| way(node));
    Rest { states: sure.len(), found, stuck }
}

fn visit<P: Protocol>(model: &P, until: Option<&str>) -> Graph<P> {
    let mut graph = Graph {
        properties: model.properties(),
        found: BTreeMap::new(),
        from: Vec::new(),
        calm_from: Vec::new(),
        calm_left: Vec::new(),
        at_rest: Vec::new(),
    };
    let mut known: HashMap<P::State, u32> = HashMap::new();
    let mut open = VecDeque::new();
    for state in model.init_states() {
        let node = add(model, &mut graph, &state, None);
        known.insert(state.clone(), node);
        open.push_back((node, state));
    }
    let mut actions = Vec::new();
    while let Some((node, state)) = open.pop_front() {
        if until.is_some_and(|name| graph.found.contains_key(name)) {
            break;
        }
        model.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = model.next_state(&state, action.clone()) else { continue };
            if !model.within_boundary(&next) {
                continue;
            }
            let calm = model.calm(&state, &action);
            let to = match known.get(&next) {
                Some(to) => *to,
                None => {
                    let to = add(model, &mut graph, &next, Some((node, action)));
                    known.insert(next.clone(), to);
                    open.push_back((to, next));
                    to
                }
            };
            if calm {
                graph.calm_from[to as usize].push(node);
                graph.calm_left[node as usize] += 1;
            }
        }
    }
    graph
}

fn add<P: Protocol>(
    model: &P,
    graph: &mut Graph<P>,
    state: &P::State,
    from: Option<(u32, P::Action)>,
) -> u32 {
    let node = u32::try_from(graph.from.len()).unwrap_or(u32::MAX);
    graph.from.push(from);
    graph.calm_from.push(Vec::new());
    graph.calm_left.push(0);
    graph.at_rest.push(model.settled(state));
    for property in &graph.properties {
        let is = (property.condition)(model, state);
        if is == (property.expectation == Expectation::Sometimes) {
            graph.found.entry(property.name).or_insert(node);
        }
    }
    node
}

/// Which states surely come to rest.
fn sure<P: Protocol>(graph: &Graph<P>) -> Vec<bool> {
    let mut sure = graph.at_rest.clone();
    let mut left = graph.calm_left.clone();
    let mut news: Vec<usize> = (0..sure.len()).filter(|node| sure[*node]).collect();
    while let Some(node) = news.pop() {
        for before in graph.calm_from[node].iter().map(|n| *n as usize) {
            left[before] -= 1;
            if left[before] == 0 && !sure[before] {
                sure[before] = true;
                news.push(before);
            }
        }
    }
    sure
}

fn way_to<P: Protocol>(model: &P, graph: &Graph<P>, mut node: usize) -> Vec<String> {
    let mut steps = Vec::new();
    while let Some((before, action)) = &graph.from[node] {
        steps.push(model.format_action(action));
        node = *before as usize;
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use stateright::{Model, Property};

    use super::explore;
    use crate::Size;
    use crate::check::Protocol;

    /// Counts up to its limit; may slip back to 0 on the way, calmly or not.
    struct Count {
        calm_slips: bool,
    }

    impl Model for Count {
        type State = u8;
        type Action = &'static str;
        fn init_states(&self) -> Vec<u8> {
            vec![0]
        }
        fn actions(&self, state: &u8, actions: &mut Vec<&'static str>) {
            if *state < 3 {
                actions.extend(["up", "slip"]);
            }
        }
        fn next_state(&self, state: &u8, action: &'static str) -> Option<u8> {
            match action {
                "up" => Some(state + 1),
                _ => (*state > 0).then_some(0),
            }
        }
        fn properties(&self) -> Vec<Property<Self>> {
            vec![Property::sometimes("two", |_, n| *n == 2), Property::always("below three", |_, n| *n < 3)]
        }
    }

    impl Protocol for Count {
        type Bug = bool;
        const NAME: &'static str = "count";
        const STANDS_FOR: &'static str = "nothing";
        const BUGS: &'static [(bool, &'static str)] = &[];
        fn of(_: Size, bug: Option<bool>) -> Self {
            Self { calm_slips: bug.unwrap_or(false) }
        }
        fn settled(&self, state: &u8) -> bool {
            *state == 3
        }
        fn calm(&self, _: &u8, action: &&'static str) -> bool {
            *action == "up" || self.calm_slips
        }
    }

    #[test]
    fn a_run_that_can_only_be_held_up_by_failures_settles() {
        let rest = explore(&Count { calm_slips: false }, None);
        assert_eq!((rest.states, rest.stuck), (4, None));
        assert_eq!((rest.found["two"].len(), rest.found["below three"].len()), (2, 3));
    }

    #[test]
    fn a_calm_circle_is_no_rest() {
        let rest = explore(&Count { calm_slips: true }, None);
        assert_eq!((rest.states, rest.stuck), (4, Some(Vec::new())));
    }
}
