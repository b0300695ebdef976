//! Collects the three records of a window, page by page, and hands each to the matching, which keeps our orders packed and of
//! the rest what does not agree; of what is not ours only a count is kept.
//!
//! Invariant: what a listing lacks is looked up by its id before it counts as missing, because a listing has edges.

use std::collections::BTreeMap;

use shared::batch::Deadline;
use shared::config::{Source, StripeSource};
use shared::domain::ids::OrderKey;
use shared::domain::reconcile::{
    Matched, Matching, OurOrder, Scope, ShopOrder, ShopRead, TheirCharge, TheirRefund, Window,
};
use shared::domain::time::UnixTime;
use shared::outbound::shop::{OrderSystem as _, ShopClient, ShopError};
use shared::outbound::stripe::StripeClient;
use shared::outbound::stripe::read::Created;
use shared::store::keys;

use crate::{Deps, MARGIN, ReconcileError, theirs};

/// Pages of one listing at Stripe: half a million objects.
const STRIPE_PAGES: usize = 5_000;
/// Most refunds of one charge.
const REFUNDS_MAX: usize = 500;
/// Why an order system's part is not whole. What Tandem and Stripe say is reported all the same.
const NO_TIME: &str = "no time left; use a shorter window";

/// The records of a window.
pub(crate) struct Books<'a> {
    deps: &'a Deps,
    window: Window,
    deadline: Deadline,
    lookups: u32,
    pub(crate) matching: Matching,
    pub(crate) foreign: u32,
    pub(crate) partial: Vec<String>,
}

impl<'a> Books<'a> {
    pub(crate) fn new(deps: &'a Deps, window: Window, deadline: Deadline, scope: Scope) -> Self {
        Self {
            deps,
            window,
            deadline,
            lookups: deps.limits.lookups,
            matching: Matching::new(scope),
            foreign: 0,
            partial: Vec::new(),
        }
    }

    fn in_time(&self, after: &'static str) -> Result<(), ReconcileError> {
        if self.deadline.allows(MARGIN) { Ok(()) } else { Err(ReconcileError::OutOfTime(after)) }
    }

    /// What `work` comes to, unless time ends before it.
    async fn in_time_left<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.deadline.remaining().saturating_sub(MARGIN), work).await.ok()
    }

    /// A bounded look-up: `false` when there were too many, which the report then says.
    fn may_look_up(&mut self) -> bool {
        let may = self.lookups > 0;
        self.lookups = self.lookups.saturating_sub(1);
        let note = "more look-ups than one run may make: some objects count as foreign or were not verified";
        if !may && !self.partial.iter().any(|p| p == note) {
            self.partial.push(note.to_owned());
        }
        may
    }

    /// Loads an order, if we have it.
    async fn load(&mut self, key: &OrderKey, complete: bool) -> Result<bool, ReconcileError> {
        if self.matching.has(key, complete) {
            return Ok(true);
        }
        let item = self.deps.engine.store.load(key).await?;
        if item.rev == 0 {
            return Ok(false);
        }
        self.matching.order(&OurOrder::of(key.clone(), &item.state(), complete));
        Ok(true)
    }

    /// Our orders first seen in the window, by the day index.
    pub(crate) async fn our_days(&mut self) -> Result<(), ReconcileError> {
        for date in self.window.dates() {
            for partition in keys::day_partitions(&date) {
                let mut after = None;
                loop {
                    self.in_time("our own orders")?;
                    let (rows, next) = self.deps.engine.store.day_page(&partition, after).await?;
                    for (key, _) in rows {
                        self.load(&key, true).await?;
                    }
                    if next.is_none() {
                        break;
                    }
                    after = next;
                }
            }
        }
        Ok(())
    }

    /// Stripe's charges and refunds of the window, from every account.
    pub(crate) async fn at_stripe(&mut self) -> Result<(), ReconcileError> {
        let deps = self.deps;
        for source in deps.engine.config.sources.values() {
            let Source::Stripe(source) = source else { continue };
            let client = deps.engine.stripe(source, self.deadline).await?;
            let window = Created::between(self.window.start(), self.window.end());
            let mut pages = client.list_charges(None, window).limit_pages(STRIPE_PAGES);
            while let Some(page) = pages.next().await? {
                self.in_time("Stripe's charges")?;
                for object in &page {
                    let Some(mut charge) = theirs::charge(object) else { continue };
                    let ids = [charge.charge.id.clone(), charge.charge.intent.clone()];
                    if self.owner(source, &mut charge.order, &ids).await? {
                        self.matching.charge(&charge);
                    }
                }
            }
            let mut pages = client.list_refunds_created(window).limit_pages(STRIPE_PAGES);
            while let Some(page) = pages.next().await? {
                self.in_time("Stripe's refunds")?;
                for object in &page {
                    let Some(mut refund) = theirs::refund(object) else { continue };
                    let intent = refund.intent.clone().unwrap_or_default();
                    let ids = [refund.refund.id.clone(), refund.refund.charge.clone(), intent];
                    if self.owner(source, &mut refund.order, &ids).await? {
                        self.matching.refund(&refund);
                    }
                }
            }
            self.verify(source, &client).await?;
        }
        Ok(())
    }

    /// Finds whose an object is, loads that order and marks the object. `false`: foreign, counted.
    async fn owner(
        &mut self,
        source: &StripeSource,
        mark: &mut Option<String>,
        ids: &[String],
    ) -> Result<bool, ReconcileError> {
        let stack = &self.deps.engine.config.stack;
        let mut key = match mark.as_deref().map(OrderKey::parse) {
            Some(Ok(key)) if key.stack() != *stack => {
                self.foreign += 1;
                return Ok(false);
            }
            Some(Ok(key)) => Some(key),
            Some(Err(_)) | None => ids.iter().find_map(|id| self.matching.owner(id)),
        };
        if key.is_none() {
            for id in ids.iter().filter(|id| id.starts_with("pi_") || id.starts_with("re_")) {
                if !self.may_look_up() {
                    break;
                }
                let link = keys::stripe_link(&source.account, source.mode(), id);
                key = self.deps.engine.store.linked(&link).await?;
                if key.is_some() {
                    break;
                }
            }
        }
        let Some(key) = key else {
            self.foreign += 1;
            return Ok(false);
        };
        self.load(&key, false).await?;
        *mark = Some(key.as_str().to_owned());
        Ok(true)
    }

    /// Looks up by its id what our facts know and no listing showed.
    async fn verify(&mut self, source: &StripeSource, client: &StripeClient) -> Result<(), ReconcileError> {
        for order in self.matching.lacking(|key| self.charged_by(source, key)) {
            let mark = || Some(order.key.as_str().to_owned());
            for charge in &order.charges {
                self.in_time("looking up charges")?;
                if !self.may_look_up() {
                    self.matching.not_whole(&order.key);
                    continue;
                }
                match client.retrieve_charge(charge).await {
                    Ok(object) => {
                        let found = theirs::charge(&object).map(|c| TheirCharge { order: mark(), ..c });
                        found.iter().for_each(|charge| self.matching.charge(charge));
                    }
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            for charge in &order.refunded {
                self.in_time("looking up refunds")?;
                if !self.may_look_up() {
                    self.matching.not_whole(&order.key);
                    continue;
                }
                match client.list_refunds(charge).collect(REFUNDS_MAX).await {
                    Ok(objects) => {
                        for refund in objects.iter().filter_map(theirs::refund) {
                            self.matching.refund(&TheirRefund { order: mark(), ..refund });
                        }
                    }
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn charged_by(&self, source: &StripeSource, key: &OrderKey) -> bool {
        self.deps.engine.stripe_of(key).is_ok_and(|s| s.name == source.name)
    }

    /// The order systems' word: every order they list for the window, and a read of each that holds money or of which
    /// something does not agree. An order system that is down leaves its part out, and the report says so.
    pub(crate) async fn at_shops(&mut self, so_far: &Matched) -> Result<(), ReconcileError> {
        let deps = self.deps;
        let mut found = BTreeMap::new();
        let mut reads = deps.limits.shop_reads;
        for source in deps.engine.config.shops() {
            let client = deps.engine.shop_named(&source.name).await?;
            if let Err(why) = self.listed(&client, &mut found).await? {
                self.partial.push(format!("{}: not listed: {why}", source.name));
            }
            let unknown = found.keys().filter(|k| k.shop() == source.name).cloned();
            let ours = self.matching.worth_a_read(so_far).filter(|k| k.shop() == source.name);
            // One more than may be read, which then says that there are more.
            let most = usize::try_from(reads).unwrap_or(usize::MAX).saturating_add(1);
            let wanted: Vec<OrderKey> = ours.chain(unknown).take(most).collect();
            for key in wanted {
                if reads == 0 {
                    self.partial.push(format!("{}: more orders than one run may read", source.name));
                    break;
                }
                reads -= 1;
                // One read may be many calls, as of a booking and its notes: time can end within it.
                let Some(read) = self.in_time_left(client.get_told(&key.order_id())).await else {
                    self.partial.push(format!("{}: not read to the end: {NO_TIME}", source.name));
                    break;
                };
                let (updated_at, read) = match read {
                    Ok(order) => {
                        let echo = order.payment.as_ref().map(|p| p.status.clone());
                        let (status, currency, total) = (order.status, order.currency, order.total);
                        (order.updated_at, ShopRead::Order { status, currency, total, echo })
                    }
                    Err(ShopError::NotFound(_)) => (UnixTime(0), ShopRead::Gone),
                    Err(error) if error.is_transient() => {
                        self.partial.push(format!("{}: not read to the end: {error}", source.name));
                        break;
                    }
                    Err(error) => {
                        self.partial.push(format!("{key}: not read: {error}"));
                        continue;
                    }
                };
                found.insert(key.clone(), ShopOrder { key, updated_at, read: Some(read) });
            }
        }
        found.values().for_each(|order| self.matching.shop(order));
        Ok(())
    }

    /// One order system's listing of the window. Orders from before this stack's time are left alone.
    async fn listed(
        &mut self,
        client: &ShopClient,
        found: &mut BTreeMap<OrderKey, ShopOrder>,
    ) -> Result<Result<(), String>, ReconcileError> {
        let (config, end) = (&self.deps.engine.config, self.window.end());
        let since = config.since.map_or(self.window.start(), |s| s.max(self.window.start()));
        let source = client.source();
        let mut page_at: Option<String> = None;
        loop {
            let page = match self.in_time_left(client.list(since, page_at.as_deref())).await {
                Some(Ok(page)) => page,
                Some(Err(error)) => return Ok(Err(error.to_string())),
                None => return Ok(Err(NO_TIME.to_owned())),
            };
            let past = page.orders.iter().any(|o| o.updated_at >= end);
            for line in page.orders.into_iter().filter(|o| o.updated_at < end) {
                let Ok(key) = config.order_key(source, &line.id) else { continue };
                if !self.load(&key, false).await? {
                    let order = ShopOrder { key: key.clone(), updated_at: line.updated_at, read: None };
                    found.insert(key, order);
                }
            }
            match page.next_cursor {
                Some(next) if !past && page_at.as_deref() != Some(&next) => page_at = Some(next),
                _ => return Ok(Ok(())),
            }
        }
    }
}
