//! Where answers go: stdout and stderr, in the form that was asked for.

mod clean;
mod columns;
mod screen;
mod table;
mod words;

pub use clean::{Cleaner, harmless};
pub use columns::{first_columns, last_columns, rows_above, width};
#[cfg(test)]
pub use screen::Captured;
pub use screen::{Colour, Screen, wants_colours};
pub use table::{Cell, Facts, Table};
pub use words::{ago, host_ports, lower, moment, needed_port, since, size, span, state_cell};
