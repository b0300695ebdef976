//! payment-page
