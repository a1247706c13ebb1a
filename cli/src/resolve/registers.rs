//! The registers of a cell's devices: whole pages, which its stage 2 has; or, where the file allows it, their range alone in
//! pages that others have registers in, which cost everybody there an exit an access.

use bulkhead_model::addr::{Gpa, Hpa, PAGE_SIZE, WORD};
use bulkhead_model::blob::{CellConfig, DeviceConfig, MAX_DEVICES};

use super::Device;
use super::devices::{Beside, is_used, merge, pages};
use crate::board::push;
use crate::cell_file::CellFile;
use crate::error::ConfigError;
use crate::tree::Node;
use crate::tree::reg::Window;

/// Adds the devices' registers; those of `shared` by their range where they have to.
pub(super) fn claim(
    config: &mut CellConfig,
    cell: &CellFile,
    devices: &[Device<'_>],
    shared: &[Node<'_>],
    beside: &Beside<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let (mut whole, mut parts): (Vec<Window>, Vec<Window>) = (Vec::new(), Vec::new());
    for device in devices {
        let path = device.node.path();
        let wrong = |reason: String| cell.place.wrong("devices", format!("{path}: {reason}"));
        let mut seen: Vec<Window> = Vec::new();
        for registers in &device.registers {
            let pages = pages(*registers).ok_or_else(|| {
                wrong(format!(
                    "its registers at {:#x} make no region",
                    registers.base
                ))
            })?;
            if shared.contains(&device.node) {
                let divided = divide(*registers, pages, device, beside).map_err(wrong)?;
                divided
                    .whole
                    .into_iter()
                    .for_each(|new| merge(&mut whole, new));
                for (part, other) in divided.parts {
                    warnings.push(costs(&path, part, other));
                    merge(&mut parts, part);
                }
                continue;
            }
            if seen.contains(&pages) {
                continue;
            }
            seen.push(pages);
            for other in beside.in_pages(pages, device.node) {
                let (at, other, is_used) = (pages.base, other.path(), is_used(other));
                if is_used {
                    let reason = format!("it shares its page at {at:#x} with {other}");
                    return Err(wrong(format!(
                        "{reason}, which would go along; list {other} too, or this one in 'share-page', which costs exits"
                    )));
                }
                warnings.push(format!(
                    "{path}: {other}, which is disabled, is in its page at {at:#x} and goes along"
                ));
            }
            merge(&mut whole, pages);
        }
    }
    whole.append(&mut parts);
    put(config, cell, &whole)
}

/// Puts them into the configuration.
fn put(config: &mut CellConfig, cell: &CellFile, windows: &[Window]) -> Result<(), ConfigError> {
    if windows.len() > MAX_DEVICES {
        let reason = format!("they have {} separate windows of registers", windows.len());
        return Err(cell
            .place
            .wrong("devices", format!("{reason}; the limit is {MAX_DEVICES}")));
    }
    for window in windows {
        let window = DeviceConfig {
            gpa: Gpa(window.base),
            hpa: Hpa(window.base),
            size: window.size,
        };
        push(&mut config.devices, window, &cell.place, "devices")?;
    }
    Ok(())
}

/// What a range of registers comes to.
struct Divided<'t> {
    /// The pages that are its own.
    whole: Option<Window>,
    /// What it has of others, and who is there.
    parts: Vec<(Window, Node<'t>)>,
}

/// Divides a range at its ends, where others may have registers in the same pages.
fn divide<'t>(
    registers: Window,
    pages: Window,
    device: &Device<'_>,
    beside: &Beside<'t>,
) -> Result<Divided<'t>, String> {
    if let Some(other) = beside.in_pages(registers, device.node).next() {
        return Err(format!(
            "its registers at {:#x} are those of {} too: they cannot be divided",
            registers.base,
            other.path()
        ));
    }
    let (end, registers_end) = (pages.base + pages.size, registers.base + registers.size);
    let mut whole = pages;
    let mut parts = Vec::new();
    let size = PAGE_SIZE;
    for base in [pages.base, end - PAGE_SIZE] {
        let page = Window { base, size };
        let Some(other) = beside.in_pages(page, device.node).next() else {
            continue;
        };
        let start = registers.base.max(base);
        let part = Window {
            base: start,
            size: registers_end.min(base + size) - start,
        };
        if parts.iter().any(|(other, _)| *other == part) {
            continue; // The one page that there is.
        }
        if !(part.base | part.size).is_multiple_of(WORD) {
            return Err(format!(
                "its {:#x} bytes of registers at {:#x}, in a page with {}, are not whole words of {WORD} bytes: they cannot be divided",
                part.size,
                part.base,
                other.path()
            ));
        }
        parts.push((part, other));
        whole.size -= size;
        if base == pages.base {
            whole.base += size;
        }
    }
    Ok(Divided {
        whole: (whole.size != 0).then_some(whole),
        parts,
    })
}

fn costs(path: &str, part: Window, other: Node<'_>) -> String {
    let Window { base, size } = part;
    format!(
        "{path}: its {size:#x} bytes of registers at {base:#x} share their page with {}: costs exits, one for each access to that \
         page, by Linux too",
        other.path()
    )
}
