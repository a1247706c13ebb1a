//! `cell load`: an image and the cell's device tree into its memory.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use bulkhead_abi::call::LOADED_ONCE;
use bulkhead_abi::info::CellInfo;
use bulkhead_model::addr::Gpa;
use bulkhead_model::blob::{MemoryConfig, Placement};
use serde_json::json;

use super::Context;
use super::cell::in_state;
use crate::cell_file::{GuestTree, OnReset};
use crate::device::Device;
use crate::error::Error;
use crate::file;
use crate::guest_tree::{self, SEED_SIZE};
use crate::image::{self, Image, Piece};
use crate::layout::layout;
use crate::live::{self, Cell};
use crate::progress::watch;
use crate::report::Report;
use crate::store::{ImageRecord, Record};

/// Loads an image, and its initial RAM disk if it has one.
///
/// # Errors
/// The image is not one or does not fit, or the cell runs.
pub fn load(
    context: &Context,
    name: &str,
    path: &Path,
    address: Option<u64>,
    initrd: Option<&Path>,
) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    let cell = live::cell(&info, name)?;
    let absolute =
        |path: &Path| fs::canonicalize(path).map_err(|error| Error::file("read", path, &error));
    let record = context.store.get(name);
    let of_file = record.as_ref().and_then(|record| record.initrd.as_deref());
    let image = ImageRecord {
        path: absolute(path)?,
        address,
        initrd: initrd.or(of_file).map(absolute).transpose()?,
    };
    let report = put(context, &device, cell, record.as_ref(), &image)?;
    if let Some(record) = record {
        context.store.put(&Record {
            image: Some(image),
            ..record
        })?;
    }
    Ok(report)
}

/// All that goes into a cell's memory.
struct Contents {
    image: Image,
    /// The device tree and the initial RAM disk, where there are.
    others: Vec<Piece>,
    tree: Option<u64>,
}

/// Reads and places an image, the recorded device tree and the initial RAM disk.
fn contents(
    memory: &[MemoryConfig],
    record: Option<&Record>,
    from: &ImageRecord,
) -> Result<Contents, Error> {
    let tree = record.map_or([].as_slice(), |record| record.guest_tree.as_slice());
    let wanted = match (tree, record) {
        ([], _) | (_, None) => GuestTree::None,
        (_, Some(record)) => GuestTree::Generated(record.guest_tree_at),
    };
    let image = image::read(&from.path, memory, from.address)?;
    let initrd = from.initrd.as_deref().map(file::read).transpose()?;
    let size = initrd.as_ref().map(|initrd| initrd.len() as u64);
    let layout = layout(memory, &image, wanted, size).map_err(Error::Refused)?;
    let tree = match layout.tree {
        None => None,
        Some(gpa) => {
            let tree = guest_tree::complete(tree, &seed()?, layout.initrd)
                .map_err(|malformed| Error::System(format!("the cell's record: {malformed}")))?;
            Some(Piece::new(gpa, tree))
        }
    };
    let initrd = layout.initrd.zip(initrd);
    let initrd = initrd.map(|(at, bytes)| Piece::new(at.base, bytes));
    Ok(Contents {
        image,
        others: tree.into_iter().chain(initrd).collect(),
        tree: layout.tree,
    })
}

fn seed() -> Result<[u8; SEED_SIZE], Error> {
    let path = Path::new("/dev/urandom");
    let mut seed = [0; SEED_SIZE];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut seed))
        .map_err(|error| Error::file("read", path, &error))?;
    Ok(seed)
}

/// Puts an image and what belongs to it into a cell.
pub(super) fn put(
    context: &Context,
    device: &Device,
    cell: Cell<'_>,
    record: Option<&Record>,
    from: &ImageRecord,
) -> Result<Report, Error> {
    let memory = memory(cell.info, record);
    let Contents {
        image,
        others,
        tree,
    } = contents(&memory, record, from)?;
    let name = live::text(&cell.info.name);
    let what = format!("cannot load {} into cell '{name}'", from.path.display());
    let cannot = |refused| in_state(None, &what, &name, refused);
    let id = cell.id as u64;
    let said = record.and_then(|record| record.on_reset);
    let on_reset = said.unwrap_or(image.on_reset);
    watch(&format!("loading {name}"), || {
        let pieces = image.pieces.iter().chain(&others);
        for (gpa, bytes) in pieces.flat_map(Piece::chunks) {
            device.load(id, gpa, bytes)?.map_err(cannot)?;
        }
        device
            .loaded(id, entry_word(image.entry, on_reset), tree.unwrap_or(0))?
            .map_err(cannot)
    })?;
    context.store.put_symbols(&name, &image.symbols)?;
    let size: usize = image.pieces.iter().map(|piece| piece.bytes.len()).sum();
    let tree_text = tree.map_or("no device tree".to_owned(), |gpa| {
        format!("device tree at {gpa:#x}")
    });
    let text = format!(
        "cell '{name}' is loaded: {size} bytes, entry {:#x}, {tree_text}",
        image.entry
    );
    Ok(Report::new(
        text,
        json!({
            "cell": name, "bytes": size, "entry": image.entry, "tree": tree,
            "on_reset": on_reset.name(),
        }),
    ))
}

/// The entry point as EL2 wants to hear it.
const fn entry_word(entry: u64, on_reset: OnReset) -> u64 {
    match on_reset {
        OnReset::InPlace => entry,
        OnReset::Reload => entry | LOADED_ONCE,
    }
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
