//! HTTP clients of other people's systems, all over the one seam in [`http`].

pub mod checkfront;
pub mod checkout;
pub mod http;
pub mod notice;
pub mod reports;
pub mod shop;
pub mod shopify;
pub mod stripe;
pub mod woo;
