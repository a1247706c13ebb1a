//! `cell load`: an image and the cell's device tree into its memory.

use std::fs;
use std::path::Path;

use bulkhead_abi::info::CellInfo;
use bulkhead_model::addr::Gpa;
use bulkhead_model::blob::{MemoryConfig, Placement};
use serde_json::json;

use super::{Context, refusal};
use crate::device::Device;
use crate::error::Error;
use crate::guest_tree;
use crate::image::{self, Image, Piece};
use crate::live::{self, Cell};
use crate::progress::watch;
use crate::report::Report;
use crate::store::{ImageRecord, Record};

/// Loads an image.
///
/// # Errors
/// The image is not one or does not fit, or the cell runs.
pub fn load(
    context: &Context,
    name: &str,
    path: &Path,
    address: Option<u64>,
) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    let cell = live::cell(&info, name)?;
    let path = fs::canonicalize(path).map_err(|error| Error::file("read", path, &error))?;
    let image = ImageRecord { path, address };
    let record = context.store.get(name);
    let report = put(context, &device, cell, record.as_ref(), &image)?;
    if let Some(record) = record {
        context.store.put(&Record {
            image: Some(image),
            ..record
        })?;
    }
    Ok(report)
}

/// Puts an image and the recorded device tree into a cell.
pub(super) fn put(
    context: &Context,
    device: &Device,
    cell: Cell<'_>,
    record: Option<&Record>,
    from: &ImageRecord,
) -> Result<Report, Error> {
    let memory = memory(cell.info, record);
    let image = image::read(&from.path, &memory, from.address)?;
    let tree = record
        .map(|record| record.guest_tree.as_slice())
        .unwrap_or_default();
    let tree_at = place_tree(tree, &memory, &image)?;
    let name = live::text(&cell.info.name);
    let what = format!("cannot load {} into cell '{name}'", from.path.display());
    let id = cell.id as u64;
    watch(&format!("loading {name}"), || {
        let pieces = image.pieces.iter().flat_map(Piece::chunks);
        for (gpa, bytes) in pieces.chain(tree_at.map(|gpa| (gpa, tree))) {
            device
                .load(id, gpa, bytes)?
                .map_err(|refused| refusal(&what, refused))?;
        }
        device
            .loaded(id, image.entry, tree_at.unwrap_or(0))?
            .map_err(|refused| refusal(&what, refused))
    })?;
    context.store.put_symbols(&name, &image.symbols)?;
    let size: usize = image.pieces.iter().map(|piece| piece.bytes.len()).sum();
    let tree_text = tree_at.map_or("no device tree".to_owned(), |gpa| {
        format!("device tree at {gpa:#x}")
    });
    let text = format!(
        "cell '{name}' is loaded: {size} bytes, entry {:#x}, {tree_text}",
        image.entry
    );
    Ok(Report::new(
        text,
        json!({ "cell": name, "bytes": size, "entry": image.entry, "tree": tree_at }),
    ))
}

/// The cell's memory as its file has it, or as EL2 shows it when there is no record.
fn memory(info: &CellInfo, record: Option<&Record>) -> Vec<MemoryConfig> {
    let recorded = record
        .and_then(Record::config)
        .map(|config| config.ram().to_vec());
    recorded.unwrap_or_else(|| {
        vec![MemoryConfig {
            gpa: Gpa(info.gpa),
            placement: Placement::Pool,
            size: info.ram_size,
        }]
    })
}

/// Finds the place of the tree; the image must leave it free. `None` without a tree.
fn place_tree(tree: &[u8], memory: &[MemoryConfig], image: &Image) -> Result<Option<u64>, Error> {
    if tree.is_empty() {
        return Ok(None);
    }
    let at = memory.first().and_then(guest_tree::address);
    let at = at.ok_or_else(|| {
        Error::Refused("the cell's first memory region has no room for its device tree".to_owned())
    })?;
    let covers = |gpa: u64, size: u64| {
        gpa < at.saturating_add(tree.len() as u64) && at < gpa.saturating_add(size)
    };
    if image
        .pieces
        .iter()
        .any(|piece| covers(piece.gpa, piece.room))
    {
        return Err(Error::Refused(format!(
            "the image covers the place of the cell's device tree at {at:#x}: give it more memory"
        )));
    }
    Ok(Some(at))
}
