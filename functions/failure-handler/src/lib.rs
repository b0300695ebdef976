//! failure-handler
