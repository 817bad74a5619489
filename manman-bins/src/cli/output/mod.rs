//! Where answers go: stdout and stderr, in the form that was asked for.

mod clean;
mod columns;
mod looks;
mod screen;
mod table;
mod words;

pub use clean::{Cleaner, harmless};
pub use columns::{first_columns, last_columns, rows_above, width};
pub use looks::{Colour, Looks};
#[cfg(test)]
pub use screen::Captured;
#[cfg(test)]
pub use screen::ERASE;
pub use screen::Screen;
pub use table::{Cell, Facts, Table};
pub use words::{ago, host_ports, lower, moment, needed_port, since, size, span, state_cell};
