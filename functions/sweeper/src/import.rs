//! Older orders, brought in by an operator: listed since a time, hinted at only when told to.

use std::collections::BTreeMap;

use shared::domain::time::UnixTime;
use shared::inbound::checkout::is_order_id;
use shared::outbound::shop::OrderSystem as _;
use shared::queue::Queue;

use crate::cursor::Visited;
use crate::{Deps, Hints, PartError, poll};

/// What an import found or did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Orders updated since then, by order source.
    pub listed: BTreeMap<String, u32>,
    /// Hints queued; none in a dry run.
    pub hinted: u32,
    /// Orders whose id is none that may travel through queues and logs.
    pub unusable: u32,
    /// What failed, in words, by source: its listing may be incomplete.
    pub failed: Vec<(String, String)>,
}

/// Lists every order updated since `since`; with `apply` each becomes a hint, else nothing is changed anywhere. Not
/// bounded: an operator asked for it. Safe to repeat: what is known is acknowledged.
pub async fn import_since(deps: &Deps, since: UnixTime, apply: bool) -> ImportReport {
    let mut report = ImportReport::default();
    for name in deps.engine.config.shops().map(|shop| &shop.name) {
        report.listed.insert(name.clone(), 0);
        if let Err(error) = source_since(deps, name, since, apply, &mut report).await {
            report.failed.push((name.clone(), shared::error::chain(&error)));
        }
    }
    report
}

async fn source_since(
    deps: &Deps,
    name: &str,
    since: UnixTime,
    apply: bool,
    report: &mut ImportReport,
) -> Result<(), PartError> {
    let client = deps.engine.shop_named(name).await?;
    let mut hints = Hints::new(deps, u32::MAX);
    let mut page_at: Option<String> = None;
    let mut visited = Visited::default();
    loop {
        let page = client.list(since, page_at.as_deref()).await?;
        for order in &page.orders {
            *report.listed.entry(name.to_owned()).or_default() += 1;
            if !is_order_id(&order.id) {
                report.unusable += 1;
            } else if apply {
                let (corr, body) = poll::hint_of(name, order);
                hints.send(Queue::Orders, &corr, body).await?;
                report.hinted += 1;
            }
        }
        match page.next_cursor {
            None => return Ok(()),
            Some(next) if !visited.visit(&next) => {
                return Err(PartError::Circle(name.to_owned()));
            }
            Some(next) => page_at = Some(next),
        }
    }
}
