//! Tests of the command line that need no board.

mod boards;
mod console;
mod exit_codes;
mod hostile_trees;
mod images;
mod journals;
mod machine;
mod parts;
mod real_boards;
mod resolve;
mod support;
mod views;
mod wrong_cells;
