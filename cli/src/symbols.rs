//! Names of functions, so that an address in a cell's software can be said as `main+0x1c`.

use std::collections::BTreeMap;

use object::{Object as _, ObjectSymbol as _, SymbolKind};

/// More than any cell's software needs; a hostile file may state any number.
const MOST: usize = 1 << 18;

/// Functions by their address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Symbols(BTreeMap<u64, (u64, String)>);

impl Symbols {
    /// Reads those of an ELF file; none when it has none.
    pub fn of(elf: &[u8]) -> Self {
        let Ok(file) = object::File::parse(elf) else {
            return Self::default();
        };
        let mut found = BTreeMap::new();
        for symbol in file.symbols().take(MOST) {
            // Assembly seldom states the type of its labels; `$x` and the like mark code from data (AAELF64).
            let is_place = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown);
            let name = symbol.name().unwrap_or_default();
            if is_place && symbol.is_definition() && !name.is_empty() && !name.starts_with('$') {
                let entry = found.entry(symbol.address()).or_insert((0, String::new()));
                // One with a size says more than a label at the same place.
                if entry.1.is_empty() || entry.0 < symbol.size() {
                    *entry = (
                        symbol.size(),
                        format!("{:#}", rustc_demangle::demangle(name)),
                    );
                }
            }
        }
        Self(found)
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names an address: the function that it is in and how far; `None` when it is in none.
    pub fn name(&self, address: u64) -> Option<String> {
        let (start, (size, name)) = self.0.range(..=address).next_back()?;
        let offset = address - start;
        // A label without a size reaches to the next one; far behind the last it says nothing.
        let reach = match size {
            0 => 0x1000,
            size => *size,
        };
        (offset < reach).then(|| format!("{name}+{offset:#x}"))
    }

    /// Writes them down, one a line.
    pub fn to_text(&self) -> String {
        let line = |(address, (size, name)): (&u64, &(u64, String))| {
            format!("{address:x} {size:x} {name}\n")
        };
        self.0.iter().map(line).collect()
    }

    /// Reads what [`Self::to_text`] wrote; lines that it did not write are left out.
    pub fn from_text(text: &str) -> Self {
        let parse = |line: &str| {
            let (address, rest) = line.split_once(' ')?;
            let (size, name) = rest.split_once(' ')?;
            let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
            Some((number(address)?, (number(size)?, name.to_owned())))
        };
        Self(text.lines().filter_map(parse).collect())
    }
}
