//! Lists, page by page: newest first, over `starting_after`, in bounded memory.
//!
//! Invariant: a list that was not read to its end never looks like one that was.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StripeClient;
use super::error::{ErrorKind, StripeError};
use super::form::Form;
use super::objects::StripeObject;

/// Stripe's largest page.
pub const PAGE_SIZE: u32 = 100;
/// How many pages are read unless [`Pages::limit_pages`] says otherwise.
pub const PAGE_LIMIT: usize = 200;

/// Which items of a page are handed out.
type Keep<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// A list being read. Each [`Pages::next`] is one request.
pub struct Pages<T> {
    client: StripeClient,
    path: String,
    query: Form,
    page_size: u32,
    pages_left: usize,
    page_limit: usize,
    cursor: Option<String>,
    ended: bool,
    keep: Option<Keep<T>>,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + StripeObject> Pages<T> {
    pub(super) fn new(client: StripeClient, path: impl Into<String>, query: Form) -> Self {
        Self {
            client,
            path: path.into(),
            query,
            page_size: PAGE_SIZE,
            pages_left: PAGE_LIMIT,
            page_limit: PAGE_LIMIT,
            cursor: None,
            ended: false,
            keep: None,
            item: PhantomData,
        }
    }

    /// Reads at most so many pages; one more is [`ErrorKind::ListTooLong`].
    #[must_use]
    pub fn limit_pages(mut self, pages: usize) -> Self {
        self.pages_left = pages;
        self.page_limit = pages;
        self
    }

    /// 1 to 100 items for each page.
    #[must_use]
    pub fn page_size(mut self, items: u32) -> Self {
        self.page_size = items.clamp(1, PAGE_SIZE);
        self
    }

    /// Expands a part of each item: `latest_charge`, without the `data.` in front.
    #[must_use]
    pub fn expand(mut self, part: &str) -> Self {
        let index = self.query.pairs().iter().filter(|(key, _)| key.starts_with("expand[")).count();
        self.query = self.query.set(format!("expand[{index}]"), format!("data.{part}"));
        self
    }

    /// Goes on after this object, for a run that stopped between pages.
    #[must_use]
    pub fn starting_after(mut self, id: impl Into<String>) -> Self {
        self.cursor = Some(id.into());
        self
    }

    pub(super) fn keep(mut self, keep: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.keep = Some(Box::new(keep));
        self
    }

    /// The last object read: where another run would go on.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The next page, or `None` after the last one. After an error the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, StripeError> {
        if self.ended {
            return Ok(None);
        }
        if self.pages_left == 0 {
            return Err(StripeError::new(ErrorKind::ListTooLong { limit: self.page_limit }));
        }
        let query =
            self.query.clone().set("limit", self.page_size).opt("starting_after", self.cursor.as_ref());
        let answer = self.client.get(&query.on_path(&self.path)).await?;
        let unreadable = |why: String| {
            StripeError::new(ErrorKind::Unreadable {
                status: 200,
                why,
                request_id: answer.request_id.clone(),
            })
        };
        let has_more = answer.value.get("has_more").and_then(Value::as_bool).unwrap_or(false);
        let Some(Value::Array(data)) = answer.value.get("data") else {
            return Err(unreadable("a list without data".to_owned()));
        };
        let mut items = Vec::with_capacity(data.len());
        for value in data {
            items.push(serde_json::from_value::<T>(value.clone()).map_err(|e| unreadable(shape(&e)))?);
        }
        match items.last().map(|item| item.id().to_owned()) {
            Some(id) => self.cursor = Some(id),
            None if has_more => return Err(unreadable("an empty page that claims to have more".to_owned())),
            None => {}
        }
        self.pages_left -= 1;
        self.ended = !has_more;
        if let Some(keep) = &self.keep {
            items.retain(|item| keep(item));
        }
        Ok(Some(items))
    }

    /// All items, if there are no more than `most`; else [`ErrorKind::ListTooLong`].
    pub async fn collect(mut self, most: usize) -> Result<Vec<T>, StripeError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
            if all.len() > most || (all.len() == most && !self.ended) {
                return Err(StripeError::new(ErrorKind::ListTooLong { limit: most }));
            }
        }
        Ok(all)
    }
}

/// What serde says of a shape, without the value: that could be contact data.
pub(super) fn shape(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") { text } else { "a field of another type".to_owned() }
}
