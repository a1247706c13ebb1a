//! Tests of the configuration side of the model: blobs, ledger, a cell's life, texts of refusals.

mod blob;
mod board;
mod cell;
mod heart;
mod ledger;
mod parts;
mod refusals;
mod refused;
mod worlds;
