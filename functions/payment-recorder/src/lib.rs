//! payment-recorder
