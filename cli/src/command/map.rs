//! `map`: who has what of the machine.

use std::fs;
use std::path::Path;

use super::Context;
use crate::device::Device;
use crate::error::Error;
use crate::live;
use crate::machine::Machine;
use crate::map::Map;
use crate::map_picture::draw;
use crate::report::Report;

/// Shows the map, or draws it into a file.
///
/// # Errors
/// Bulkhead is not enabled, or the file cannot be written.
pub fn map(context: &Context, svg: Option<&Path>) -> Result<Report, Error> {
    let info = live::read(&Device::open()?)?;
    let machine = Machine::live(context, &info)?;
    let map = Map::of(&machine, &context.system(&machine.board)?);
    let Some(path) = svg else {
        return Ok(Report::new(map.to_text(), map.to_json()));
    };
    fs::write(path, draw(&map)).map_err(|error| Error::file("write", path, &error))?;
    Ok(Report::new(
        format!("drawn: {}", path.display()),
        map.to_json(),
    ))
}
