//! The verbs: each opens the stack, asks the common crate, and prints what came of it.

mod connect;
mod orders;
mod stack;

pub(crate) use self::connect::connect;
pub(crate) use self::orders::{
    case_list, case_show, decide, explain, parked_list, parked_remove, refund, wake,
};
pub(crate) use self::stack::{check, check_live, import, money, redrive, rewind, secrets_put, stripe};
