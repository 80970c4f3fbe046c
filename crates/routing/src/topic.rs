//! The topic exchange: binding keys of words between dots, `*` for one word, `#` for any number of them.
//!
//! Binding keys lie in a trie whose edges are words. Words are numbered once for the exchange, so that matching
//! compares numbers; a routing key's word that no binding uses has no number and meets only `*` and `#`.
//!
//! **Cost.** Matching moves a set of trie nodes over the routing key, word by word. A node that is not a `#` has
//! one predecessor at the position before it, so it cannot come into the set twice. A `#` node, once in the set,
//! stays for all later positions, and a set of them keeps it from coming in again. So at most
//! (words + 1) × nodes visits are made, whatever the binding keys look like: `#.#.#.#` costs four nodes.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::binding::Destination;
use crate::destinations::Destinations;
use crate::routes::Reached;

/// A place in [`Topic::nodes`].
type NodeIndex = u32;
/// A word's number; never used again.
type WordNumber = u64;

const ROOT: NodeIndex = 0;

/// What a match needs on its way, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct TopicScratch {
    current: Vec<NodeIndex>,
    next: Vec<NodeIndex>,
    hashes: Vec<NodeIndex>,
    seen_hashes: HashSet<NodeIndex, RandomState>,
    /// How many nodes the last match looked at.
    pub(crate) visits: u64,
}

/// The trie of binding keys.
#[derive(Debug)]
pub(crate) struct Topic {
    nodes: Vec<Node>,
    free: Vec<NodeIndex>,
    edges: HashMap<(NodeIndex, WordNumber), NodeIndex, RandomState>,
    words: HashMap<Box<[u8]>, Word, RandomState>,
    next_word: WordNumber,
}

#[derive(Debug, Default)]
struct Node {
    star: Option<NodeIndex>,
    hash: Option<NodeIndex>,
    /// Edges to nodes that are neither `*` nor `#`.
    word_edges: u32,
    destinations: Destinations,
}

impl Node {
    fn is_unused(&self) -> bool {
        self.star.is_none() && self.hash.is_none() && self.word_edges == 0 && self.destinations.is_empty()
    }
}

#[derive(Debug)]
struct Word {
    number: WordNumber,
    /// How many edges carry it.
    edges: u32,
}

/// An edge of a binding key.
#[derive(Clone, Copy)]
enum Step<'a> {
    Star,
    Hash,
    Word(&'a [u8]),
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            edges: HashMap::default(),
            words: HashMap::default(),
            next_word: 0,
        }
    }
}

impl Topic {
    pub(crate) fn add(&mut self, key: &[u8], destination: Destination) {
        let mut at = ROOT;
        for step in steps(key) {
            at = match self.child(at, step) {
                Some(child) => child,
                None => self.grow(at, step),
            };
        }
        if let Some(node) = self.node_mut(at) {
            node.destinations.add(destination);
        }
    }

    pub(crate) fn remove(&mut self, key: &[u8], destination: Destination) {
        let mut at = ROOT;
        let mut path = Vec::new();
        for step in steps(key) {
            let Some(child) = self.child(at, step) else { return };
            path.push((at, step, child));
            at = child;
        }
        if let Some(node) = self.node_mut(at) {
            node.destinations.remove(destination);
        }
        for (parent, step, child) in path.into_iter().rev() {
            if !self.node(child).is_some_and(Node::is_unused) {
                return;
            }
            self.prune(parent, step, child);
        }
    }

    /// Adds what `routing_key` reaches; whether that is anything.
    pub(crate) fn route(
        &self,
        routing_key: &[u8],
        scratch: &mut TopicScratch,
        reached: &mut Reached,
    ) -> bool {
        scratch.current.clear();
        scratch.next.clear();
        scratch.hashes.clear();
        scratch.seen_hashes.clear();
        scratch.visits = 0;
        scratch.current.push(ROOT);
        self.enter_hashes(ROOT, scratch);
        for word in words(routing_key) {
            let number = self.words.get(word).map(|word| word.number);
            for place in 0..scratch.current.len() {
                self.advance(scratch.current.get(place).copied(), number, scratch);
            }
            for place in 0..scratch.hashes.len() {
                self.advance(scratch.hashes.get(place).copied(), number, scratch);
            }
            std::mem::swap(&mut scratch.current, &mut scratch.next);
            scratch.next.clear();
            for place in 0..scratch.current.len() {
                if let Some(node) = scratch.current.get(place).copied() {
                    self.enter_hashes(node, scratch);
                }
            }
        }
        let mut any = false;
        for index in scratch.current.iter().chain(&scratch.hashes) {
            let Some(node) = self.node(*index) else { continue };
            for destination in node.destinations.as_slice() {
                reached.add(*destination);
                any = true;
            }
        }
        any
    }

    /// Moves over one word: `*` takes any, an edge takes its own, a `#` node keeps its place by itself.
    fn advance(&self, from: Option<NodeIndex>, word: Option<WordNumber>, scratch: &mut TopicScratch) {
        let Some(from) = from else { return };
        scratch.visits += 1;
        let Some(node) = self.node(from) else { return };
        scratch.next.extend(node.star);
        if node.word_edges > 0
            && let Some(child) = word.and_then(|word| self.edges.get(&(from, word)))
        {
            scratch.next.push(*child);
        }
    }

    /// `#` may take no word at all: the `#` nodes right below `from` are reached with it.
    fn enter_hashes(&self, from: NodeIndex, scratch: &mut TopicScratch) {
        let mut below = self.node(from).and_then(|node| node.hash);
        while let Some(hash) = below {
            if !scratch.seen_hashes.insert(hash) {
                return;
            }
            scratch.visits += 1;
            scratch.hashes.push(hash);
            below = self.node(hash).and_then(|node| node.hash);
        }
    }

    fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    fn node_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }

    fn child(&self, parent: NodeIndex, step: Step<'_>) -> Option<NodeIndex> {
        match step {
            Step::Star => self.node(parent)?.star,
            Step::Hash => self.node(parent)?.hash,
            Step::Word(word) => self.edges.get(&(parent, self.words.get(word)?.number)).copied(),
        }
    }

    /// Adds the child that `step` leads to.
    fn grow(&mut self, parent: NodeIndex, step: Step<'_>) -> NodeIndex {
        let child = self.new_node();
        if let Step::Word(word) = step {
            let number = self.use_word(word);
            self.edges.insert((parent, number), child);
        }
        if let Some(node) = self.node_mut(parent) {
            match step {
                Step::Star => node.star = Some(child),
                Step::Hash => node.hash = Some(child),
                Step::Word(_) => node.word_edges += 1,
            }
        }
        child
    }

    /// Removes an unused child and its edge.
    fn prune(&mut self, parent: NodeIndex, step: Step<'_>, child: NodeIndex) {
        if let Step::Word(word) = step
            && let Some(known) = self.words.get_mut(word)
        {
            known.edges -= 1;
            let (number, unused) = (known.number, known.edges == 0);
            if unused {
                self.words.remove(word);
            }
            self.edges.remove(&(parent, number));
        }
        if let Some(node) = self.node_mut(parent) {
            match step {
                Step::Star => node.star = None,
                Step::Hash => node.hash = None,
                Step::Word(_) => node.word_edges -= 1,
            }
        }
        if let Some(node) = self.node_mut(child) {
            *node = Node::default();
        }
        self.free.push(child);
    }

    fn new_node(&mut self) -> NodeIndex {
        if let Some(index) = self.free.pop() {
            return index;
        }
        // Each node has a binding key's word behind it, so memory ends long before u32 does.
        let index = NodeIndex::try_from(self.nodes.len()).unwrap_or(NodeIndex::MAX);
        debug_assert!(index < NodeIndex::MAX);
        self.nodes.push(Node::default());
        index
    }

    fn use_word(&mut self, text: &[u8]) -> WordNumber {
        if let Some(word) = self.words.get_mut(text) {
            word.edges += 1;
            return word.number;
        }
        let number = self.next_word;
        self.next_word += 1;
        self.words.insert(text.into(), Word { number, edges: 1 });
        number
    }

    /// Nodes in use, the root among them.
    #[cfg(test)]
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}

/// The words of a key. The empty key has none, as in RabbitMQ; `a.` has two, the second empty.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|octet| *octet == b'.').filter(move |_| !key.is_empty())
}

fn steps(key: &[u8]) -> impl Iterator<Item = Step<'_>> {
    words(key).map(|word| match word {
        b"*" => Step::Star,
        b"#" => Step::Hash,
        word => Step::Word(word),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::binding::QueueKey;

    /// The definition, word by word; exponential in the number of `#`, which is why it is only here.
    fn matches(pattern: &[&str], words: &[&str]) -> bool {
        match (pattern.split_first(), words.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), None) => matches(rest, words),
            (Some((&"#", rest)), Some((_, left))) => matches(rest, words) || matches(pattern, left),
            (Some((&"*", rest)), Some((_, left))) => matches(rest, left),
            (Some((word, rest)), Some((first, left))) => word == first && matches(rest, left),
            _ => false,
        }
    }

    fn split(key: &str) -> Vec<&str> {
        if key.is_empty() { Vec::new() } else { key.split('.').collect() }
    }

    fn queue(number: usize) -> Destination {
        Destination::Queue(QueueKey(number.try_into().unwrap_or(u64::MAX)))
    }

    fn routed(topic: &Topic, key: &str) -> (Vec<u64>, u64) {
        let mut scratch = TopicScratch::default();
        let mut reached = Reached::default();
        let any = topic.route(key.as_bytes(), &mut scratch, &mut reached);
        let mut queues: Vec<u64> = reached.queues.as_slice().iter().map(|queue| queue.0).collect();
        queues.sort_unstable();
        assert_eq!(any, !queues.is_empty());
        (queues, scratch.visits)
    }

    /// Keys of few words from few letters, so that most patterns meet.
    fn key() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "", Just("*".to_owned()), Just("#".to_owned())], 0..6)
            .prop_map(|words| words.join("."))
    }

    proptest! {
        // 600 × 10 patterns on average × 20 keys: more than 10^5 pairs.
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn agrees_with_the_naive_matcher(
            patterns in proptest::collection::vec(key(), 1..20),
            keys in proptest::collection::vec(key(), 20),
            removed in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let mut topic = Topic::default();
            for (number, pattern) in patterns.iter().enumerate() {
                topic.add(pattern.as_bytes(), queue(number));
            }
            let gone = |number: usize| removed.get(number).copied().unwrap_or(false);
            for (number, pattern) in patterns.iter().enumerate().filter(|(number, _)| gone(*number)) {
                topic.remove(pattern.as_bytes(), queue(number));
            }
            for key in &keys {
                let words = split(key);
                let expected: Vec<u64> = (0_u64..)
                    .zip(&patterns)
                    .enumerate()
                    .filter(|(number, (_, pattern))| !gone(*number) && matches(&split(pattern), &words))
                    .map(|(_, (number, _))| number)
                    .collect();
                let (queues, visits) = routed(&topic, key);
                prop_assert_eq!(queues, expected, "{} among {:?}", key, &patterns);
                let bound = (words.len() + 1) * topic.node_count();
                prop_assert!(visits <= bound.try_into().unwrap_or(u64::MAX), "{} visits, bound {}", visits, bound);
            }
            for (number, pattern) in patterns.iter().enumerate() {
                topic.remove(pattern.as_bytes(), queue(number));
            }
            prop_assert_eq!(topic.node_count(), 1, "an empty trie is its root");
            prop_assert!(topic.words.is_empty() && topic.edges.is_empty());
        }
    }

    #[test]
    fn answers_as_rabbitmq_does() {
        let patterns = [
            "", "*", "#", "a", "a.*", "a.#", "#.a", "*.*", ".", "a..b", "a.*.b", "#.#", "*.#", "#.*",
            "a.#.b", "a.", ".a", "**", "a*",
        ];
        let mut topic = Topic::default();
        for (number, pattern) in patterns.iter().enumerate() {
            topic.add(pattern.as_bytes(), queue(number));
        }
        for (key, expected) in [
            ("", vec!["", "#", "#.#"]),
            ("a", vec!["*", "#", "a", "a.#", "#.a", "#.#", "*.#", "#.*"]),
            (".", vec!["#", "*.*", ".", "#.#", "*.#", "#.*"]),
            ("a.", vec!["#", "a.*", "a.#", "*.*", "#.#", "*.#", "#.*", "a."]),
            (".a", vec!["#", "#.a", "*.*", "#.#", "*.#", "#.*", ".a"]),
            ("a..b", vec!["#", "a.#", "a..b", "a.*.b", "#.#", "*.#", "#.*", "a.#.b"]),
            ("a.b", vec!["#", "a.*", "a.#", "*.*", "#.#", "*.#", "#.*", "a.#.b"]),
            ("a.b.c", vec!["#", "a.#", "#.#", "*.#", "#.*"]),
            ("*", vec!["*", "#", "#.#", "*.#", "#.*"]),
            ("#", vec!["*", "#", "#.#", "*.#", "#.*"]),
            ("a.#", vec!["#", "a.*", "a.#", "*.*", "#.#", "*.#", "#.*"]),
            ("**", vec!["*", "#", "#.#", "*.#", "#.*", "**"]),
            ("ab", vec!["*", "#", "#.#", "*.#", "#.*"]),
            ("...", vec!["#", "#.#", "*.#", "#.*"]),
        ] {
            let (queues, _) = routed(&topic, key);
            let got: Vec<&str> = queues
                .iter()
                .filter_map(|number| patterns.get(usize::try_from(*number).ok()?).copied())
                .collect();
            assert_eq!(got, expected, "{key:?}");
        }
    }

    #[test]
    fn many_hashes_cost_no_more_than_nodes_times_words() {
        let mut topic = Topic::default();
        let pattern = ["#"; 60].join(".a.");
        topic.add(pattern.as_bytes(), queue(1));
        let key = ["a"; 120].join(".");
        let (queues, visits) = routed(&topic, &key);
        assert_eq!(queues, [1]);
        assert!(visits <= 121 * 120, "{visits}");
    }

    #[test]
    fn a_queue_bound_twice_is_reached_once_until_both_are_gone() {
        let mut topic = Topic::default();
        topic.add(b"a.#", queue(1));
        topic.add(b"#.b", queue(1));
        topic.add(b"#.b", queue(1));
        assert_eq!(routed(&topic, "a.b").0, [1]);
        topic.remove(b"a.#", queue(1));
        topic.remove(b"#.b", queue(1));
        assert_eq!(routed(&topic, "a.b").0, [1]);
        topic.remove(b"#.b", queue(1));
        topic.remove(b"#.b", queue(1));
        assert_eq!(routed(&topic, "a.b").0, [] as [u64; 0]);
    }
}
