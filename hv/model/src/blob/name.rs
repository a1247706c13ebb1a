//! The name of a cell.

use core::fmt;

use bulkhead_abi::{NAME_SIZE, code};

use crate::refused::Refused;

/// A cell's name: letters, digits, `-`, `_` and `.`, first a letter or digit; at most [`NAME_SIZE`]` - 1` of them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Name([u8; NAME_SIZE]);

impl Name {
    /// The root cell's; no other cell may have it.
    pub const ROOT: Self = {
        let mut bytes = [0; NAME_SIZE];
        (bytes[0], bytes[1], bytes[2], bytes[3]) = (b'r', b'o', b'o', b't');
        Self(bytes)
    };

    /// Checks a name.
    ///
    /// # Errors
    /// `BAD_NAME`.
    pub fn new(name: &str) -> Result<Self, Refused> {
        let mut bytes = [0; NAME_SIZE];
        match bytes.get_mut(..name.len()) {
            Some(start) => start.copy_from_slice(name.as_bytes()),
            None => return Err(Refused::new(code::BAD_NAME, 0, 0)),
        }
        Self::from_bytes(bytes)
    }

    /// Checks a name padded with zeros.
    ///
    /// # Errors
    /// `BAD_NAME`.
    pub fn from_bytes(bytes: [u8; NAME_SIZE]) -> Result<Self, Refused> {
        let mut before = 0;
        let is_good = bytes.iter().enumerate().all(|(index, byte)| {
            let is_inside = index > 0 && before != 0;
            before = *byte;
            match byte {
                0 => index > 0,
                b'-' | b'_' | b'.' => is_inside,
                byte => byte.is_ascii_alphanumeric() && (is_inside || index == 0),
            }
        });
        if is_good && before == 0 {
            Ok(Self(bytes))
        } else {
            Err(Refused::new(code::BAD_NAME, 0, 0))
        }
    }

    /// The name padded with zeros.
    pub const fn bytes(&self) -> &[u8; NAME_SIZE] {
        &self.0
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let length = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(NAME_SIZE);
        self.0
            .get(..length)
            .and_then(|name| str::from_utf8(name).ok())
            .unwrap_or("")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
