//! Stories through the real handlers, and the rules of the house.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod far_side;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod reconciler;
#[cfg(test)]
mod story;
#[cfg(test)]
mod sweeper;
#[cfg(test)]
mod template;
