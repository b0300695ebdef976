//! Stories through the real handlers, and the rules of the house.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod checkout_example;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod events;
#[cfg(test)]
mod far_side;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hints;
#[cfg(test)]
mod io;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod newer_build;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod reconciler;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod story;
#[cfg(test)]
mod sweeper;
#[cfg(test)]
mod systems;
#[cfg(test)]
mod template;
#[cfg(test)]
mod told_before;
