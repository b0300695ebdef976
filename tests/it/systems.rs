//! Each order system's own habits, told through the real handlers.

mod checkfront;
