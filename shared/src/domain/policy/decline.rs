//! Decline classes.
