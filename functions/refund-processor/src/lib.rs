//! refund-processor
