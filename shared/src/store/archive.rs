//! Archives: settled facts that left the head of an order's item, in items of their own beside it.
//!
//! Invariants: an archive is put once, before the commit that drops its facts from the head, and never changed. Whoever
//! finds one that is there already (a run died between the two, or the SDK repeated our own put) drops exactly what it
//! holds. An order that never grows past the limit costs no call here.

use futures::future::try_join_all;

use super::{Change, OrderItem, Store, StoreError, keys, n, s, unavailable};
use crate::domain::archive::{Kept, broken_at, bytes_of, settled};
use crate::domain::fact::{Fact, StoredFact};
use crate::domain::state::{State, fold, resume};
use crate::telemetry::{Id, event};

/// DynamoDB's limit of an item is 409,600 bytes; some are left for names and numbers.
const ITEM_BYTES_MAX: usize = 400_000;
/// An archive that is not what the head would give away is passed over below this, and the head grows on.
const GROWS_TO_BYTES: usize = 300_000;
/// Names, numbers and short texts of an item.
const SMALL_BYTES: usize = 2_048;
/// Archives read at once.
const AT_ONCE: usize = 8;

/// What a commit does about the archive.
pub(super) struct Moved {
    /// The head's oldest facts that leave it.
    pub(super) count: usize,
    /// What the head keeps of all archived facts.
    pub(super) kept: Option<Kept>,
    /// Whether that is written.
    pub(super) rewrites: bool,
    /// The fold of all archived facts.
    pub(super) base: Box<State>,
}

fn bare(facts: &[StoredFact]) -> impl Iterator<Item = &Fact> {
    facts.iter().map(|f| &f.fact)
}

impl Store {
    /// Gives the head's settled facts to an archive if the head would grow too large by `change`. `other`: bytes of
    /// claims and summary.
    pub(super) async fn archive(
        &self,
        item: &OrderItem,
        change: &Change,
        other: usize,
    ) -> Result<Moved, StoreError> {
        let unchanged = Moved { count: 0, kept: item.kept.clone(), rewrites: false, base: item.base.clone() };
        if change.facts.is_empty() {
            return Ok(unchanged);
        }
        let unreadable = |e: serde_json::Error| item.unreadable(&e.to_string());
        let new = bytes_of(&change.facts);
        let rest = other + SMALL_BYTES + item.kept.as_ref().map_or(0, Kept::bytes);
        let mut moved = unchanged;
        let count = settled(&item.facts, new, rest);
        if count > 0
            && let Some(count) = self.put_archive(item, count, new + rest).await?
        {
            let (gone, _) = item.facts.split_at(count);
            let base = Box::new(resume(*moved.base, bare(gone), &Default::default()));
            let kept = Kept::after(item.kept.as_ref(), gone, &base).map_err(unreadable)?;
            moved = Moved { count, kept: Some(kept), rewrites: true, base };
        } else if let Some(kept) = item.kept.as_ref().filter(|kept| kept.state().is_none()) {
            // Another build's snapshot says nothing here, and the next reader is likely to be of this one.
            moved.kept = Some(kept.renewed(&moved.base).map_err(unreadable)?);
            moved.rewrites = moved.kept.as_ref().is_some_and(|k| k.snapshot != kept.snapshot);
            if !moved.rewrites {
                moved.kept = item.kept.clone();
            }
        }
        let stays = bytes_of(item.facts.get(moved.count..).unwrap_or_default());
        let kept = moved.kept.as_ref().map_or(0, Kept::bytes);
        if let Some(full) =
            moved.kept.as_ref().filter(|_| stays + new + other + SMALL_BYTES + kept > ITEM_BYTES_MAX)
        {
            moved.kept = Some(full.bare().map_err(unreadable)?);
            moved.rewrites = true;
        }
        Ok(moved)
    }

    /// Puts the next archive with the head's oldest `count` facts if it is not there; gives how many it holds. `None`: it
    /// is there and holds something else, so nothing leaves the head.
    async fn put_archive(
        &self,
        item: &OrderItem,
        count: usize,
        besides: usize,
    ) -> Result<Option<usize>, StoreError> {
        let number = item.kept.as_ref().map_or(0, |k| k.archived.archives) + 1;
        let (gone, _) = item.facts.split_at(count);
        let put = self
            .client
            .put_item()
            .table_name(&self.orders)
            .item("pk", s(item.key.as_str()))
            .item("sk", s(keys::archive(number)))
            .item("facts", item.packed(gone)?)
            .item("prev", s(item.kept.as_ref().map_or("", |k| &k.archived.last)))
            .item("first", n(item.kept.as_ref().map_or(0, |k| k.archived.facts)))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => return Ok(Some(count)),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {}
            Err(e) => return Err(unavailable("PutItem", e)),
        }
        let there = self.read_archive(item, number).await?;
        let same = there.len() <= item.facts.len()
            && there.iter().zip(&item.facts).all(|(archived, ours)| archived.raw == ours.raw);
        if same && !there.is_empty() {
            return Ok(Some(there.len()));
        }
        event!(
            error,
            "an archive holds other facts than the head would give it; was one of them restored alone?",
            order.key = item.key,
            archive = Id(&keys::archive(number))
        );
        if bytes_of(&item.facts) + besides < GROWS_TO_BYTES {
            return Ok(None);
        }
        Err(item
            .unreadable("its next archive holds other facts than the head; see RUNBOOK on restored tables"))
    }

    async fn read_archive(&self, item: &OrderItem, number: u32) -> Result<Vec<StoredFact>, StoreError> {
        let sk = keys::archive(number);
        let answer = self
            .client
            .get_item()
            .table_name(&self.orders)
            .key("pk", s(item.key.as_str()))
            .key("sk", s(&sk))
            .consistent_read(true)
            .send()
            .await
            .map_err(|e| unavailable("GetItem", e))?;
        let held = answer.item.filter(|i| i.contains_key("facts"));
        let held = held.ok_or_else(|| item.unreadable(&format!("{sk} is missing")))?;
        item.unpacked(&held)
    }

    /// All archived facts, oldest first.
    async fn archived(&self, item: &OrderItem) -> Result<Vec<StoredFact>, StoreError> {
        let numbers: Vec<u32> = (1..=item.kept.as_ref().map_or(0, |k| k.archived.archives)).collect();
        let mut all = Vec::new();
        for some in numbers.chunks(AT_ONCE) {
            let read = try_join_all(some.iter().map(|number| self.read_archive(item, *number))).await?;
            all.extend(read.into_iter().flatten());
        }
        Ok(all)
    }

    /// Every fact of an order, oldest first, archived ones too. What they add up to is not checked here.
    pub async fn history(&self, item: &OrderItem) -> Result<Vec<StoredFact>, StoreError> {
        let mut all = self.archived(item).await?;
        all.extend(item.facts.iter().cloned());
        Ok(all)
    }

    /// Brings in the fold of archived facts: from the snapshot if this build wrote it, else from the archives.
    pub(super) async fn complete(&self, mut item: OrderItem) -> Result<OrderItem, StoreError> {
        let Some(kept) = &item.kept else { return Ok(item) };
        if let Some(state) = kept.state() {
            item.base = Box::new(state);
            return Ok(item);
        }
        // Seldom needed: its space is not part of every load's.
        Box::pin(self.fold_archives(item)).await
    }

    async fn fold_archives(&self, mut item: OrderItem) -> Result<OrderItem, StoreError> {
        let archived = self.archived(&item).await?;
        if let Some(at) = broken_at(item.kept.as_ref(), &archived, &item.facts) {
            return Err(item.unreadable(&format!("fact {} was changed after it was stored", at + 1)));
        }
        item.base = Box::new(fold(bare(&archived), &Default::default()));
        Ok(item)
    }
}
