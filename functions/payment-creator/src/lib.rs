//! payment-creator
