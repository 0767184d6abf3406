//! Sets among which a routing policy of Route 53 chooses, and what is chosen as things stand.
//!
//! A choice may lead through aliases to further choices. All of it is worked out once, whenever a zone is
//! compiled or the health of something changes, into a [`Plan`]: every end it may come to and how often,
//! so that a query draws a number and looks it up.

mod branches;
mod evaluate;
mod gather;
mod health;
mod rank;
mod tell;

use std::sync::Arc;

use super::data::{Alias, Policy};
use super::node::Node;
use super::{Rrset, Zone};
use crate::wire::{Name, NameRef, Rtype};

pub(super) use gather::Gathered;
pub use health::{Health, Probe, ProbeRule, ProbeTarget, State, Subject};
pub use tell::{EndTold, GroupTold, SetTold};

/// Sets that are answered together at most.
const MAX_TOGETHER: usize = 8;

/// The sets of one owner and type.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Where its node begins.
    pub at: u32,
    pub rtype: Rtype,
    pub members: Box<[Compiled]>,
}

impl Group {
    /// Bytes of memory, the texts in it aside.
    pub(super) fn memory(&self) -> usize {
        let texts = |member: &Compiled| size_of_val(&*member.subjects) + member.identifier.len();
        size_of::<Self>() + size_of_val(&*self.members) + self.members.iter().map(texts).sum::<usize>()
    }
}

/// One of the sets.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub identifier: Box<str>,
    pub policy: Policy,
    /// What its health hangs on, by their numbers among the zone's; it is as healthy as the healthiest.
    pub subjects: Box<[u32]>,
    pub content: Held,
}

/// What a set holds.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Block(Block),
    Alias(Alias),
}

/// Records in a zone's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub from: u32,
    pub to: u32,
    pub count: u16,
}

/// What a choice may come to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaf {
    Block(Block),
    /// Up to eight of these.
    Several(Box<[Block]>),
    /// The records of a node that has them without a choice.
    Node(usize),
    /// What upstreams say of a name.
    Outside(Name),
    Nothing,
    Loop,
}

/// What a group's choice comes to, and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Each with the greatest number that leads to it. None: only the origin can choose.
    ways: Arc<[(u32, Leaf)]>,
    /// It would come out otherwise, or at other odds, if something whose health is unknown were ill.
    is_uncertain: bool,
    /// Route 53 may reckon otherwise.
    is_approximate: bool,
    /// Whose states it was worked out from, by their numbers among the zone's.
    hangs_on: Arc<[u32]>,
}

impl Plan {
    /// Bytes of memory, the names in it aside.
    pub(super) fn memory(&self) -> usize {
        let several = |(_, leaf): &(u32, Leaf)| {
            if let Leaf::Several(blocks) = leaf { size_of_val(&**blocks) } else { 0 }
        };
        let own = size_of::<Self>() + size_of_val(&*self.ways) + size_of_val(&*self.hangs_on);
        own + self.ways.iter().map(several).sum::<usize>()
    }

    /// Whether only the origin can choose.
    pub(super) fn is_unknown(&self) -> bool {
        self.ways.is_empty()
    }
}

/// A choice to be made.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'z> {
    pub(super) zone: &'z Zone,
    pub(super) rtype: Rtype,
    pub(super) plan: &'z Plan,
}

/// What was chosen.
#[derive(Clone, Copy, Debug)]
pub enum Chosen<'z> {
    /// These records, or a CNAME.
    Records(Rrset<'z>),
    /// Records of several sets.
    Several(Several<'z>),
    /// The records of the type at this name, which upstreams have.
    Outside(NameRef<'z>),
    /// No records of the type.
    Nothing,
    /// An alias that leads back to itself.
    Loop,
}

impl<'z> Choice<'z> {
    /// Whether the origin may choose otherwise.
    pub fn is_uncertain(&self) -> bool {
        self.plan.is_uncertain || self.plan.is_approximate
    }

    /// Whether that is so for more than the health of something of which that is not known; what is
    /// unknown counts as healthy.
    pub fn is_approximate(&self) -> bool {
        self.plan.is_approximate
    }

    /// Whether nobody here is given anything, as where no location is about this one.
    pub fn is_nothing(&self) -> bool {
        self.plan.ways.iter().all(|(_, leaf)| *leaf == Leaf::Nothing)
    }

    /// Chooses; `random` is evenly spread over its range. Cost: a binary search in the ways there are.
    pub fn pick(&self, random: u32) -> Chosen<'z> {
        let ways = &self.plan.ways;
        let Some((_, leaf)) = ways.get(ways.partition_point(|&(last, _)| last < random)) else {
            return Chosen::Nothing;
        };
        match leaf {
            Leaf::Block(block) => Chosen::Records(self.zone.block(self.rtype, *block)),
            Leaf::Several(blocks) => {
                let first = random as usize % blocks.len().max(1);
                Chosen::Several(Several { zone: self.zone, rtype: self.rtype, blocks, first })
            }
            Leaf::Node(at) => {
                let mut rrsets = Node::read(&self.zone.arena, *at).into_iter().flat_map(Node::rrsets);
                rrsets.find(|r| r.rtype == self.rtype).map_or(Chosen::Nothing, Chosen::Records)
            }
            Leaf::Outside(name) => Chosen::Outside(name.as_ref()),
            Leaf::Nothing => Chosen::Nothing,
            Leaf::Loop => Chosen::Loop,
        }
    }
}

/// The sets that are answered together.
#[derive(Clone, Copy, Debug)]
pub struct Several<'z> {
    zone: &'z Zone,
    rtype: Rtype,
    blocks: &'z [Block],
    first: usize,
}

impl<'z> Several<'z> {
    /// Up to eight of them; of more, others each time.
    pub fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> {
        let turned = self.blocks.iter().cycle().skip(self.first);
        let count = self.blocks.len().min(MAX_TOGETHER);
        turned.take(count).map(move |&block| self.zone.block(self.rtype, block))
    }
}

impl Zone {
    /// Whose health the zone's choices hang on, in order.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// Whether this health is, for what the zone's choices hang on, the one that they were worked out for.
    /// Cost: a look-up for each.
    pub fn is_planned_for(&self, health: &Health) -> bool {
        self.subjects.iter().all(|subject| self.health.state(subject) == health.state(subject))
    }

    /// The health that they were last worked out for.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Works out all choices anew.
    pub fn plan(&mut self, health: &Arc<Health>) {
        let plans = (0..self.groups.len()).map(|number| evaluate::plan(self, number, health));
        self.plans = plans.collect();
        self.health = Arc::clone(health);
    }

    /// The same zone with those choices worked out anew that hang on what is different in this health, and
    /// how many they are. Cost: that of the choices; nothing else is built again, and the two share all
    /// but their plans.
    pub fn replanned(&self, health: &Arc<Health>) -> (Self, usize) {
        let differs = |subject: &Subject| self.health.state(subject) != health.state(subject);
        let differs: Vec<bool> = self.subjects.iter().map(differs).collect();
        let hangs = |plan: &Plan| {
            plan.hangs_on.iter().any(|&number| differs.get(number as usize).is_some_and(|&differs| differs))
        };
        let (mut zone, mut choices) = (Self { health: Arc::clone(health), ..self.clone() }, 0);
        for number in 0..zone.plans.len() {
            if zone.plans.get(number).is_some_and(hangs) {
                let plan = evaluate::plan(&zone, number, health);
                zone.plans[number] = plan;
                choices += 1;
            }
        }
        (zone, choices)
    }

    fn block(&self, rtype: Rtype, block: Block) -> Rrset<'_> {
        let bytes = self.arena.get(block.from as usize..block.to as usize).unwrap_or_default();
        Rrset { rtype, count: block.count, raw: bytes, ..Rrset::NONE }
    }
}
