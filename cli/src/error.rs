//! What can go wrong, and the exit code that says so. Every message names the thing and the value.

use std::fmt;
use std::io;
use std::path::Path;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bulkhead, the module or EL2 said no; nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// A cell file or a board's tree is wrong.
    #[error("{0}")]
    Config(ConfigError),
    /// There is no `/dev/bulkhead`.
    #[error("the kernel module is not loaded: modprobe bulkhead")]
    NoModule,
    /// The module is loaded, the hypervisor is not running.
    #[error("Bulkhead is not enabled: run `bulkhead enable` first")]
    NotEnabled,
    /// Same, and that is what was wanted.
    #[error("Bulkhead is not enabled: there is nothing to disable")]
    NothingToDisable,
    /// The cell was destroyed meanwhile, and its console with it.
    #[error("the cell has been destroyed, and its console with it")]
    NoConsole,
    /// A file, a device or a tool did not do its part.
    #[error("{0}")]
    System(String),
    /// Ctrl-C, and what was done has been undone.
    #[error("{0}")]
    Interrupted(String),
}

impl Error {
    /// Returns the exit code of the process; `README.md` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::NoConsole => 1,
            Self::Config(_) => 3,
            Self::NoModule | Self::NotEnabled | Self::NothingToDisable => 4,
            Self::System(_) => 5,
            // As shells have it: 128 and the number of SIGINT.
            Self::Interrupted(_) => 130,
        }
    }

    /// Says more behind the message, without changing what it is.
    #[must_use]
    pub fn and(self, more: &str) -> Self {
        match self {
            Self::Refused(text) => Self::Refused(format!("{text}{more}")),
            Self::System(text) => Self::System(format!("{text}{more}")),
            Self::Interrupted(text) => Self::Interrupted(format!("{text}{more}")),
            Self::Config(error) => Self::Config(ConfigError {
                reason: format!("{}{more}", error.reason),
                ..error
            }),
            error @ (Self::NoModule
            | Self::NotEnabled
            | Self::NothingToDisable
            | Self::NoConsole) => error,
        }
    }

    /// Makes one of an operation on a file.
    pub fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::System(format!("cannot {action} {}: {error}", path.display()))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// What is wrong in a device tree: file, node, property, and the reason with the value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// File, as the user named it.
    pub file: String,
    /// Path of the node, or empty when the whole file is meant.
    pub node: String,
    /// Name of the property, or empty when the whole node is meant.
    pub property: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if !self.node.is_empty() {
            write!(f, "{}: ", self.node)?;
        }
        if !self.property.is_empty() {
            write!(f, "property '{}': ", self.property)?;
        }
        f.write_str(&self.reason)
    }
}

/// Where a complaint belongs: a file and a node of it.
#[derive(Clone, Debug)]
pub struct Place {
    /// File, as the user named it.
    pub file: String,
    /// Path of the node.
    pub node: String,
}

impl Place {
    /// Makes one.
    pub fn new(file: &str, node: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            node: node.into(),
        }
    }

    /// Says what is wrong with a property here; an empty name means the node itself.
    pub fn wrong(&self, property: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.clone(),
            node: self.node.clone(),
            property: property.to_owned(),
            reason: reason.into(),
        }
    }
}
